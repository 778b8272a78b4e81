"""A plan for CT scans of cells."""

from collections.abc import Mapping
from typing import Any

from batteryscope.config.base import validate_settings
from batteryscope.config.dataset import DatasetSettings
from batteryscope.core.plural import count_of
from batteryscope.errors import InputError
from batteryscope.start.choices import Choices, add_reasons
from batteryscope.start.machine import Machine, choose_batch, time_network
from batteryscope.start.plan_pictures import plan_dataset
from batteryscope.start.plan_split import FEWEST_GROUPS, plan_split
from batteryscope.start.planned import (
    USUAL_REASONS,
    Planned,
    expect_seconds,
    keep_usable,
    pairs_of,
)
from batteryscope.start.seen import Problem, Seen

CHANNELS = 3  # slices z - 1, z, z + 1
REASONS = USUAL_REASONS | {
    "preprocess.method": "slices across the axis of the cell",
    "preprocess.unroll": "windings become straight lines, which a small network tells better",
    "preprocess.unroll_angles": "windings are fine along the radius only",
    "preprocess.half_edge_radii": "nearly up to the can",
    "preprocess.input_px": "fast without a GPU",
    "balance.images_per_class": "all slices train; a number limits them",
    "augment.roll_columns": "turns the cell by any angle",
    "augment.flip_columns": "a cell wound the other way round",
    "model.backbone": "small and pretrained",
    "model.head_units": "one layer: few cells cannot teach more",
    "model.dropout": "as short trainings need it",
    "model.freeze": "scans are unlike photographs: all layers train",
    "model.outputs": "one network predicts all quantities",
    "model.grey_levels": "scanners and exposures differ in brightness",
    "model.pooling": "how strongly windings are bent anywhere, not where",
    "train.epochs": "as tried with generated cells; the best on the validation part is kept",
    "train.tiles_per_epoch": "at most four of every training slice, drawn anew for every epoch",
    "train.loss": "in units of each quantity's standard deviation",
    "train.monitor": "few cells validate: their accuracy is too coarse",
}


def plan_study(seen: Seen, machine: Machine, recommended: Mapping[str, Any]) -> Planned:
    """Plan a study of scans; parameters and errors as of top views."""
    of_numbers = bool(
        validate_settings(
            DatasetSettings, {"name": "seen"} | dict(seen.dataset), str(seen.place)
        ).target_names
    )
    kept = keep_usable(seen, predicts_numbers=of_numbers)
    fraction = float(recommended["split"]["validation_fraction"])
    split = plan_split(kept.manifest, pairs_of(seen, kept), fraction, stratify=not of_numbers)
    remarks = [*kept.problems, *(Problem(text) for text in split.warnings)]
    if split.settings["group"] not in ("specimen", "session"):
        cells = kept.manifest.groupby("class")["specimen_id"].nunique()
        raise InputError(
            f"{seen.place}: the state '{cells.idxmin()}' has {count_of(int(cells.min()), 'cell')}, "
            f"and {FEWEST_GROUPS} are needed to train, validate and test with different ones. "
            "Slices of one cell cannot test how a new cell is judged; add scans."
        )
    model, train = dict(recommended["model"]), dict(recommended["train"])
    balance: dict[str, Any] = dict(recommended["balance"])
    preprocess = {"method": "ct_slices"} | dict(recommended["preprocess"])
    train["tiles_per_epoch"] = min(train["tiles_per_epoch"], 4 * split.training_samples)
    folds, epochs = split.settings["folds"], train["epochs"]
    train["parallel_jobs"] = 1 if machine.gpu else min(folds, machine.cores)
    wanted = int(train.pop("batch_size"))
    arm = {"by_cell": {"label": "divided by cell"}}
    evaluate: dict[str, Any] = {"baselines": ["majority", "grey_levels", "winding"]}
    if of_numbers:
        model["outputs"] = "all"
        train |= {"loss": "mse", "label_smoothing": 0.0}
        balance = {"method": "none", "images_per_class": None}
        evaluate = {"baselines": ["grey_levels", "winding"]}
    shape = (int(preprocess["input_px"]), int(preprocess["unroll_angles"]))
    batch = choose_batch(model, shape, CHANNELS, machine, wanted)
    seconds = expect_seconds(
        time_network(model, shape, CHANNELS, machine), machine,
        trained_tiles=folds * epochs * train["tiles_per_epoch"],
        judged_tiles=int(len(kept.manifest) * (2 + folds * epochs * fraction)),
        read_seconds=4 * seen.read_seconds * len(seen.manifest),  # the can is looked for, too
        jobs=train["parallel_jobs"],
    )  # fmt: skip
    sections = {
        "preprocess": preprocess, "balance": balance, "augment": recommended["augment"],
        "model": model, "train": train,
    }  # fmt: skip
    reasons = REASONS | {
        "balance.method": "numbers have no classes"
        if of_numbers
        else "all states are drawn equally often",
        "train.parallel_jobs": f"folds at a time, of {folds} on {machine.described}",
        "arms": "divided by cell, so that no cell both trains and is tested",
        "evaluate": "what is told without a network",
    }
    if of_numbers:
        reasons["train.label_smoothing"] = "numbers have no labels"
    chosen = add_reasons(
        sections | {"arms": arm, "main_arm": "by_cell", "evaluate": evaluate}, reasons
    )
    study: Choices = {
        "dataset": plan_dataset(seen, kept),
        "split": add_reasons(split.settings, split.reasons),
        **chosen,
        "train": {**chosen["train"], "batch_size": batch},  # type: ignore[dict-item]
    }
    name = seen.place.resolve().name.replace("_", " ")
    return Planned(study, f"State of the cells in {name}", remarks, seconds)
