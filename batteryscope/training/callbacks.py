"""What happens at the end of every epoch: history, messages, live tracking."""

import logging
import time
from typing import Any, Protocol

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.callbacks.weight_averaging import EMAWeightAveraging, WeightAveraging

from batteryscope.config.learning import TrainSettings

log = logging.getLogger("batteryscope")

MAX_SAVING_SHARE = 0.04  # of the time of training, for states to resume from
USUAL_DECAY = 0.99  # of an average over steps: the last hundred count most


class EpochListener(Protocol):
    """Anything that wants to hear of finished epochs, such as a live tracking run."""

    def log_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        """Take the metrics of one epoch."""

    def finish(self, status: str) -> None:
        """Hear that the fit has ended, with ``FINISHED`` or ``FAILED``."""


class EpochRecorder(pl.Callback):
    """Keeps the history of a fit; it is part of every checkpoint, so a resumed fit has it whole."""

    def __init__(self, label: str, listener: EpochListener | None = None) -> None:
        self.label = label
        self.listener = listener
        self.history: list[dict[str, float]] = []
        self._started = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the epoch and say how it went; validation is over by now."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        measures = [name for name in ("val_accuracy", "val_mape") if name in metrics]
        row: dict[str, float] = {
            "epoch": trainer.current_epoch,
            "train_loss": metrics["train_loss"],
            "val_loss": metrics["val_loss"],
            **{name: metrics[name] for name in measures},
            "learning_rate": float(trainer.optimizers[0].param_groups[0]["lr"]),
            "seconds": time.perf_counter() - self._started,
        }
        self.history.append(row)
        if not trainer.is_global_zero:
            return
        words = {"val_accuracy": "accuracy", "val_mape": "MAPE"}
        log.info(
            "%s: epoch %d of %d, training loss %.3f, validation loss %.3f%s, %.0f s",
            self.label,
            trainer.current_epoch + 1,
            trainer.max_epochs,
            row["train_loss"],
            row["val_loss"],
            "".join(f", validation {words[name]} {row[name]:.3f}" for name in measures),
            row["seconds"],
        )
        if self.listener is not None:
            self.listener.log_epoch(
                trainer.current_epoch, {k: v for k, v in row.items() if k != "epoch"}
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the history for the checkpoint."""
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the history back from a checkpoint."""
        self.history = list(state_dict["history"])


class ResumePoint(ModelCheckpoint):
    """Saves the state to resume from, at ends of epochs, unless that would slow training down.

    A fit of many short epochs is saved after some of them only. What it repeats after a kill it
    repeats exactly, so the weights do not depend on when its state was saved.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(save_on_train_epoch_end=True, enable_version_counter=False, **options)
        self._saved_at = float("-inf")
        self._cost = 0.0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save, if the last time is long enough ago for what it took."""
        started = time.perf_counter()
        due = started - self._saved_at >= self._cost / MAX_SAVING_SHARE
        if not trainer.strategy.broadcast(due):  # all devices save together
            return
        super().on_train_epoch_end(trainer, pl_module)
        self._saved_at = time.perf_counter()
        self._cost = self._saved_at - started


class _EqualAveraging(WeightAveraging):
    """The mean of the weights after every step, from a step on (Izmailov et al. 2018)."""

    def __init__(self, first_step: int) -> None:
        super().__init__()
        self.first_step = first_step

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Up to the first step of the average it is a copy of what is trained."""
        if step_idx is None:
            return False
        if step_idx <= self.first_step and self._average_model is not None:
            self._average_model.n_averaged.zero_()
        return True


def average_weights(train: TrainSettings, steps_per_epoch: int) -> list[pl.Callback]:
    """Return the callback that averages weights as the settings say, if they do.

    Parameters
    ----------
    train
        The settings of the training.
    steps_per_epoch
        Steps of this device.
    """
    if train.averaging == "exponential":
        return [EMAWeightAveraging(decay=train.averaging_decay or USUAL_DECAY)]
    if train.averaging == "equal":
        return [_EqualAveraging(train.averaging_from_epoch * steps_per_epoch)]
    return []
