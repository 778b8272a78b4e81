"""Training one candidate, on data from which the test part has been taken away."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray

from batteryscope.balance import balance_stage
from batteryscope.config.search import SearchSettings
from batteryscope.errors import InputError
from batteryscope.plan import StageSettings
from batteryscope.provenance import digest_training_code
from batteryscope.search.plan_search import change_stage
from batteryscope.search.queue import SLOT
from batteryscope.search.sampling import draw_values
from batteryscope.tilestore import JUDGING_KINDS, TRAINING_KINDS
from batteryscope.training.callbacks import EpochListener
from batteryscope.training.fit import FitTask, is_finished
from batteryscope.training.stage import plan_fits, train_fit


@dataclass(frozen=True)
class SearchData:
    """What candidates see: the training and validation part of the first fit."""

    manifest: pd.DataFrame
    split: pd.DataFrame
    index: pd.DataFrame
    tiles: NDArray[np.uint8]


def keep_seen_part(
    manifest: pd.DataFrame, split: pd.DataFrame, index: pd.DataFrame, tiles: NDArray[np.uint8]
) -> SearchData:
    """Copy what the first repeat and fold trains and validates on; nothing else is read.

    Parameters
    ----------
    manifest, split, index
        Tables of the contract.
    tiles : (n, H, W) uint8 array
        The tile store.

    Returns
    -------
    SearchData
        Split and tile index without test samples, tiles renumbered. The manifest stays whole,
        since it names the classes.
    """
    first = split.sort_values(["repeat", "fold"]).iloc[0]
    own = split[(split["repeat"] == first["repeat"]) & (split["fold"] == first["fold"])]
    own = own[own["role"] != "test"]
    role = index["sample_id"].map(own.set_index("sample_id")["role"])
    wanted = (role == "train") & index["kind"].isin(TRAINING_KINDS)
    wanted |= (role == "validation") & index["kind"].isin(JUDGING_KINDS)
    kept = index[wanted & index["used"]].sort_values("tile")
    seen = np.ascontiguousarray(tiles[kept["tile"].to_numpy(np.int64)])
    return SearchData(manifest, own, kept.assign(tile=np.arange(len(kept))), seen)


def plan_candidate(data: SearchData, settings: StageSettings, parent: Path | None) -> FitTask:
    """Decide what a candidate trains on; its balance may be part of the search."""
    balance = balance_stage(
        data.manifest, data.split, data.index, settings.balance, settings.where,
        settings.stage, settings.train.seed,
    )  # fmt: skip
    pair = (int(data.split["repeat"].iloc[0]), int(data.split["fold"].iloc[0]))
    parents = {f"r{pair[0]}_f{pair[1]}": parent} if parent else {}
    weights = Path(settings.model.weights)
    code = digest_training_code() + (str(weights) if weights.is_file() else "")
    _, tasks = plan_fits(
        settings, data.manifest, data.split, balance, data.index, data.tiles, [pair], code, parents
    )
    return tasks[0]


class Pruned(EpochListener):
    """Reports every epoch to the search, which may stop the training; passes it on."""

    def __init__(self, trial: optuna.Trial, metric: str, other: EpochListener | None) -> None:
        self.trial = trial
        self.metric = metric
        self.other = other

    def log_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        """Report the metric of one epoch.

        Raises
        ------
        optuna.TrialPruned
            If the candidate is to stop here.
        """
        if self.other is not None:
            self.other.log_epoch(epoch, metrics)
        self.trial.report(metrics[self.metric], epoch + 1)
        self.trial.set_user_attr("epochs", epoch + 1)
        if self.trial.should_prune():
            raise optuna.TrialPruned

    def finish(self, status: str) -> None:
        """Pass the end on."""
        if self.other is not None:
            self.other.finish(status)


def train_candidate(
    trial: optuna.Trial,
    search: SearchSettings,
    stage: StageSettings,
    data: SearchData,
    state_dir: Path,
    parent: Path | None = None,
    listen: Callable[[int, dict[str, Any]], EpochListener | None] = lambda *_: None,
) -> float:
    """Draw the settings of a candidate, train it and return its validation metric.

    Parameters
    ----------
    trial
        The candidate.
    search, stage
        Settings of the search (``metric`` named) and of the stage as configured.
    data
        Training and validation part.
    state_dir
        Folder for all candidates: a killed one goes on after its last epoch.
    parent
        Folder of the fit that the stage continues.
    listen
        Makes a listener from number and values of the candidate.

    Returns
    -------
    float
        The metric of the best epoch.

    Raises
    ------
    optuna.TrialPruned
        If it was stopped early.
    BatteryscopeError
        If its settings do not go together.
    """
    values = draw_values(trial, search)
    settings = change_stage(stage, values, search)
    slot = int(trial.user_attrs[SLOT])
    folder = state_dir / f"candidate_{slot:04d}"
    task = plan_candidate(data, settings, parent)
    outputs = stage.targets or sorted(data.manifest["class"].unique())
    label = f"{settings.study} candidate {slot}"
    metric = str(search.metric)
    listener = Pruned(trial, metric, listen(slot, values))
    try:
        if not is_finished(folder, task.identity):
            train_fit(task, settings, outputs, data.tiles, folder, label, listener)
        history = pd.read_csv(folder / "history.csv")
        values_by_epoch = history[metric]
        if not np.isfinite(values_by_epoch).any():
            raise InputError(f"{label}: {metric} is not a number in any epoch.")
        trial.set_user_attr("epochs", len(history))
        fit = json.loads((folder / "fit.json").read_text(encoding="utf-8"))
        trial.set_user_attr("seconds", fit["wall_seconds"])
        listener.finish("FINISHED")
    except BaseException as error:
        pruned = isinstance(error, optuna.TrialPruned)
        listener.finish("FINISHED" if pruned else "FAILED")
        if pruned:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    best = values_by_epoch.min() if search.is_error else values_by_epoch.max()
    return float(best)
