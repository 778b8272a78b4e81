"""Trains the fits of a stage on tiles, and lets each predict what it has not learned from."""

from collections.abc import Callable
from functools import partial, singledispatch
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.config.json_text import read_settings
from batteryscope.errors import ConfigError
from batteryscope.evaluation.device_memory import list_devices
from batteryscope.evaluation.fits_side_by_side import train_on_devices
from batteryscope.evaluation.forward import choose_device, load_fit, predict_fit
from batteryscope.evaluation.gather_fits import FIT_PREDICTIONS
from batteryscope.evaluation.number_predictions import predict_number_fit
from batteryscope.models.classifier import TileClassifier, TileRegressor
from batteryscope.models.fold_batch_norm import fold_batch_norm
from batteryscope.models.weights_file import digest_weights
from batteryscope.plan import StageSettings
from batteryscope.planning.training_job import TrainingJob
from batteryscope.provenance import digest_training_code
from batteryscope.tilestore import TileStore
from batteryscope.training.data import as_batch
from batteryscope.training.fit import FitTask
from batteryscope.training.stage import list_fits, plan_fits, train_stage


def write_fit_predictions(
    folder: Path, store: TileStore, manifest: pd.DataFrame, roles: pd.DataFrame, accelerator: str
) -> None:
    """Predict all validation and test tiles of a fit, and keep the table beside its weights.

    Nothing is chosen by these predictions; an arm takes what it needs of them.

    Parameters
    ----------
    folder
        The finished fit; ``predictions.parquet`` is written there.
    store, manifest
        Tiles and samples.
    roles
        Rows of the split of this repeat and fold.
    accelerator
        ``auto``, ``cpu`` or ``gpu``.
    """
    model = fold_batch_norm(load_fit(folder), as_batch(store.tiles[[0]]))
    model = model.to(choose_device(accelerator))
    table = _predict(model, store, manifest, roles)
    table.to_parquet(folder / FIT_PREDICTIONS, index=False)


@singledispatch
def _predict(
    model: TileClassifier, store: TileStore, manifest: pd.DataFrame, roles: pd.DataFrame
) -> pd.DataFrame:
    return predict_fit(model, store.tiles, store.index, manifest, roles)


@_predict.register
def _predict_numbers(
    model: TileRegressor, store: TileStore, manifest: pd.DataFrame, roles: pd.DataFrame
) -> pd.DataFrame:
    return predict_number_fit(model, store.tiles, store.index, manifest, roles)


def _train_fits(
    settings: StageSettings,
    classes: list[str],
    tiles: Path,
    state: Path,
    out: Path,
    make_listener: Callable[[Any, Any], Any] | None,
    tasks: list[FitTask],
) -> None:
    """Train fits one after the other, in whatever process."""
    listen = partial(make_listener, settings) if make_listener else lambda _: None
    train_stage(settings, classes, tasks, TileStore.open(tiles).tiles, state, out, listen)


def train(job: TrainingJob) -> None:
    """Train a share of the fits of a stage, each with the tables that say what it learns from.

    Raises
    ------
    ConfigError
        Settings cannot be read, or the job lacks what pictures need.
    """
    settings = read_settings(StageSettings, job.settings)
    if job.balance is None or job.tiles is None or job.state is None:
        raise ConfigError("--balance, --tiles, --state: stages of pictures need all three.")
    manifest, split = pd.read_parquet(job.manifest), pd.read_parquet(job.split)
    store = TileStore.open(job.tiles)
    classes, tasks = plan_fits(
        settings,
        manifest,
        split,
        pd.read_parquet(job.balance),
        store.index,
        store.tiles,
        list_fits(split, job.part, settings.train.parallel_jobs),
        digest_training_code() + digest_weights(settings.model),
        {fit.name: fit for part in job.parents for fit in sorted(part.glob("r*_f*"))},
    )
    job.out.mkdir(parents=True, exist_ok=True)  # stays empty if there are more jobs than fits
    fit = partial(_train_fits, settings, classes, job.tiles, job.state, job.out, job.make_listener)
    train_on_devices(fit, tasks, list_devices(settings.train), job.state)
    for task in tasks:
        roles = split[(split["repeat"] == task.repeat) & (split["fold"] == task.fold)]
        folder = job.out / task.name
        write_fit_predictions(folder, store, manifest, roles, settings.train.accelerator)
