"""What a network of a table study is trained on, and what comes out."""

from dataclasses import dataclass
from typing import Literal

from batteryscope.config.table_study import NetworkSettings
from batteryscope.tables.networks import Numbers, Stack

TaskKind = Literal["scratch", "adapter", "fine_tuning", "process"]


@dataclass(frozen=True)
class Rows:
    """Some rows of a table.

    Attributes
    ----------
    sample_ids : tuple of str
        Names of the rows.
    features : (rows, n_features) float array
        In the units of the manifest.
    targets : (rows,) float array
        One target, in its unit.
    """

    sample_ids: tuple[str, ...]
    features: Numbers
    targets: Numbers

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class NetworkTask:
    """One network to train.

    Attributes
    ----------
    name
        Unique within a study.
    target
        What it predicts.
    kind
        ``scratch``: from random weights. ``adapter``: behind the parent, which stays as it
        is. ``fine_tuning``: all weights, starting from the parent's, with its scaling.
        ``process``: a Gaussian process, which may build on that of the parent.
    network
        Shape.
    train, validation
        Rows.
    seed_names
        What the random numbers depend on, besides the seed of the training.
    parent
        Name of the task whose network is built on.
    """

    name: str
    target: str
    kind: TaskKind
    network: NetworkSettings
    train: Rows
    validation: Rows
    seed_names: tuple[str, ...]
    parent: str | None = None


@dataclass(frozen=True)
class TrainedNetwork:
    """The best of the restarts of a task; a Gaussian process, which has neither these nor epochs.

    Attributes
    ----------
    network
        A stack of one.
    train_mape, validation_mape : (epochs,) float array
        Error at the end of each epoch, in percent.
    best_epoch
        Epoch, counted from 1, whose weights these are; 0 without epochs.
    restart
        Which initialisation it was, counted from 0.
    """

    network: Stack
    train_mape: Numbers
    validation_mape: Numbers
    best_epoch: int
    restart: int
