"""Trains a stage of an arm as a candidate, on tiles from which the test part was taken away."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.balance import balance_stage
from batteryscope.errors import InputError
from batteryscope.models.weights_file import digest_weights
from batteryscope.plan import StageSettings
from batteryscope.provenance import digest_training_code
from batteryscope.search.candidate import TrainedCandidate
from batteryscope.search.plan import Strategy
from batteryscope.search.plan_search import StageSearch, change_stage
from batteryscope.tilestore import JUDGING_KINDS, TRAINING_KINDS, TileStore
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


def plan_candidate(
    data: SearchData, settings: StageSettings, parent: Path | None
) -> tuple[list[str], FitTask]:
    """Decide what a candidate learns, and on what; its balance may be part of the search."""
    balance = balance_stage(
        data.manifest, data.split, data.index, settings.balance, settings.where,
        settings.stage, settings.train.seed, tiles_per_class=settings.tiles_per_class,
    )  # fmt: skip
    pair = (int(data.split["repeat"].iloc[0]), int(data.split["fold"].iloc[0]))
    parents = {f"r{pair[0]}_f{pair[1]}": parent} if parent else {}
    code = digest_training_code() + digest_weights(settings.model)
    outputs, tasks = plan_fits(
        settings, data.manifest, data.split, balance, data.index, data.tiles, [pair], code, parents
    )
    return outputs, tasks[0]


def open_trainer(
    plan: StageSearch,
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    tiles: Path | None,
    parents: Sequence[Path],
) -> Callable[[Strategy], "StageTrainer"]:
    """Open what candidates see, and return what makes the trainer of a strategy.

    Raises
    ------
    InputError
        The tile store is missing.
    """
    if tiles is None:
        raise InputError("--tiles is missing: candidates of this study learn from tiles.")
    store = TileStore.open(tiles)
    data = keep_seen_part(manifest, split, store.index, store.tiles)
    return lambda strategy: StageTrainer(plan, data, tuple(parents))


@dataclass(frozen=True)
class StageTrainer:
    """Trains candidates as the last stage of an arm.

    Attributes
    ----------
    plan
        The search.
    data
        Training and validation part.
    parents
        Parts of the stage that the searched one continues; empty if there is none.
    """

    plan: StageSearch
    data: SearchData
    parents: tuple[Path, ...] = ()

    def train(
        self, slot: int, values: Mapping[str, Any], folder: Path, listener: EpochListener
    ) -> TrainedCandidate:
        """Train a candidate, or go on after its last epoch; its best epoch counts.

        Raises
        ------
        BatteryscopeError
            If its settings do not go together.
        """
        search, stage, data = self.plan.settings, self.plan.stage.settings, self.data
        settings = change_stage(stage, values, search)
        outputs, task = plan_candidate(data, settings, self._find_parent())
        label = f"{settings.study} candidate {slot}"
        if not is_finished(folder, task.identity):
            train_fit(task, settings, outputs, data.tiles, folder, label, listener)
        history = pd.read_csv(folder / "history.csv")[str(search.metric)]
        fit = json.loads((folder / "fit.json").read_text(encoding="utf-8"))
        best = history.min() if search.is_error else history.max()
        return TrainedCandidate(float(best), len(history), float(fit["wall_seconds"]))

    def _find_parent(self) -> Path | None:
        split = self.data.split
        fit = f"r{split['repeat'].iloc[0]}_f{split['fold'].iloc[0]}"
        return next((folder for part in self.parents for folder in part.glob(fit)), None)
