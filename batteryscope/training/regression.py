"""Learning rules of models that predict numbers: relative loss, penalty, adversarial noise."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from batteryscope.models.classifier import TileRegressor
from batteryscope.models.grey_input import FULL_SCALE
from batteryscope.seeds import derive_seed
from batteryscope.training.data import Batch
from batteryscope.training.module import StageModule, seed_global_draws


class RegressionModule(StageModule):
    """One stage of training a :class:`TileRegressor`."""

    model: TileRegressor

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch, penalty included; logged is the loss without it."""
        tiles, targets, weights, *beside = batch
        step = (self.current_epoch, batch_idx, self.global_rank)
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "augment", *step))
        seed_global_draws(derive_seed(self.seed, "dropout", *step), tiles.device)
        x = self.augmentation(tiles, generator)
        if self.settings.adversarial_noise:
            x = self._add_adversarial_noise(x, targets, generator, beside)
        loss = (self._measure(self.model(x, *beside), targets) * weights).mean()
        self.log_loss(loss, len(tiles))
        if self.settings.penalty == "none":
            return loss
        return loss + self.settings.penalty_weight * measure_penalty(
            self.model, self.settings.penalty
        )

    def on_validation_epoch_start(self) -> None:
        """Start counting."""
        zero = torch.zeros((), dtype=torch.float64, device=self.device)
        self._sums = {"loss": zero.clone(), "mape": zero.clone(), "n": zero.clone()}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch of validation tiles to the sums."""
        tiles, targets, _, *beside = batch
        predicted = self.model(tiles, *beside)
        self._sums["loss"] += self._measure(predicted, targets).double().sum()
        self._sums["mape"] += measure_mape(predicted, targets).double().sum()
        self._sums["n"] += len(targets)

    def on_validation_epoch_end(self) -> None:
        """Log loss and MAPE over all validation tiles (of all devices); no MAPE if a value is 0."""
        sums = {k: self.trainer.strategy.reduce(v, reduce_op="sum") for k, v in self._sums.items()}
        n = sums["n"].clamp_min(1)
        self.log("val_loss", (sums["loss"] / n).float())
        mape = (sums["mape"] / n).float()
        if torch.isfinite(mape) or "mape" in (self.settings.loss, self.settings.monitor[4:]):
            self.log("val_mape", mape)

    def _measure(self, predicted: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of every tile, (B,)."""
        return measure_loss(self.model, predicted, targets, self.settings.loss)

    def _add_adversarial_noise(
        self, x: Tensor, targets: Tensor, generator: torch.Generator, beside: Sequence[Tensor]
    ) -> Tensor:
        """Move the grey levels up the gradient of the loss, each tile by a step of its own."""
        x = x.detach().requires_grad_(True)
        loss = self._measure(self.model(x, *beside), targets).sum()
        (gradient,) = torch.autograd.grad(loss, x)
        mean_grey = float(self.model.input.training_mean) * FULL_SCALE
        largest = self.settings.adversarial_noise * mean_grey
        size = largest * torch.rand(len(x), 1, 1, 1, generator=generator).to(x.device)
        return (x + size * gradient.sign()).clamp(0, FULL_SCALE).detach()


def measure_loss(model: TileRegressor, predicted: Tensor, targets: Tensor, kind: str) -> Tensor:
    """Return the loss of every tile, (B,): ``mape`` in percent, ``mae`` or ``mse`` in spreads."""
    if kind == "mape":
        return measure_mape(predicted, targets)
    error = model.transform(predicted) - model.transform(targets)
    error = error / model.get_buffer("output_sd")
    return (error.abs() if kind == "mae" else error**2).mean(dim=1)


def measure_mape(predicted: Tensor, targets: Tensor) -> Tensor:
    """Return the mean absolute percentage error of every tile over its outputs, (B,)."""
    return 100 * ((predicted - targets) / targets).abs().mean(dim=1)


def measure_penalty(model: nn.Module, kind: str) -> Tensor:
    """Return the sum of absolute (``l1``) or squared (``l2``) weights of all layers.

    Biases and batch norm do not count.
    """
    weights = [
        module.weight
        for module in model.modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and module.weight.requires_grad
    ]
    if kind == "l1":
        return torch.stack([w.abs().sum() for w in weights]).sum()
    return torch.stack([(w**2).sum() for w in weights]).sum()
