"""Trains the networks of a study of tables as a candidate, on rows without the test part."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.config.table_study import TableStudySettings
from batteryscope.search.candidate import TrainedCandidate
from batteryscope.search.plan import Strategy
from batteryscope.search.plan_table_search import TableSearch
from batteryscope.tables.plan_tasks import plan_tasks
from batteryscope.tables.predict_tasks import predict_tasks
from batteryscope.tables.scores import score_predictions, select_mape
from batteryscope.tables.split_rows import split_rows
from batteryscope.tables.train_stack import train_tasks
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


def judge_settings(settings: TableStudySettings, rows: SearchRows) -> float:
    """Train one arm and the source network behind it; return the error of validation rows.

    Returns
    -------
    float
        Mean over targets and target domains of the mean absolute percentage error.
    """
    plan = plan_tasks(rows.manifest, rows.split, settings, split_rows)
    trained = train_tasks(plan.tasks, settings.train, settings.train.seed)
    features = list(settings.dataset.features)
    predictions = predict_tasks(plan, trained, rows.manifest, features)
    scores = select_mape(score_predictions(predictions, "validation"))
    return float(scores.loc[scores["arm"] == settings.main_arm, "score"].mean())


@dataclass(frozen=True)
class TableTrainer:
    """Trains candidates as an arm with the source network behind it.

    The arm learns from what the source network knows in the end, so a longer training is no
    continuation of a shorter one: every rung trains the whole chain anew, each network with as
    many epochs as the rung says. An epoch of the candidate is one of every network.
    """

    plan: TableSearch
    rows: SearchRows
    strategy: Strategy

    def count_spent(self, epoch: int) -> int:
        """Return the epochs of all rungs up to this one."""
        return sum(rung for rung in self.plan.list_rungs(self.strategy) if rung <= epoch)

    def train(
        self, slot: int, values: Mapping[str, Any], folder: Path, listener: EpochListener
    ) -> TrainedCandidate:
        """Train a candidate rung by rung; the last one counts, and ``folder`` stays empty."""
        started = time.perf_counter()
        value, metric = float("nan"), str(self.plan.settings.metric)
        for epochs in self.plan.list_rungs(self.strategy):
            settings = self.plan.change({**values, "train.epochs": epochs})
            value = judge_settings(settings, self.rows)
            log.info(
                "%s candidate %d: %d epochs, validation MAPE %.2f %%",
                self.plan.study, slot, epochs, value,
            )  # fmt: skip
            listener.log_epoch(epochs - 1, {metric: value})
        spent = self.count_spent(self.plan.settings.max_epochs)
        return TrainedCandidate(value, spent, time.perf_counter() - started)
