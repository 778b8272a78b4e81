"""The learning rules: loss, optimiser, schedule, seeds of every epoch."""

import math
from typing import Any

import lightning.pytorch as pl
import torch
from timm.optim.lookahead import Lookahead
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from batteryscope.augment import TileAugmentation
from batteryscope.config.learning import AugmentSettings, TrainSettings
from batteryscope.models.classifier import TileClassifier
from batteryscope.models.layer_groups import group_trained_parameters
from batteryscope.seeds import derive_seed
from batteryscope.training.data import Batch


class StageModule(pl.LightningModule):
    """One stage of training a :class:`TileClassifier`.

    Shuffling, augmentation and dropout depend only on ``seed`` and the number of epoch
    and batch, so a run that was killed and resumed ends with the same weights.
    """

    def __init__(
        self,
        model: TileClassifier,
        train: TrainSettings,
        augment: AugmentSettings,
        seed: int,
        steps_per_epoch: int,
    ) -> None:
        super().__init__()
        self.model = model
        self.settings = train
        self.augmentation = TileAugmentation(augment)
        self.seed = seed
        self.steps_per_epoch = steps_per_epoch
        by_layer = train.unfreeze_every_epochs is not None or train.layer_decay < 1
        self.trained_groups = group_trained_parameters(model.backbone) if by_layer else []
        if self.trained_groups:  # the head comes first, and thresholds of grades belong to it
            self.trained_groups[0].extend(model.link.parameters())
        self._sums: dict[str, Tensor] = {}

    def on_train_epoch_start(self) -> None:
        """Freeze what does not train in this epoch, batch-norm statistics included."""
        if self.settings.unfreeze_every_epochs is not None:
            # A function of the epoch alone, so that a resumed fit finds the same layers frozen.
            n_groups = 1 + self.current_epoch // self.settings.unfreeze_every_epochs
            for i, group in enumerate(self.trained_groups):
                for parameter in group:
                    parameter.requires_grad_(i < n_groups)
        for layer in self.model.backbone.modules():
            own = list(layer.parameters(recurse=False))
            if own:
                # Not train(), eval(), which would reach into the layers inside this one.
                layer.training = any(p.requires_grad for p in own)
            if self.settings.batch_norm == "keep" and isinstance(layer, _BatchNorm):
                layer.training = False

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the weighted mean loss of a batch."""
        tiles, targets, weights, *beside = batch
        step = (self.current_epoch, batch_idx, self.global_rank)
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "augment", *step))
        # Dropout draws from torch's global state (which the caller has forked). It is seeded for
        # every batch, because a resumed epoch reaches its first batch with another history.
        seed_global_draws(derive_seed(self.seed, "dropout", *step), tiles.device)
        logits = self.model(self.augmentation(tiles, generator), *beside)
        loss = (measure_losses(logits, targets, self.settings) * weights).mean()
        self.log_loss(loss, len(tiles))
        return loss

    def log_loss(self, loss: Tensor, n_tiles: int) -> None:
        """Add the loss of a batch to the mean of the epoch, which is that over all devices."""
        self.log(
            "train_loss", loss, on_epoch=True, on_step=False, batch_size=n_tiles, sync_dist=True
        )

    def on_validation_epoch_start(self) -> None:
        """Start counting."""
        zero = torch.zeros((), dtype=torch.float64, device=self.device)
        self._sums = {"loss": zero.clone(), "correct": zero.clone(), "n": zero.clone()}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch of validation tiles to the counts."""
        tiles, targets, _, *beside = batch
        logits = self.model(tiles, *beside)
        losses = functional.cross_entropy(logits.float(), targets, reduction="sum")
        self._sums["loss"] += losses.double()
        self._sums["correct"] += (logits.argmax(1) == targets).sum().double()
        self._sums["n"] += len(targets)

    def on_validation_epoch_end(self) -> None:
        """Log loss and accuracy over all validation tiles (of all devices)."""
        sums = {k: self.trainer.strategy.reduce(v, reduce_op="sum") for k, v in self._sums.items()}
        n = sums["n"].clamp_min(1)
        self.log("val_loss", (sums["loss"] / n).float())
        self.log("val_accuracy", (sums["correct"] / n).float())

    def configure_optimizers(self) -> Any:
        """Return the optimiser and its per-step schedule.

        The optimiser has all parameters from the start: it leaves those alone that have no
        gradient, so a layer that is unfrozen later meets fresh moments.
        """
        s = self.settings
        groups = [(s.learning_rate, [p for p in self.model.parameters() if p.requires_grad])]
        if s.layer_decay < 1:
            groups = [
                (s.learning_rate * s.layer_decay**i, group)
                for i, group in enumerate(self.trained_groups)
            ]
            if (beside := self.model.covariates) is not None:
                groups[0][1].extend(beside.parameters())
        if s.head_learning_rate is not None:
            groups = split_off_head(self.model, groups, s.head_learning_rate)
        parameters = [{"params": group, "lr": rate} for rate, group in groups]
        classes: dict[str, Any] = {
            "adam": torch.optim.Adam,
            "adamw": torch.optim.AdamW,
            "sgd": torch.optim.SGD,
            "lookahead_radam": torch.optim.RAdam,
        }
        extra = {"momentum": 0.9} if s.optimiser == "sgd" else {}
        optimiser = classes[s.optimiser](
            parameters, lr=s.learning_rate, weight_decay=s.weight_decay, **extra
        )
        if s.optimiser == "lookahead_radam":
            optimiser = Lookahead(optimiser, alpha=0.5, k=6)  # Zhang et al. 2019, their defaults
        total = max(1, s.epochs * self.steps_per_epoch)
        warmup = round(s.warmup_epochs * self.steps_per_epoch)
        lowest = s.lowest_learning_rate / s.learning_rate
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: scale_learning_rate(step, total, warmup, s.schedule, lowest)
        )
        return [optimiser], [{"scheduler": schedule, "interval": "step"}]


def split_off_head(
    model: TileClassifier, groups: list[tuple[float, list[nn.Parameter]]], rate: float
) -> list[tuple[float, list[nn.Parameter]]]:
    """Give the classifier head a learning rate of its own, as the last group.

    Parameters
    ----------
    model
        The network.
    groups
        Learning rate and parameters of each group.
    rate
        Learning rate of the head.
    """
    head = list(model.backbone.get_classifier().parameters())  # type: ignore[operator]
    head += [] if model.covariates is None else list(model.covariates.parameters())
    head += model.link.parameters()
    numbers = {id(parameter) for parameter in head}
    body = [(r, [p for p in group if id(p) not in numbers]) for r, group in groups]
    return [*[(r, group) for r, group in body if group], (rate, head)]


def measure_losses(logits: Tensor, targets: Tensor, train: TrainSettings) -> Tensor:
    """Return the loss of every tile.

    Parameters
    ----------
    logits : (B, n_classes) tensor
    targets : (B,) int tensor
        Class numbers.
    train
        Which loss; ``focal`` is -(1 - p)^gamma log p with the softmax probability p of the
        right class (Lin et al. 2017, without their class factor: tiles have weights).

    Returns
    -------
    (B,) tensor, at least 0
    """
    if train.loss == "focal":
        from kornia.losses import focal_loss

        # One column per class, of which all but that of the right class are zero. In single
        # precision, as PyTorch's cross-entropy is even where the network is in half precision.
        by_class = focal_loss(logits.float(), targets, alpha=None, gamma=train.focal_gamma)
        return by_class.sum(dim=1)
    return functional.cross_entropy(
        logits, targets, reduction="none", label_smoothing=train.label_smoothing
    )


def scale_learning_rate(
    step: int, total: int, warmup: int, schedule: str, lowest: float = 0.0
) -> float:
    """Return the factor on the learning rate at a step.

    ``constant``: 1. ``cosine``: half a cosine down to 0. ``one_cycle``: a cosine up
    from 1/25 over the first fifth, then down to 0 (Smith 2018). A warm-up rises
    linearly before either of the first two. ``linear``: from ``lowest`` up during the warm-up,
    then down to it in a line.
    """
    if schedule == "linear":
        if step < warmup:
            return lowest + (1 - lowest) * step / warmup
        return max(lowest, 1 - (1 - lowest) * (step - warmup) / max(1, total - warmup))
    if schedule == "one_cycle":
        rise = max(1, round(0.2 * total))
        if step < rise:
            return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * step / rise))
        share = min(1.0, (step - rise) / max(1, total - rise))
        return 0.5 * (1 + math.cos(math.pi * share))
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule == "constant":
        return 1.0
    share = min(1.0, (step - warmup) / max(1, total - warmup))
    return 0.5 * (1 + math.cos(math.pi * share))


def seed_global_draws(seed: int, device: torch.device) -> None:
    """Seed the global state that layers draw from on a device.

    ``torch.manual_seed`` also notes where it was called for every kind of device that is not
    there, which takes as long as a small network's layers when done for every batch.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)
