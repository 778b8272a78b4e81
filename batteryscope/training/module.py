"""The learning rules: loss, optimiser, schedule, seeds of every epoch."""

import math
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.nn import functional

from batteryscope.augment import TileAugmentation
from batteryscope.config.learning import AugmentSettings, TrainSettings
from batteryscope.models.classifier import TileClassifier
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
        self._sums: dict[str, Tensor] = {}

    def on_train_epoch_start(self) -> None:
        """Keep the batch-norm statistics of frozen layers as they are, too."""
        for layer in self.model.backbone.modules():
            own = list(layer.parameters(recurse=False))
            if own and not any(p.requires_grad for p in own):
                layer.eval()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the weighted mean loss of a batch."""
        tiles, targets, weights = batch
        step = (self.current_epoch, batch_idx, self.global_rank)
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "augment", *step))
        # Dropout draws from torch's global state (which the caller has forked). It is seeded for
        # every batch, because a resumed epoch reaches its first batch with another history.
        torch.manual_seed(derive_seed(self.seed, "dropout", *step))
        logits = self.model(self.augmentation(tiles, generator))
        losses = functional.cross_entropy(
            logits, targets, reduction="none", label_smoothing=self.settings.label_smoothing
        )
        loss = (losses * weights).mean()
        self.log("train_loss", loss, on_epoch=True, on_step=False, batch_size=len(tiles))
        return loss

    def on_validation_epoch_start(self) -> None:
        """Start counting."""
        zero = torch.zeros((), dtype=torch.float64, device=self.device)
        self._sums = {"loss": zero.clone(), "correct": zero.clone(), "n": zero.clone()}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch of validation tiles to the counts."""
        tiles, targets, _ = batch
        logits = self.model(tiles)
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
        """Return the optimiser and its per-step schedule."""
        s = self.settings
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        classes: dict[str, Any] = {
            "adam": torch.optim.Adam,
            "adamw": torch.optim.AdamW,
            "sgd": torch.optim.SGD,
        }
        extra = {"momentum": 0.9} if s.optimiser == "sgd" else {}
        optimiser = classes[s.optimiser](
            parameters, lr=s.learning_rate, weight_decay=s.weight_decay, **extra
        )
        total = max(1, s.epochs * self.steps_per_epoch)
        warmup = round(s.warmup_epochs * self.steps_per_epoch)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: scale_learning_rate(step, total, warmup, s.schedule)
        )
        return [optimiser], [{"scheduler": schedule, "interval": "step"}]


def scale_learning_rate(step: int, total: int, warmup: int, schedule: str) -> float:
    """Return the factor on the learning rate at a step.

    ``constant``: 1. ``cosine``: half a cosine down to 0. ``one_cycle``: a cosine up
    from 1/25 over the first fifth, then down to 0 (Smith 2018). A warm-up rises
    linearly before either of the first two.
    """
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
