"""All fits of one stage, in one process."""

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.answers.choose import answer_of
from batteryscope.balance import choose_samples, find_specimens
from batteryscope.config.covariates import list_inputs
from batteryscope.errors import InputError
from batteryscope.manifest.covariate_columns import take_inputs
from batteryscope.manifest.select import select_samples
from batteryscope.plan import StageSettings
from batteryscope.provenance import digest_file
from batteryscope.training.callbacks import EpochListener
from batteryscope.training.data import select_grid_tiles, select_training_tiles
from batteryscope.training.discriminant import FeatureStore, fit_in_closed_form
from batteryscope.training.fit import (
    FitTask,
    deliver_fit,
    fit_model,
    identify_fit,
    is_finished,
)
from batteryscope.training.several_devices import fit_on_devices

log = logging.getLogger("batteryscope")


def list_fits(split: pd.DataFrame, part: int, n_parts: int) -> list[tuple[int, int]]:
    """Return the (repeat, fold) pairs of one of ``n_parts`` jobs, dealt out in turn."""
    pairs = split[["repeat", "fold"]].drop_duplicates().sort_values(["repeat", "fold"])
    return [(int(r), int(f)) for r, f in pairs.itertuples(index=False)][part::n_parts]


def plan_fits(
    settings: StageSettings,
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    balance: pd.DataFrame,
    index: pd.DataFrame,
    tiles: NDArray[np.uint8],
    pairs: list[tuple[int, int]],
    code_digest: str,
    parents: dict[str, Path] | None = None,
) -> tuple[list[str], list[FitTask]]:
    """Decide what each fit trains on.

    Parameters
    ----------
    settings
        The stage's settings; ``where`` and ``balance`` limit its samples.
    manifest, split, balance, index
        Tables of the contract.
    tiles : (n, H, W) uint8 array
        The tile store, read once for its digest.
    pairs
        The (repeat, fold) pairs to plan.
    code_digest
        Hash of the code that trains.
    parents
        Folder of the parent stage's fit by fit name.

    Returns
    -------
    classes : list of str
        The outputs of the model: all classes of the manifest, sorted, or the targets.
    tasks : list of FitTask
    """
    answer = answer_of(settings)
    labels = manifest.set_index("sample_id")["class"]
    classes = answer.list_outputs(settings, manifest)
    numbers = answer.find_truth(classes, manifest)
    beside = find_covariates(settings, manifest)
    where = f"stage '{settings.stage}': where"
    allowed = set(select_samples(manifest, settings.where, where)["sample_id"])
    tiles_digest = hashlib.sha256(np.ascontiguousarray(tiles).data).hexdigest()
    tasks = []
    for repeat, fold in pairs:
        roles = split[(split["repeat"] == repeat) & (split["fold"] == fold)]
        validation_ids = roles.loc[roles["role"] == "validation", "sample_id"]
        own = balance[(balance["repeat"] == repeat) & (balance["fold"] == fold)]
        training = select_training_tiles(index, own, numbers, beside)
        if settings.model.pool_samples:  # all that judges a sample teaches what is known of it
            samples = pd.Series(np.unique(training.sample_ids), dtype=object)
            training = select_grid_tiles(index, samples, numbers, beside)
        judged = validation_ids[validation_ids.isin(allowed)]
        validation = select_grid_tiles(index, judged, numbers, beside)
        if settings.balance.limits_samples:
            chosen = choose_samples(
                labels.loc[sorted(set(validation.sample_ids))],
                find_specimens(manifest),
                settings.balance,
                answer.needs_all_classes,
                settings.train.seed,
                repeat,
                fold,
            )
            ids = pd.Series(chosen, dtype=object)
            validation = select_grid_tiles(index, ids, numbers, beside)
        if not len(validation):
            raise InputError(
                f"stage '{settings.stage}', repeat {repeat}, fold {fold}: no validation tile is "
                "left; give the split more validation images or loosen the tile filter."
            )
        name = f"r{repeat}_f{fold}"
        parent = (parents or {}).get(name)
        parent_digest = digest_file(parent / "weights.safetensors") if parent else ""
        identity = identify_fit(
            settings, training, validation, tiles_digest, code_digest, parent_digest
        )
        tasks.append(FitTask(repeat, fold, training, validation, identity, parent))
    return classes, tasks


def find_covariates(settings: StageSettings, manifest: pd.DataFrame) -> pd.DataFrame | None:
    """Return what the networks of a stage are given beside pictures, by ``sample_id``.

    Raises
    ------
    InputError
        A covariate is missing, or has one value in all samples.
    """
    if not settings.covariates:
        return None
    table = take_inputs(manifest, list_inputs(settings.covariates))
    for covariate in settings.covariates:
        own = table[covariate.inputs]
        if (own == own.iloc[0]).to_numpy().all():
            raise InputError(
                f"dataset.covariates.columns.{covariate.name} has one value in all {len(table)} "
                "samples, so it has no effect; leave it out."
            )
    return table


def train_stage(
    settings: StageSettings,
    classes: list[str],
    tasks: list[FitTask],
    tiles: NDArray[np.uint8],
    state_dir: Path,
    out_dir: Path,
    make_listener: Callable[[FitTask], EpochListener | None] = lambda _: None,
) -> None:
    """Train (or find finished) all fits and place them in ``out_dir``."""
    features = FeatureStore(tiles)
    for i, task in enumerate(tasks):
        label = f"{settings.study} {settings.stage}, fit {i + 1} of {len(tasks)} ({task.name})"
        folder = state_dir / task.name
        if is_finished(folder, task.identity):
            log.info("%s: already trained on the same data with the same settings.", label)
        else:
            listener = make_listener(task)
            try:
                train_fit(task, settings, classes, tiles, folder, label, listener, features)
            except BaseException:
                if listener is not None:
                    listener.finish("FAILED")
                raise
            if listener is not None:
                listener.finish("FINISHED")
        deliver_fit(folder, out_dir / task.name)
        best = json.loads((folder / "fit.json").read_text(encoding="utf-8"))["best_epoch"]
        log.info("%s: done, best epoch %d.", label, best + 1)


def train_fit(
    task: FitTask,
    settings: StageSettings,
    classes: list[str],
    tiles: NDArray[np.uint8],
    folder: Path,
    label: str,
    listener: EpochListener | None = None,
    features: FeatureStore | None = None,
) -> None:
    """Train one fit by the method of the settings; ``features`` are shared by the fits of a job."""
    if settings.train.is_solved:
        store = features or FeatureStore(tiles)
        fit_in_closed_form(task, settings, classes, tiles, store, folder, label)
    else:
        fit = fit_model if settings.train.devices == 1 else fit_on_devices
        fit(task, settings, classes, tiles, folder, label, listener)
