"""Trains the networks of a study of tables as a candidate, on rows without the test part."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.config.table_study import TableStudySettings
from batteryscope.search.candidate import TrainedCandidate
from batteryscope.search.plan import Strategy
from batteryscope.search.plan_table_search import TableSearch
from batteryscope.tables.plan_tasks import plan_tasks
from batteryscope.tables.predict_tasks import predict_tasks
from batteryscope.tables.scores import score_predictions, select_mape
from batteryscope.tables.split_rows import split_rows
from batteryscope.tables.train_stack import start_groups, train_tasks
from batteryscope.training.callbacks import EpochListener

log = logging.getLogger("batteryscope")


@dataclass(frozen=True)
class SearchRows:
    """What candidates see: the training and validation rows of the first repeat."""

    manifest: pd.DataFrame
    split: pd.DataFrame


def keep_seen_rows(manifest: pd.DataFrame, split: pd.DataFrame) -> SearchRows:
    """Keep the rows that the first repeat trains and validates on.

    Parameters
    ----------
    manifest, split
        Tables of the contract.
    """
    first = split.sort_values(["repeat", "fold"]).iloc[0]
    own = split[(split["repeat"] == first["repeat"]) & (split["fold"] == first["fold"])]
    own = own[own["role"] != "test"]
    seen = manifest[manifest["sample_id"].isin(own["sample_id"])]
    return SearchRows(seen.reset_index(drop=True), own.reset_index(drop=True))


def open_trainer(
    plan: TableSearch,
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    tiles: Path | None,
    parents: Sequence[Path],
) -> Callable[[Strategy], "TableTrainer"]:
    """Keep what candidates see, and return what makes the trainer of a strategy.

    Rows have neither ``tiles`` nor ``parents``.
    """
    import torch

    del tiles, parents
    torch.set_num_threads(1)  # more threads only slow down networks of this size
    rows = keep_seen_rows(manifest, split)
    return lambda strategy: TableTrainer(plan, rows, strategy)


class TableCandidate:
    """The networks of one arm and the source networks behind it, trained step by step.

    The networks that learn by themselves go on from step to step; what is built on them, such as
    an adapter, learns from what they know in the end and is trained once, at the end. So every
    network is trained with ``train.epochs`` at most, and the result is that of the study itself.
    """

    def __init__(self, settings: TableStudySettings, rows: SearchRows) -> None:
        self.settings, self.rows = settings, rows
        self.plan = plan_tasks(rows.manifest, rows.split, settings, split_rows)
        own = self.plan.table[self.plan.table["arm"] == settings.main_arm]
        # What tells early how good a candidate is: the source networks, or those of `scratch`.
        self.judged = set(own["parent"].where(own["parent"] != "", own["task"]))
        alone = [task for task in self.plan.tasks if task.parent is None]
        self.groups = start_groups(alone, {}, settings.train, settings.train.seed)
        self.epochs = 0

    def advance(self, epochs: int) -> float:
        """Train up to so many epochs; return the error, in percent, of their validation rows."""
        for group in self.groups:
            group.advance(epochs - self.epochs)
        self.epochs = epochs
        errors = {name: e for group in self.groups for name, e in group.judge().items()}
        return float(np.mean([errors[name] for name in sorted(self.judged)]))

    def finish(self) -> float:
        """Train all networks to the end; return the error of the target domains.

        Returns
        -------
        float
            Mean over targets and target domains of the mean absolute percentage error of the
            validation rows.
        """
        settings, train = self.settings, self.settings.train
        self.advance(train.epochs)
        known = {name: net for group in self.groups for name, net in group.finish().items()}
        trained = train_tasks(self.plan.tasks, train, train.seed, known)
        features = list(settings.dataset.features)
        predictions = predict_tasks(self.plan, trained, self.rows.manifest, features)
        scores = select_mape(score_predictions(predictions, "validation"))
        return float(scores.loc[scores["arm"] == settings.main_arm, "score"].mean())


@dataclass(frozen=True)
class TableTrainer:
    """Trains candidates as an arm with the source network behind it.

    An epoch of the candidate is one of every network that learns then. Looks before the last one
    judge the source networks, which are what an arm is built on, by the validation rows of the
    source domain; the last one judges the arm.
    """

    plan: TableSearch
    rows: SearchRows
    strategy: Strategy

    def train(
        self, slot: int, values: Mapping[str, Any], folder: Path, listener: EpochListener
    ) -> TrainedCandidate:
        """Train a candidate from look to look; the last one counts, and ``folder`` stays empty."""
        started = time.perf_counter()
        most, metric = self.plan.settings.max_epochs, str(self.plan.settings.metric)
        settings = self.plan.change({**values, "train.epochs": most})
        candidate = TableCandidate(settings, self.rows)
        value = float("nan")
        for epochs in self.plan.list_rungs(self.strategy):
            value = candidate.advance(epochs) if epochs < most else candidate.finish()
            log.info(
                "%s candidate %d: %d epochs, validation MAPE %.2f %%%s",
                self.plan.study, slot, epochs, value, " so far" if epochs < most else "",
            )  # fmt: skip
            listener.log_epoch(epochs - 1, {metric: value})
        return TrainedCandidate(value, most, time.perf_counter() - started)
