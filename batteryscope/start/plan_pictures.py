"""A plan for pictures that are cut into square tiles."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from batteryscope.audit.sessions import relate_sessions
from batteryscope.config.base import validate_settings
from batteryscope.config.dataset import DatasetSettings
from batteryscope.core.plural import count_of
from batteryscope.start.choices import Choice, Choices, add_reasons
from batteryscope.start.found_files import count_numbers
from batteryscope.start.look_pictures import summarise_measured
from batteryscope.start.machine import (
    LARGER,
    Machine,
    can_have_weights,
    choose_batch,
    time_network,
)
from batteryscope.start.plan_split import SplitPlan, plan_split
from batteryscope.start.planned import (
    USUAL_REASONS,
    Kept,
    Planned,
    expect_seconds,
    keep_usable,
    pairs_of,
)
from batteryscope.start.seen import Problem, Seen

PARTICLES_ACROSS = 16  # side by side: 300 px on the public set, whose particles measure 18 px
FEWEST_ACROSS = 4  # about ten in the square
PACKED = 0.6  # share of the area that particles of a coating cover
LARGEST_SHARE = 0.42  # of the shorter edge: crops of one picture shall differ
PIXELS_ACROSS = 8  # of a particle, in the tile that the network sees
SMALLEST_CROP_PX = 64
MOST_EPOCHS = 20  # of small data sets, whose epochs are short
UNEQUAL = 1.25  # largest class over smallest
BLANK_SD = 9.0  # preprocess.min_local_sd of coatings at full contrast
GPU_BATCH = 64
FOUND = "found beside the data"
DATA_REASONS = {
    "targets": "what shall be predicted, and the table that has it",
    "volumes": "evenly spaced slices of every scan, as many as are quickly read",
    "covariates": "what the networks are given beside the picture",
}

REASONS = USUAL_REASONS | {
    "augment.flips": "a top view has no left, right, up or down",
    "augment.quarter_turns": "flips are enough",
    "model.freeze": "the first layers stay as they are: faster, and better on later frames",
    "model.flips_at_test": "every crop is judged together with its mirror image",
    "train.method": "fine-tuned; more accurate than a layer on fixed features",
    "train.averaging": "the mean of the latest steps judges",
    "train.monitor": "smoother than the accuracy of few validation samples",
    "preprocess.grid_tiles": "evenly spaced crops by which a picture is judged",
}


def plan_study(seen: Seen, machine: Machine, recommended: Mapping[str, Any]) -> Planned:
    """Plan a study of top views.

    Parameters
    ----------
    seen
        What the folder holds.
    machine
        Where it will run.
    recommended
        Settings that are recommended for these samples, from which every choice begins.

    Raises
    ------
    InputError
        Nothing can be divided, or told apart.
    """
    data = validate_settings(
        DatasetSettings, {"name": "seen"} | dict(seen.dataset), str(seen.place)
    )
    of_classes = not data.target_names
    kept = keep_usable(seen, predicts_numbers=not of_classes)
    fraction = float(recommended["split"]["validation_fraction"])
    split = plan_split(kept.manifest, pairs_of(seen, kept), fraction, stratify=of_classes)
    preprocess, warnings = _plan_tiles(seen, kept, machine, recommended["preprocess"])
    model = _plan_model(seen, machine, recommended["model"], of_classes)
    is_larger = model["backbone"].value == LARGER
    n_tiles = preprocess["tiles_per_image"].value
    train = _plan_training(machine, recommended["train"], split, n_tiles, of_classes, is_larger)
    plain = {key: choice.value for key, choice in model.items()}
    edge = int(preprocess["input_px"].value)
    wanted = GPU_BATCH if machine.gpu else int(train["batch_size"].value)
    train["batch_size"] = choose_batch(plain, (edge, edge), 1, machine, wanted)
    balance = _plan_balance(kept) if of_classes else Choice("none", "numbers have no classes")
    cost = time_network(plain, (edge, edge), 1, machine)
    folds, flips = split.settings["folds"], 2
    judged = len(kept.manifest) * preprocess["grid_tiles"].value
    epochs, per_epoch = train["epochs"].value, train["tiles_per_epoch"].value
    seconds = expect_seconds(
        cost, machine,
        trained_tiles=folds * epochs * per_epoch,
        judged_tiles=int(judged * flips * (2 + folds * epochs * fraction)),
        read_seconds=seen.read_seconds * len(seen.manifest),
        jobs=train["parallel_jobs"].value,
    )  # fmt: skip
    arm, label = ("raw", "grey levels as they are") if of_classes else ("together", "one network")
    evaluate = {
        "external": Choice(
            None, "another folder of electrodes, if you have one: docs/your_data.md"
        ),
        "grey_levels_at_test": Choice(
            ["per_image"] if of_classes else [],
            "what the network says of frames that are treated otherwise"
            if of_classes
            else "asked of classes only",
        ),
    }
    if not of_classes:
        evaluate["baselines"] = Choice(
            ["grey_levels", "metadata"], "what is told without a look at shapes"
        )
    study: Choices = {
        "dataset": plan_dataset(seen, kept),
        "preprocess": preprocess,
        "split": add_reasons(split.settings, split.reasons),
        "balance": {"method": balance},
        "augment": add_reasons({"augment": recommended["augment"]}, REASONS)["augment"],
        "model": model,
        "train": train,
        "arms": {arm: {"label": Choice(label, "its name in the report")}},
        "main_arm": Choice(arm, REASONS["main_arm"]),
        "evaluate": evaluate,
    }  # fmt: skip
    remarks = [*kept.problems, *(Problem(text) for text in [*split.warnings, *warnings])]
    also = {}
    if of_classes:
        remarks += _look_at_sessions(kept)
        also["arms"] = (
            "per_image: { label: each tile standardised by itself, "
            "change: { model.grey_levels: per_image } }"
        )
    return Planned(study, _title(seen, of_classes), remarks, seconds, also)


def plan_dataset(seen: Seen, kept: Kept) -> Choices:
    """Return where the data lie, their labels and which are used."""
    found = dict(seen.dataset)
    chosen: dict[str, Choice | Choices] = {"path": Choice(found.pop("path"), "the data")}
    labels = found.pop("labels", None)
    if labels:
        parts = "; ".join(f"{c}: {', '.join(v[:8])}" for c, v in seen.names.parts.items())
        reasons = {
            "source": "names of folders say what is in them"
            if labels.get("source") == "folders"
            else "a table says what is what",
            "table": "it lies with the pictures",
            "pattern": "please check what it finds in the names of folders"
            + (f": {parts}" if parts else ""),
            "columns": "together they are the class",
        }
        chosen["labels"] = add_reasons(labels, dict.fromkeys(labels, FOUND) | reasons)
    else:
        chosen["labels"] = {"source": Choice("folders", "every folder is a class")}
    if kept.where:
        chosen["where"] = add_reasons(kept.where, dict.fromkeys(kept.where, kept.why))
    sizes = seen.facts["sizes_px"]
    if len(sizes) == 1 and "volumes" not in found:  # scans may have any size
        size = [int(edge) for edge in next(iter(sizes)).split("x")]
        chosen["expected_size_px"] = Choice(size, "of every picture; another one would be rejected")
    beside = dict.fromkeys(found, FOUND) | DATA_REASONS
    return {**chosen, **add_reasons(found, beside)}


def _measure_kept(seen: Seen, kept: Kept) -> dict[str, Any]:
    """Return the facts about sizes and contrast, of the pictures alone that are used."""
    assert seen.measured is not None
    used = seen.measured[seen.measured["sample_id"].isin(kept.manifest["sample_id"])]
    sizes_um = np.asarray(kept.manifest["pixel_size_um"], dtype=float)
    return summarise_measured(used) | {"pixel_sizes_um": count_numbers(sizes_um)}


def _plan_tiles(
    seen: Seen, kept: Kept, machine: Machine, recommended: Mapping[str, Any]
) -> tuple[dict[str, Choice], list[str]]:
    facts, warnings = _measure_kept(seen, kept), []
    heights = np.asarray(kept.manifest["height_px"] - kept.manifest["sample_id"].map(
        seen.frames.set_index("sample_id")["data_bar_px"]  # type: ignore[union-attr]
    ))  # fmt: skip
    edge = int(np.quantile(np.minimum(heights, kept.manifest["width_px"]), 0.05))
    particle = facts["particle_px"]
    largest = min(edge, max(SMALLEST_CROP_PX, int(edge * LARGEST_SHARE)))
    if particle is None:
        crop = min(int(recommended["crop_px"]), largest)
        why = "the size of the particles could not be measured; make it hold ten or more"
    else:
        size = float(particle["median"])
        crop = min(_round(min(max(PARTICLES_ACROSS * size, SMALLEST_CROP_PX), largest)), edge)
        held = PACKED * (crop / size) ** 2
        why = (
            f"{_in_um(crop, facts)}particles measure about {size:.0f} px"
            f"{_in_um(size, facts, ' = ')} (autocorrelation), so a crop holds about {held:.0f}"
        )
        if crop < FEWEST_ACROSS * size:
            warnings.append(
                f"Particles of {size:.0f} px are large for pictures of {edge} px: a crop holds "
                f"only about {held:.0f}. Take pictures at a lower magnification if you can."
            )
    if (n_sizes := sum(1 for text in facts["pixel_sizes_um"] if text)) > 1:
        warnings.append(
            f"The pictures that are used have {n_sizes} pixel sizes, so crops of {crop} px show "
            "fields of different size; choose one with dataset.where (pixel_size_um)."
        )
    input_px = _plan_input(crop, particle, machine, int(recommended["input_px"]))
    per_image = int(np.clip(round(12_000 / len(kept.manifest) / 10) * 10, 10, 60))
    bars = {int(h): n for h, n in facts["data_bars_px"].items()}
    n_bars = sum(n for height, n in bars.items() if height)
    blank = _plan_blank(facts)
    return {
        "method": Choice("sem_tiles", "top views show everywhere alike: squares are cut out"),
        "data_bar": Choice(
            "auto",
            f"found in {n_bars or 'none'} of {sum(bars.values())} pictures"
            + (
                f", {max(bars, key=lambda h: (bars[h], h) if h else (0, 0))} rows" if n_bars else ""
            ),
        ),
        "crop_px": Choice(crop, why),
        "input_px": input_px,
        "tiles_per_image": Choice(per_image, "random crops of every training picture to draw from"),
        "grid_tiles": Choice(int(recommended["grid_tiles"]), REASONS["preprocess.grid_tiles"]),
        "min_local_sd": blank,
    }, warnings


def _plan_input(crop: int, particle: Any, machine: Machine, usual: int) -> Choice:
    if machine.gpu:
        return Choice(224, "what the network was pretrained with; the GPU is fast enough")
    wanted = 0.0 if particle is None else crop * PIXELS_ACROSS / float(particle["median"])
    edge = int(np.clip(round(wanted / 32) * 32, 96, 192))
    edge = min(max(edge, min(usual, math.ceil(crop / 32) * 32)), max(96, math.ceil(crop / 32) * 32))
    across = (
        ""
        if particle is None
        else f"; a particle has {edge * particle['median'] / crop:.0f} px there"
    )
    how = "shrunk to it" if edge < crop else "enlarged to it" if edge > crop else "left as they are"
    return Choice(edge, f"crops are {how}: fast without a GPU{across}")


def _plan_blank(facts: Mapping[str, Any]) -> Choice:
    lowest = float(facts["local_sd"]["lowest_tenth"])
    if lowest >= 1.5 * BLANK_SD:
        return Choice(
            BLANK_SD,
            f"flatter crops show no coating; nine of ten pictures have {lowest:.0f} or more",
        )
    return Choice(
        float(f"{lowest / 2:.2g}"),
        f"flatter crops show no coating; contrast is low here (one in ten: {lowest:.0f})",
    )


def _plan_balance(kept: Kept) -> Choice:
    sizes = kept.manifest["class"].value_counts()
    if sizes.max() <= UNEQUAL * sizes.min():
        return Choice("none", f"classes are alike, {sizes.min()} pictures or a few more")
    return Choice(
        "class_balanced",
        f"classes have {sizes.min()} to {sizes.max()} pictures; all are drawn equally often",
    )


def _plan_model(
    seen: Seen, machine: Machine, recommended: Mapping[str, Any], of_classes: bool
) -> dict[str, Choice]:
    found = {
        key: Choice(value, REASONS.get(f"model.{key}", "")) for key, value in recommended.items()
    }
    found["backbone"] = Choice(
        recommended["backbone"],
        "small and pretrained: a few cores without a GPU train it in minutes",
    )
    if machine.gpu and can_have_weights(LARGER):
        found["backbone"] = Choice(LARGER, f"larger, since there is a GPU ({machine.gpu})")
        found["freeze"] = Choice("none", "a GPU trains all layers")
    n = len(seen.facts["instruments"])
    raw = n < 2
    found["grey_levels"] = Choice(
        "raw" if raw else "per_image",
        "as they are: one instrument took all pictures"
        if raw and n
        else "as they are; right as often as standardised ones on the public set"
        if raw
        else f"each crop standardised by itself, since {n} instruments differ in brightness",
    )
    if not of_classes:
        found["outputs"] = Choice("all", "one network predicts all quantities")
    return found


def _plan_training(
    machine: Machine,
    recommended: Mapping[str, Any],
    split: SplitPlan,
    tiles_per_image: int,
    of_classes: bool,
    is_larger: bool,
) -> dict[str, Choice]:
    found = {
        key: Choice(value, REASONS.get(f"train.{key}", "")) for key, value in recommended.items()
    }
    usual, there = int(recommended["tiles_per_epoch"]), split.training_samples * tiles_per_image
    found["tiles_per_epoch"] = Choice(
        min(usual, there), "drawn anew for every epoch" if there > usual else "all that there are"
    )
    per_epoch = int(found["tiles_per_epoch"].value)
    epochs = min(MOST_EPOCHS, max(1, math.ceil(int(recommended["epochs"]) * usual / per_epoch)))
    found["epochs"] = Choice(epochs, f"{epochs * per_epoch:,} crops in all")
    jobs = 1 if machine.gpu else max(1, min(split.settings["folds"], machine.cores))
    found["parallel_jobs"] = Choice(
        jobs, f"folds at a time, of {split.settings['folds']} on {machine.described}"
    )
    if machine.gpu:
        found["precision"] = Choice("bf16-mixed", "half precision on the GPU")
    if is_larger:
        found["learning_rate"] = Choice(2.0e-4, "lower, since all layers of a larger network train")
    if not of_classes:
        found["loss"] = Choice("mse", "in units of each quantity's standard deviation")
        found["label_smoothing"] = Choice(0.0, "numbers have no labels")
    return found


def _look_at_sessions(kept: Kept) -> list[Problem]:
    relation = relate_sessions(kept.manifest)
    if relation.relation not in ("one", "partly"):
        return []
    told = "Every class was" if relation.relation == "one" else (
        f"{count_of(len(relation.bound_classes), 'class', 'classes')} were each"
    )  # fmt: skip
    return [
        Problem(
            f"{told} photographed in a session of its own, so a network may learn the session "
            "instead of the material. Read the shortcut audit of the report, and take some "
            "pictures of every class on another day."
        )
    ]


def _title(seen: Seen, of_classes: bool) -> str:
    name = seen.place.resolve().name.replace("_", " ")
    if not of_classes:
        return f"Quantities from the pictures in {name}"
    columns = list(seen.dataset.get("labels", {}).get("columns", ["class"]))
    words = " and ".join(column.replace("_", " ") for column in columns)
    return f"{words[:1].upper()}{words[1:]} from the pictures in {name}"


def _round(pixels: float) -> int:
    step = 50 if pixels >= 150 else 10
    return max(step, int(pixels / step + 0.5) * step)


def _in_um(pixels: float, facts: Mapping[str, Any], before: str = "") -> str:
    known = [float(text) for text in facts["pixel_sizes_um"] if text]
    if len(known) != 1:
        return ""
    length = f"{pixels * known[0]:.3g} µm"
    return f"{before}{length}" if before else f"{length} wide: "
