"""The tables of what went in: pictures, rejects, tiles, split, cost, seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from batteryscope.errors import ConfigError
from batteryscope.manifest.schema import NOTED_REASONS
from batteryscope.plan import StudyPlan, plan_study
from batteryscope.report.evidence import StudyEvidence
from batteryscope.report.phrases import REJECT_REASONS
from batteryscope.report.shown_table import ShownTable, show_table
from batteryscope.report.tables import NOTHING, format_count, format_duration, format_percent
from batteryscope.samples.choose import samples_in

WINDINGS = (
    ("pitch_um", "layer pitch, µm", 0),
    ("pitch_variation", "variation of the pitch", 3),
    ("core_roundness", "roundness of the core", 3),
    ("core_radius_variation", "variation of the core's radius", 3),
    ("neighbour_similarity", "similarity of neighbouring slices", 3),
    ("winding_regularity", "regularity", 2),
)

SHARE = "%"
# What the audit calls it → in words, and the unit.
AUDIT_NAMES = {
    "samples": ("divided", "{} {samples}"),
    "groups": ("groups", "{} groups"),
    "largest_group": ("largest group", "{} {samples}"),
    "shared_groups": ("groups in more than one part", "{} groups"),
    "shared_hashes": ("equal files in more than one part", "{} files"),
    "near_duplicates": ("near duplicates", "{} pairs"),
    "near_duplicates: pairs": ("near duplicates", "{} pairs"),
    "near_duplicates: min_shared_field": (
        "near duplicates share at least this part of the field",
        SHARE,
    ),
    "near_duplicates: across_roles": ("near duplicates in different parts", "{} pairs"),
    "near_duplicates: treatment": ("near duplicates in different parts count as", "{}"),
    "near_duplicates: closest": ("closest near duplicates that audit.json lists", "{} pairs"),
    "overlaps: pairs": ("overlapping {samples}", "{} pairs"),
    "overlaps: test_images_affected": ("test {samples} that overlap with training", SHARE),
    "overlaps: median_shared_field": ("their share of the field of view, median", SHARE),
}


def show_data(evidence: StudyEvidence) -> ShownTable | None:
    """Make the list of facts about the pictures."""
    manifest = evidence.manifest
    if manifest is None or manifest.empty:
        return None
    samples = samples_in(manifest.columns).plural
    facts = {f"{samples} read": format_count(len(manifest))}
    if "class" in manifest:
        sizes = manifest["class"].value_counts()
        facts["classes"] = str(len(sizes))
        facts[f"{samples} per class"] = _range([int(sizes.min()), int(sizes.max())])
    for column, name in (("specimen_id", "specimens"), ("session_id", "sessions")):
        if column in manifest:
            known = manifest[column].dropna().nunique()
            facts[name] = str(known) if known else "unknown"
    if {"width_px", "height_px"} <= set(manifest.columns):
        frames = manifest["width_px"].astype(str) + " × " + manifest["height_px"].astype(str)
        facts["size"] = ", ".join(sorted(set(frames))[:4]) + " pixels"
    for column, name, unit in (
        ("pixel_size_um", "pixel size", " µm"),
        ("magnification", "magnification", " ×"),
        ("voltage_kv", "accelerating voltage", " kV"),
        ("working_distance_mm", "working distance", " mm"),
    ):
        if column in manifest:
            values = manifest[column].dropna()
            if len(values):
                facts[name] = _range([values.min(), values.max()]) + unit
            elif column == "pixel_size_um":  # the others are no property of every instrument
                facts[name] = "unknown"
    return show_table(pd.DataFrame({"what": list(facts), "value": list(facts.values())}))


def show_rejects(rejects: pd.DataFrame | None) -> tuple[ShownTable | None, ShownTable | None]:
    """Make the count of left-out files per reason, and the list of the files."""
    if rejects is not None:
        rejects = rejects[~rejects["reason"].isin(NOTED_REASONS)]
    if rejects is None or rejects.empty:
        return None, None
    counts = rejects["reason"].value_counts().sort_index()
    reasons = [REJECT_REASONS.get(reason, reason.replace("_", " ")) for reason in counts.index]
    summary = pd.DataFrame({"reason": reasons, "files": [str(count) for count in counts]})
    listed = rejects.sort_values(["reason", "path"])[["path", "reason", "detail"]]
    return show_table(summary), show_table(listed, "", ("reason", "detail"))


def show_notes(rejects: pd.DataFrame | None) -> ShownTable | None:
    """List what is to be known about files that are used all the same."""
    if rejects is None:
        return None
    notes = rejects[rejects["reason"].isin(NOTED_REASONS)].sort_values(["path", "detail"])
    shown = notes[["path", "detail"]].rename(columns={"detail": "note"})
    return show_table(shown, "", ("note",))


def show_tiles(index: pd.DataFrame | None, samples: str = "images") -> ShownTable | None:
    """Count the used and the rejected tiles of each kind; ``samples`` are the study's."""
    if index is None or index.empty:
        return None
    names = {
        "random": "random tiles (training)",
        "grid": "evenly spaced tiles (validation, test)",
        "whole": f"{samples} as a whole (training, validation, test)",
    }
    rows = []
    for kind in names:
        used = index.loc[index["kind"] == kind, "used"].astype(bool)
        if len(used):
            left_out = int((~used).sum())
            share = f" ({format_percent(left_out / len(used))})" if left_out else ""
            rows.append((names[kind], format_count(used.sum()), format_count(left_out) + share))
    return show_table(pd.DataFrame(rows, columns=["tiles", "used", _name_left_out(index)]))


def _name_left_out(index: pd.DataFrame) -> str:
    return "left out" if (index["kind"] == "whole").any() else "left out as background"


def show_windings(cells: pd.DataFrame | None) -> ShownTable | None:
    """Show the measured windings: mean and range over the cells of every class."""
    if cells is None or cells.empty:
        return None
    rows = []
    for name, part in cells.groupby("class"):
        row = {"class": str(name).replace("_", " "), "cells": str(len(part))}
        for column, title, digits in WINDINGS:
            values = part[column].dropna() if column in part else pd.Series(dtype=float)
            low_high = f"{values.min():.{digits}f} to {values.max():.{digits}f}"
            row[title] = f"{values.mean():.{digits}f} ({low_high})" if len(values) else "unknown"
        rows.append(row)
    return show_table(pd.DataFrame(rows), "", ("class",))


def show_split(
    split: pd.DataFrame | None,
    samples: str = "images",
    domains: "pd.Series[str] | None" = None,
) -> ShownTable | None:
    """Count samples and groups per role, as a range over folds and repeats.

    Parameters
    ----------
    split
        ``sample_id, group_id, repeat, fold, role``.
    samples
        What they are called, in the plural.
    domains
        Domain by ``sample_id``; the samples of each are counted if there are several.
    """
    if split is None or split.empty:
        return None
    fits = split.groupby(["role", "repeat", "fold"])
    sizes = fits.agg(samples=("sample_id", "nunique"), groups=("group_id", "nunique"))
    names = [] if domains is None else sorted(set(domains))
    if domains is not None and len(names) > 1:
        of_image = split["sample_id"].map(domains)
        for domain in names:
            here = split[of_image == domain].groupby(["role", "repeat", "fold"])
            counts = here["sample_id"].nunique().reindex(sizes.index, fill_value=0)
            sizes[f"samples of {domain or 'no domain'}"] = counts
    rows = []
    for role in ("train", "validation", "test"):
        if role in sizes.index.get_level_values("role"):
            part = sizes.loc[role]
            rows.append((role, *(_range([part[c].min(), part[c].max()]) for c in part.columns)))
    columns = ["part", *sizes.columns.str.replace("samples", samples)]
    return show_table(pd.DataFrame(rows, columns=columns))


def plan_or_none(evidence: StudyEvidence) -> StudyPlan | None:
    """Return the study's plan; None for settings that cannot be planned any more."""
    try:
        return plan_study(evidence.study, evidence.settings)
    except ConfigError:
        return None


def show_cost(evidence: StudyEvidence, plan: StudyPlan | None) -> ShownTable | None:
    """Make the table of what training took, over all stages of an arm where those are known."""
    known = evidence.manifest
    samples = samples_in([] if known is None else list(known.columns)).plural
    rows = []
    for name, arm in evidence.arms.items():
        chains = plan.arms[name].chains if plan is not None and name in plan.arms else ()
        fits = [fit.facts for chain in chains for fit in evidence.stages.get(chain, ())]
        cost: Mapping[str, Any] = arm.cost
        seconds = [f["seconds"] for f in fits if "seconds" in f]
        speeds = [f["tiles_per_second"] for f in fits if "tiles_per_second" in f]
        last = fits[-1] if fits else {}
        total = sum(seconds) if seconds else cost.get("seconds")
        speed = sum(speeds) / len(speeds) if speeds else cost.get("tiles_per_second")
        if total is None and not cost:
            continue
        rows.append(
            {
                "strategy": arm.label,
                "trained networks": str(len(fits) or cost.get("n_fits", NOTHING)),
                f"training {samples} per class": _count_trained(evidence, chains[-1:]),
                "training time": format_duration(total),
                "tiles per second": NOTHING if speed is None else f"{speed:.0f}",
                "parameters": format_count(cost.get("parameters", last.get("parameters"))),
                "device": str(cost.get("device", last.get("device", NOTHING))),
            }
        )
    return show_table(pd.DataFrame(rows), "", ("device",))


def _count_trained(evidence: StudyEvidence, chains: Sequence[str]) -> str:
    """Range over classes and fits of the images that trained the last stage of an arm."""
    if evidence.manifest is None or "class" not in evidence.manifest:
        return NOTHING
    classes = evidence.manifest.set_index("sample_id")["class"]
    counts = [
        int(n)
        for chain in chains
        for fit in evidence.stages.get(chain, ())
        for n in classes.reindex(fit.facts.get("train_samples", [])).dropna().value_counts()
    ]
    return _range([min(counts), max(counts)]) if counts else NOTHING


def describe_shared_stages(evidence: StudyEvidence, plan: StudyPlan | None) -> str:
    """Say how many networks were trained in all, if some count for several strategies."""
    if plan is None:
        return ""
    of_arms = [plan.arms[name].chains for name in evidence.arms if name in plan.arms]
    counted = sum(len(evidence.stages.get(chain, ())) for chains in of_arms for chain in chains)
    trained = sum(len(evidence.stages.get(c, ())) for c in {c for chs in of_arms for c in chs})
    if counted == trained:
        return ""
    return (
        "A first stage that several strategies share was trained once and counts for each of "
        f"them: {trained} networks were trained in all, not {counted}."
    )


def name_stage(evidence: StudyEvidence, plan: StudyPlan | None, chain: str) -> str:
    """Say which stage of which strategies a chain is, for example ``ft os: oversampled``."""
    stage = chain.rsplit("-", 1)[0].split(".")[-1].replace("_", " ")
    arms = plan.every_arm.values() if plan is not None else ()
    labels = [evidence.label_of(arm.name) for arm in arms if chain in arm.chains]
    return f"{stage}: {'; '.join(labels)}" if labels else chain


def show_seeds(evidence: StudyEvidence, plan: StudyPlan | None) -> ShownTable:
    """List the seeds that every random choice derives from."""
    recipe = evidence.settings if plan is None else plan.main.recipe
    seeds = {
        "tiles": recipe.preprocess.seed,
        "split": recipe.split.seed,
        "training": recipe.train.seed,
    }
    generator = evidence.settings.dataset.generator
    if evidence.generated and generator is not None:
        seeds = {"generated pictures": generator.seed, **seeds}
    shown = show_table(
        pd.DataFrame({"seed of": list(seeds), "value": [str(v) for v in seeds.values()]})
    )
    assert shown is not None
    return shown


def _range(values: Sequence[float]) -> str:
    low, high = (f"{value:g}" for value in (values[0], values[-1]))
    return low if low == high else f"{low} to {high}"


def show_tile_rejects(rejects: pd.DataFrame | None) -> ShownTable | None:
    """List the images of which no tile could be used."""
    if rejects is None or rejects.empty:
        return None
    return show_table(
        rejects.sort_values("path")[["path", "reason", "detail"]], "", ("reason", "detail")
    )


def show_audit(audit: Mapping[str, Any], samples: str = "images") -> ShownTable | None:
    """List what the audit of the split checked, as far as it is a plain value or a count.

    Parameters
    ----------
    audit
        Content of ``audit.json``.
    samples
        What was divided.
    """
    rows = []
    for key, value in _flatten(audit):
        name, unit = AUDIT_NAMES.get(key, (key.replace("_", " "), "{}"))
        if isinstance(value, bool):
            value = "yes" if value else "no"
        elif unit == SHARE:
            value, unit = format_percent(value), "{}"
        rows.append((name.format(samples=samples), unit.format(value, samples=samples)))
    return show_table(pd.DataFrame(rows, columns=["check", "found"]), "", ())


def _flatten(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Plain values of the audit with their keys; sizes and warnings are shown elsewhere."""
    flat: list[tuple[str, Any]] = []
    for key, value in values.items():
        if key in ("warnings", "sizes", "roles"):
            continue
        if isinstance(value, str | int | float | bool):
            flat.append((key, value))
        elif isinstance(value, list):
            flat.append((key, len(value)))
        elif isinstance(value, Mapping):
            flat.extend((f"{key}: {inner}", v) for inner, v in _flatten(value))
    return flat
