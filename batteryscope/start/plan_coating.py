"""A plan for cross-sections of coatings, of which numbers are predicted."""

from collections.abc import Mapping
from typing import Any

from batteryscope.config.preprocess import CoatingCropSettings
from batteryscope.errors import InputError
from batteryscope.start.choices import Choice, Choices, add_reasons
from batteryscope.start.machine import Machine, time_network
from batteryscope.start.plan_pictures import plan_dataset
from batteryscope.start.plan_split import plan_split
from batteryscope.start.planned import (
    USUAL_REASONS,
    Planned,
    expect_seconds,
    keep_usable,
    pairs_of,
)
from batteryscope.start.seen import Problem, Seen

FRACTION = 0.1  # of the rest validates: what is left teaches, and a fit takes no time
SMALLEST_CROP_PX = 48
OTHERS = "electrodes that no network may see: docs/your_cross_sections.md, step 5"
REASONS = USUAL_REASONS | {
    "shrink": "crops are shrunk so many times: fast without a GPU",
    "training_crops": "at random places between collector and surface",
    "judging_crops": "from collector to surface; one alone sees a part of the coating",
    "augment.rotation_deg": "the crops lie at random places already",
    "augment.shift": "the crops lie at random places already",
    "augment.flips": "left and right are alike",
    "model.backbone": "small and pretrained: one pass over every crop, in place of many steps",
    "model.pooling": "how large and how near particles are anywhere, not where",
    "model.freeze": "the features stay as pretrained; the layer on them is solved",
    "model.dropout": "a layer that is solved drops nothing",
    "model.grey_input": "one grey channel: a third of the work in the first layer",
    "model.kernel_centres": "a bent layer, from how like a crop is to so many of the training",
    "model.pool_samples": "the crops of a picture are one sample",
    "train.method": "the last layer is solved at once, by ridge regression",
    "train.shrinkage": "penalty of the layer, for each training crop",
    "train.penalty": "the solved layer has its own",
    "train.threads": "one core passes the crops; several folds share the features",
    "arms": "one network predicts all capacities of a unit, or all quantities",
    "published_arms": "the only one",
}


def plan_study(seen: Seen, machine: Machine, recommended: Mapping[str, Any]) -> Planned:
    """Plan a study of cross-sections; parameters and errors as of top views."""
    found = seen.facts["coating"]
    if not found["with_foil"]:
        raise InputError(
            f"{seen.place}: none of the {found['pictures']} pictures that were looked at shows a "
            "foil (the brightest band, all across) with a coating beside it; capacities are "
            "predicted from cross-sections that show both."
        )
    kept = keep_usable(seen, predicts_numbers=True)
    split = plan_split(kept.manifest, pairs_of(seen, kept), FRACTION, stratify=False)
    preprocess = _plan_crop(found, recommended["preprocess"], machine)
    model = dict(recommended["model"]) | {"outputs": _name_outputs(seen)}
    train = dict(recommended["train"])
    crops = int(preprocess["training_crops"].value) + int(preprocess["judging_crops"].value)
    shrink = int(preprocess["shrink"].value)
    shape = tuple(int(preprocess[f"crop_{e}_px"].value) // shrink for e in ("height", "width"))
    cost = time_network(model, shape, 1, machine)  # type: ignore[arg-type]
    seconds = expect_seconds(
        cost, machine,
        trained_tiles=0,
        judged_tiles=(1 + split.settings["folds"]) * len(kept.manifest) * crops,
        read_seconds=seen.read_seconds * len(seen.manifest), jobs=1,
    )  # fmt: skip
    sections = {
        "augment": recommended["augment"], "model": model, "train": train,
        "arms": {"all": {"label": "one network"}}, "main_arm": "all", "published_arms": ["all"],
    }  # fmt: skip
    outputs = (
        "one unit of capacities at a time, as in the paper"
        if "units" in seen.dataset["targets"]
        else "all quantities together"
    )
    study: Choices = {
        "dataset": plan_dataset(seen, kept),
        "preprocess": preprocess,
        "split": add_reasons(split.settings, split.reasons),
        **add_reasons(sections, REASONS | {"model.outputs": outputs}),
        "evaluate": {"external": Choice(None, OTHERS)},
        "physics": _plan_physics(seen),
    }  # fmt: skip
    remarks = [*kept.problems, *(Problem(text) for text in split.warnings)]
    name = seen.place.resolve().name.replace("_", " ")
    return Planned(study, f"{_describe(seen)} from the cross-sections in {name}", remarks, seconds)


def _plan_crop(
    found: Mapping[str, Any], recommended: Mapping[str, Any], machine: Machine
) -> dict[str, Choice]:
    """Choose the largest crop of the paper's shape that the thinnest coating holds."""
    usual = CoatingCropSettings()
    shrink = 1 if machine.gpu else int(recommended["shrink"])
    limits = {
        "height": min(usual.crop_height_px, int(found["height_px"])),
        "width": min(usual.crop_width_px, int(found["width_px"]), int(found["piece_px"])),
    }
    edges = {name: limit // shrink * shrink for name, limit in limits.items()}
    if min(edges.values()) < SMALLEST_CROP_PX:
        raise InputError(
            f"The thinnest coating allows crops of {edges['width']}×{edges['height']} px only, and "
            f"at least {SMALLEST_CROP_PX} are needed; take pictures with more pixels, or leave the "
            "thinnest coatings out."
        )
    low, high = found["thickness_px"]
    whys = {
        "height": f"coatings are {low} to {high} px thick; the thinnest usable one of "
        f"{found['pictures']} pictures holds {found['height_px']} rows",
        "width": f"of {found['piece_px']} px wide pictures",
    }
    crop = {f"crop_{name}_px": Choice(edge, whys[name]) for name, edge in edges.items()}
    others = {k: Choice(v, REASONS.get(k, "")) for k, v in recommended.items() if k not in crop}
    return {
        "method": Choice(usual.method, "the coating alone, without foil and resin"),
        **crop,
        **others,
        "shrink": Choice(shrink, REASONS["shrink"]),
    }


def _name_outputs(seen: Seen) -> str:
    """One unit of capacities at a time, as in the paper; all quantities together."""
    units = seen.dataset["targets"].get("units")
    return str(units[0]) if units else "all"


def _describe(seen: Seen) -> str:
    targets = seen.dataset["targets"]
    if "units" in targets:
        return "Capacities"
    return "Quantities"


def _plan_physics(seen: Seen) -> Choices | Choice:
    if "porosity" in seen.names.columns and "units" in seen.dataset["targets"]:
        return {
            "porosity_column": Choice(
                "porosity",
                "the half-cell model stands beside; check loading and material in params.yaml",
            )
        }
    return Choice(None, "no half-cell model: porosities are not named")
