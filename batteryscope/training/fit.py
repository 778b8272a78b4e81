"""Train one stage for one repeat and fold: resumable, and skipped when nothing changed."""

import json
import logging
import os
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.utilities.exceptions import SIGTERMException
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from batteryscope.config.learning import TrainSettings
from batteryscope.models.classifier import TileClassifier, TileRegressor, build_classifier
from batteryscope.plan import StageSettings
from batteryscope.provenance import digest_json
from batteryscope.seeds import derive_seed
from batteryscope.training.callbacks import (
    EpochListener,
    EpochRecorder,
    ResumePoint,
    average_weights,
)
from batteryscope.training.data import (
    EpochBatches,
    TileSet,
    count_channels,
    count_grey_levels,
    make_loader,
    place_tiles,
)
from batteryscope.training.fit_integrity import (
    FIT_FILES,
    RECORD,
    WEIGHTS,
    check_finite,
    find_damage,
    is_readable_checkpoint,
    read_record,
    seal_fit,
)
from batteryscope.training.module import StageModule
from batteryscope.training.regression import RegressionModule
from batteryscope.training.sync_batch_norm import SyncedBatchNorm

log = logging.getLogger("batteryscope")


@dataclass(frozen=True)
class FitTask:
    """One fit: what to train on, and what it is called."""

    repeat: int
    fold: int
    training: TileSet
    validation: TileSet
    identity: str
    parent: Path | None = None

    @property
    def name(self) -> str:
        """Folder name, for example ``r0_f3``."""
        return f"r{self.repeat}_f{self.fold}"


def identify_fit(
    settings: StageSettings,
    training: TileSet,
    validation: TileSet,
    tiles_digest: str,
    code_digest: str,
    parent_digest: str,
) -> str:
    """Return a hash of everything that the result of a fit depends on.

    Two fits with the same identity have the same weights, so the second need not
    run. How the work is divided over jobs does not count.
    """
    values = settings.model_dump(mode="json")
    for division in ("parallel_jobs", "threads"):
        values["train"].pop(division)
    values.pop("study")
    tile_sets = [
        {
            "rows": tile_set.rows.tolist(),
            "targets": tile_set.targets.tolist(),
            "weights": [round(float(w), 6) for w in tile_set.weights],
            "samples": sorted(set(tile_set.sample_ids)),
        }
        | ({} if tile_set.covariates is None else {"covariates": tile_set.covariates.tolist()})
        for tile_set in (training, validation)
    ]
    return digest_json([values, tile_sets, tiles_digest, code_digest, parent_digest])


def is_finished(folder: Path, identity: str) -> bool:
    """Whether ``folder`` holds the complete and sound result of the fit with this identity.

    A damaged one is told of in one line, since it is trained again.
    """
    record = read_record(folder)
    if record is None or record.get("identity") != identity:
        return False
    if damage := find_damage(folder, record):
        log.warning("%s: this finished fit is damaged (%s); it is trained again.", folder, damage)
        return False
    return True


def fit_model(
    task: FitTask,
    settings: StageSettings,
    classes: list[str],
    tiles: NDArray[Any],
    state_dir: Path,
    label: str,
    listener: EpochListener | None = None,
) -> None:
    """Train one fit, resuming from its last epoch if it was interrupted.

    With several devices it is called in a process of each
    (:mod:`batteryscope.training.several_devices`).

    Parameters
    ----------
    task
        Tiles, identity, and the folder of the parent stage's fit, if any.
    settings
        The stage's settings.
    classes
        Class names in the order of the class numbers, or names of the targets.
    tiles : (n, H, W) or (n, C, H, W) uint8 array
        The tile store.
    state_dir
        Folder of this fit; afterwards it holds ``weights.safetensors`` (of the best
        epoch on validation), ``model.json``, ``history.csv``, ``fit.json``.
    label
        How messages name this fit.
    listener
        Is told of every epoch.
    """
    checkpoint = prepare_state(state_dir, task.identity)
    train = settings.train
    seed = derive_seed(train.seed, settings.stage, task.repeat, task.fold)
    model = build_classifier(
        settings.model,
        classes,
        tiles.shape[-1],
        derive_seed(seed, "weights"),
        count_channels(tiles),
        train.epochs,
        settings.log_targets,
        settings.covariates,
        settings.grades,
    )
    if task.parent is not None:
        model.load_state_dict(load_file(task.parent / WEIGHTS))
    model.input.learn_statistics(count_grey_levels(tiles, task.training.rows))
    learn_covariates(model, task.training, label)
    if task.parent is None:
        model.learn_scale(task.training.targets)

    balanced = settings.balance.method == "class_balanced"
    batches = EpochBatches(
        len(task.training),
        train.batch_size,
        seed,
        items_per_epoch=train.tiles_per_epoch,
        balanced_targets=task.training.targets if balanced else None,
        balanced_samples=task.training.sample_ids if balanced else None,
    )
    validation = EpochBatches(len(task.validation), 2 * train.batch_size, seed, shuffle=False)
    module = find_rules(model)(model, train, settings.augment, seed, len(batches))
    recorder = EpochRecorder(label, listener)
    best = ModelCheckpoint(
        dirpath=state_dir,
        filename="best",
        monitor=train.monitor,
        mode="max" if train.monitor == "val_accuracy" else "min",
        save_on_train_epoch_end=True,
        # What a callback averages is saved with the callbacks only.
        save_weights_only=train.averaging == "none",
        enable_version_counter=False,
    )
    # On its own and after the best one: ``save_last`` there would skip epochs that are no better.
    last = ResumePoint(dirpath=state_dir, filename="last")
    callbacks: list[pl.Callback] = [*average_weights(train, len(batches)), recorder, best, last]
    if train.early_stopping_epochs is not None:
        callbacks.append(
            EarlyStopping(
                train.monitor,
                mode=best.mode,
                patience=train.early_stopping_epochs,
                check_on_train_epoch_end=True,
            )
        )
    if sys.stderr.isatty():
        callbacks.append(TQDMProgressBar())
    started = time.perf_counter()
    # Deterministic algorithms come with a debugging aid: every new tensor is filled with NaN before
    # it is written. It costs a fifth of the time of a step and changes nothing.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    with _quiet_trainer():
        trainer = pl.Trainer(
            max_epochs=train.epochs,
            accelerator=train.accelerator,
            devices=train.devices,
            precision=train.precision,
            callbacks=callbacks,
            logger=False,
            enable_progress_bar=sys.stderr.isatty(),
            enable_model_summary=False,
            num_sanity_val_steps=0,
            deterministic="warn",
            use_distributed_sampler=False,
            default_root_dir=state_dir,
            **_join_devices(train),
        )
        _divide_over_devices(trainer, batches, validation)
        if train.compile:
            model.backbone.compile()
        shown = place_tiles(tiles, trainer.strategy.root_device) if train.resident_tiles else tiles
        module.steps_per_epoch = len(batches)  # of this device, which the schedule counts
        with torch.random.fork_rng():
            try:
                trainer.fit(
                    module,
                    make_loader(shown, task.training, batches),
                    make_loader(shown, task.validation, validation),
                    ckpt_path=checkpoint,
                    weights_only=True,
                )
            except SIGTERMException:
                # Which would end the program as if all were well; the epochs so far are kept.
                raise SystemExit(128 + signal.SIGTERM) from None
    if trainer.is_global_zero:
        state, best_epoch = _read_best(best)
        history = pd.DataFrame(recorder.history)
        n_seen = len(history) * module.steps_per_epoch * train.batch_size * trainer.world_size
        seconds = time.perf_counter() - started
        write_fit(task, state_dir, model, state, history, best_epoch, n_seen, seconds)
    trainer.strategy.barrier()


@singledispatch
def find_rules(model: TileClassifier) -> type[StageModule]:
    """Return the learning rules of a network."""
    return StageModule


@find_rules.register
def _find_rules_of_numbers(model: TileRegressor) -> type[StageModule]:
    return RegressionModule


def learn_covariates(model: TileClassifier, training: TileSet, label: str) -> None:
    """Take mean, spread and range of the training images' covariates, if the network has any."""
    if model.covariates is None:
        return
    names = model.description.inputs_beside
    for place in model.covariates.learn_statistics(training.list_covariates()):
        log.warning(
            "%s: the covariate '%s' has one value in the training part, so it says nothing there.",
            label,
            names[place],
        )


def prepare_state(state_dir: Path, identity: str) -> Path | None:
    """Return the checkpoint to resume from, after clearing the state of any other fit."""
    marker = state_dir / "identity.txt"
    last = state_dir / "last.ckpt"
    if marker.is_file() and marker.read_bytes() == identity.encode():
        if not last.is_file():
            return None
        # The best epoch is saved first, so where there is a last one there are both.
        if all(is_readable_checkpoint(state_dir / f"{name}.ckpt") for name in ("best", "last")):
            return last
        log.warning(
            "%s: the state of an interrupted training is damaged; it starts anew.", state_dir
        )
    shutil.rmtree(state_dir, ignore_errors=True)
    state_dir.mkdir(parents=True)
    marker.write_text(identity, encoding="utf-8")
    return None


def deliver_fit(state_dir: Path, target: Path) -> None:
    """Place a finished fit in the stage's output, as hard links where the disk allows."""
    target.mkdir(parents=True, exist_ok=True)
    for name in FIT_FILES:
        (target / name).unlink(missing_ok=True)
        try:
            os.link(state_dir / name, target / name)
        except OSError:
            shutil.copy2(state_dir / name, target / name)


def _read_best(best: ModelCheckpoint) -> tuple[dict[str, torch.Tensor], int]:
    """Weights and number of the best epoch."""
    saved = torch.load(best.best_model_path, map_location="cpu", weights_only=True)
    prefix = "model."
    state = {
        key.removeprefix(prefix): value.contiguous()
        for key, value in saved["state_dict"].items()
        if key.startswith(prefix)
    }
    return state, int(saved["epoch"])


def write_fit(
    task: FitTask,
    state_dir: Path,
    model: TileClassifier,
    state: dict[str, torch.Tensor],
    history: pd.DataFrame,
    best_epoch: int,
    n_seen: int,
    wall_seconds: float,
) -> None:
    """Write the files of a finished fit, ``fit.json`` last.

    Parameters
    ----------
    task
        What was trained on.
    state_dir
        Folder of the fit.
    model
        The network, for its description and size.
    state
        Its best weights.
    history
        One row per epoch.
    best_epoch
        Whose weights these are, from 0.
    n_seen
        Training tiles that passed through the network in all epochs.
    wall_seconds
        Time of the whole fit.

    Raises
    ------
    InputError
        The weights are no numbers.
    """
    check_finite(state)
    save_file(state, state_dir / WEIGHTS, metadata={"identity": task.identity})
    _write_json(state_dir / "model.json", model.description.as_dict())
    history.to_csv(state_dir / "history.csv", index=False)
    train_seconds = float(history["seconds"].sum())
    record = seal_fit(
        state_dir,
        {
            "repeat": task.repeat,
            "fold": task.fold,
            "best_epoch": best_epoch,
            "identity": task.identity,
            "n_train_tiles": len(task.training),
            "n_validation_tiles": len(task.validation),
            "train_samples": sorted(set(task.training.sample_ids)),
            "validation_samples": sorted(set(task.validation.sample_ids)),
            "seconds": round(train_seconds, 2),
            "wall_seconds": round(wall_seconds, 2),
            "tiles_per_second": round(n_seen / max(train_seconds, 1e-9), 2),
            "parameters": model.n_parameters,
            "device": str(next(model.parameters()).device),
            "pretrained": _trace_pretrained(task, model),
        },
    )
    _write_json(state_dir / RECORD, record)
    for checkpoint in state_dir.glob("*.ckpt"):
        checkpoint.unlink()


def _trace_pretrained(task: FitTask, model: TileClassifier) -> dict[str, Any] | None:
    """Where the first weights came from: of a later stage, those of the stage before it."""
    if task.parent is not None:
        fit = json.loads((task.parent / "fit.json").read_text(encoding="utf-8"))
        origin: dict[str, Any] | None = fit.get("pretrained")
        return origin
    return model.pretrained.model_dump() if model.pretrained else None


def _write_json(path: Path, value: Any) -> None:
    """Write a file that is either complete or absent."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(path)


def _divide_over_devices(trainer: pl.Trainer, *orders: EpochBatches) -> None:
    for order in orders:
        order.rank, order.world_size = trainer.global_rank, trainer.world_size


def trains_on_gpu(train: TrainSettings) -> bool:
    """Whether the trainer takes a GPU of NVIDIA or AMD, or several."""
    return train.accelerator != "cpu" and torch.cuda.is_available()


def _join_devices(train: TrainSettings) -> dict[str, Any]:
    """What the trainer is told where it is one of several processes."""
    if train.devices == 1:
        return {}
    # Not what a batch system says of processes, which started only the one that started these.
    plugins = [LightningEnvironment(), SyncedBatchNorm(trains_on_gpu(train))]
    return {"strategy": "ddp", "plugins": plugins}


@contextmanager
def _quiet_trainer() -> Iterator[None]:
    """Keep the trainer's advertising and its advice on data loader workers from the user."""
    for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
        yield
