"""Puts trained models of numbers into a folder that can be published and used alone."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.bundle.capacity_record import (
    CapacityMember,
    CapacityRecord,
    CapacityTarget,
    QuantityTarget,
)
from batteryscope.bundle.card import describe_ranges
from batteryscope.bundle.contents import (
    copy_members,
    describe_settings,
    list_common_fields,
    list_training_images,
    read_result,
)
from batteryscope.bundle.covariates import list_trained_covariates
from batteryscope.bundle.example import write_example
from batteryscope.bundle.familiarity import add_familiarity
from batteryscope.bundle.integrity import seal_bundle
from batteryscope.bundle.read import load_capacity_bundle
from batteryscope.bundle.record import (
    CARD_FILE,
    RECORD_FILE,
    TRAINING_IMAGES_FILE,
    BundleSettings,
    write_json,
)
from batteryscope.config.study import list_published_arms
from batteryscope.config.targets import Quantity
from batteryscope.core.safe_text import fill_markdown, guard_table
from batteryscope.evaluation.forward import choose_device
from batteryscope.evaluation.regression_findings import COMPUTED
from batteryscope.evaluation.regression_metrics import find_quantity
from batteryscope.manifest.frames import read_frames
from batteryscope.planning.layout import PictureLayout
from batteryscope.samples.choose import samples_cut_by

TEMPLATE = Path(__file__).with_name("capacity_card.md.j2")


def render_capacity_card(record: CapacityRecord) -> str:
    """Write the model card in Markdown."""
    arms = list(dict.fromkeys(member.arm for member in record.members))
    names = [*arms, *sorted({k.split(".")[0] for k in record.metrics} - set(arms))]
    units = list(dict.fromkeys(target.unit for target in record.targets))
    samples = samples_cut_by(record.preprocess)
    scores = [
        (name, unit, *values)
        for name in names
        for unit in units
        if (values := _average_targets(record, name, unit, samples.noun)) is not None
    ]
    curve = record.is_curve
    computed = next((f["text"] for f in record.findings if f.get("kind") == COMPUTED), "")
    return fill_markdown(
        TEMPLATE,
        record=record,
        computed=computed,
        findings=[f for f in record.findings if f.get("kind") != COMPUTED],
        data=record.data,
        arms=arms,
        scores=scores,
        curve=curve,
        goes_in=samples.goes_in,
        samples=samples.plural,
        errors=[] if curve else _list_errors(record, names, samples.noun),
        widths=[_say_width(target) for target in record.targets],
        ranges=describe_ranges(record.data.ranges),
    )


def _list_errors(record: CapacityRecord, names: Sequence[str], level: str) -> list[tuple[str, ...]]:
    """Every quantity and whoever predicts it: MAE, RMSE and R², of single samples."""
    rows = []
    for target in record.targets:
        for name in names:
            found = [
                record.metrics.get(f"{name}.{level}.{target.name}.{metric}")
                for metric in ("mae", "rmse", "r2")
            ]
            if found[0] is not None:
                texts = ["" if value is None else f"{value:.3g}" for value in found]
                rows.append((f"{target.quantity.label} / {target.unit}", name, *texts))
    return rows


def _say_width(target: CapacityTarget | QuantityTarget) -> str:
    if target.half_width is None:
        return "too few specimens"
    kind = target.quantity.interval
    if kind == "ratio":
        return (
            f"from 1/{math.exp(target.half_width):.3g} to {math.exp(target.half_width):.3g} times"
        )
    return f"± {target.half_width:.3g}" + (f" {target.unit}" if kind == "absolute" else "")


def _average_targets(
    record: CapacityRecord, name: str, unit: str, level: str
) -> tuple[float, float] | None:
    """Mean MAPE and MAE of somebody's predictions of single samples over the C-rates of a unit."""
    found = []
    for target in record.targets:
        key = f"{name}.{level}.{target.name}"
        if target.unit == unit and f"{key}.mape" in record.metrics:
            found.append((record.metrics[f"{key}.mape"], record.metrics[f"{key}.mae"]))
    if not found:
        return None
    mapes, maes = zip(*found, strict=True)
    return sum(mapes) / len(mapes), sum(maes) / len(maes)


def bundle_models(layout: PictureLayout, out: Path) -> CapacityRecord:
    """Bundle the models of all published arms of a study.

    Raises
    ------
    InputError
        If there is no fit, fits disagree, or the example is no longer what was ingested.
    """
    manifest = pd.read_parquet(layout.data.manifest)
    published = list_published_arms(layout.plan.settings)
    splits = layout.list_splits()
    return write_capacity_bundle(
        out,
        describe_settings(layout.plan),
        {a: {"split": splits[a].roles, "fits": layout.list_fits(a)} for a in published},
        published,
        manifest,
        read_frames(layout.data.frames, manifest),
        layout.find_dataset(),
        layout.comparison,
        layout.main_tiles,
    )


def write_capacity_bundle(
    out: Path,
    settings: BundleSettings,
    arms: Mapping[str, Mapping[str, Any]],
    published: Sequence[str],
    manifest: pd.DataFrame,
    frames: pd.DataFrame,
    dataset: Path,
    comparison: Path,
    tiles: Path | None = None,
) -> CapacityRecord:
    """Write a bundle; the same input gives the same bytes.

    Parameters
    ----------
    out
        Folder to fill.
    settings
        Study, labels, preprocessing, quantities.
    arms
        By name: ``split`` (path), ``fits`` (parts of the last stage).
    published
        The arms to bundle; of two with the same target the first predicts it.
    manifest, frames
        Tables of the contract.
    dataset
        Folder of the images, of which one becomes the example.
    comparison
        Folder with ``intervals.csv``, ``metrics.json``, ``findings.json``.
    tiles
        Tile store of the images; without it nothing is called unlike them.
    """
    out.mkdir(parents=True, exist_ok=True)
    members: list[CapacityMember] = []
    targets: list[CapacityTarget | QuantityTarget] = []
    intervals = pd.read_csv(comparison / "intervals.csv")
    backbone = ""
    for arm in published:
        fits = [fit for part in arms[arm]["fits"] for fit in Path(part).glob("r*_f*")]
        own, description = copy_members(arm, fits, out, partial(CapacityMember, arm=arm))
        members += own
        backbone = backbone or description["backbone"]
        known = {target.name for target in targets}
        targets += [
            _describe_target(find_quantity(name, settings.quantities), arm, intervals)
            for name in description["classes"]
            if name not in known
        ]
    splits = {arm: pd.read_parquet(arms[arm]["split"]) for arm in published}
    made_with = [(member, splits[member.arm]) for member in members]
    images = list_training_images(manifest, frames, made_with, also=["specimen_id"])
    guard_table(images).to_csv(out / TRAINING_IMAGES_FILE, index=False, lineterminator="\n")
    metrics = read_result(comparison / "metrics.json")
    findings = read_result(comparison / "findings.json")
    kept = (*(f"{arm}." for arm in published), "baseline_", "physics.")
    record = CapacityRecord(
        **list_common_fields(settings, manifest, metrics, kept, findings, members, images),
        kind="capacity" if all(isinstance(t, CapacityTarget) for t in targets) else "quantities",
        backbone=backbone,
        targets=targets,
        preprocess=settings.preprocess,
        members=members,
        covariates=list_trained_covariates(out, members),
    )
    write_json(out / RECORD_FILE, record.model_dump(mode="json"))
    models = load_capacity_bundle(out, choose_device(), checked=False).models
    own_groups = splits[members[0].arm][["sample_id", "group_id"]].astype(str)
    groups = dict(own_groups.itertuples(index=False, name=None))
    record = add_familiarity(out, record, models, tiles, settings.false_alarms, groups)
    (out / CARD_FILE).write_text(render_capacity_card(record), encoding="utf-8")
    bundle = load_capacity_bundle(out, checked=False)
    write_example(out, bundle, manifest, splits[published[0]], dataset)
    seal_bundle(out)
    return record


def _describe_target(
    quantity: Quantity, arm: str, intervals: pd.DataFrame
) -> CapacityTarget | QuantityTarget:
    of_target = (intervals["arm"] == arm) & (intervals["target"] == quantity.name)
    found = intervals[of_target].iloc[0]
    width = float(found[f"{quantity.interval}_half_width"])
    on_curve = quantity.at is not None
    shown = round(width, 6) if on_curve else float(f"{width:.6g}")
    half_width = shown if 0 < width < float("inf") else None
    measured = float(found["coverage_measured"])
    common: dict[str, Any] = {
        "arm": arm,
        "coverage_wanted": float(found["coverage_wanted"]),
        "coverage_measured": round(measured, 6) if measured == measured else None,
    }
    if quantity.at is not None:
        return CapacityTarget(
            name=quantity.name,
            c_rate=quantity.at,
            unit=quantity.unit,
            relative_half_width=half_width,
            **common,
        )
    kind = quantity.interval
    return QuantityTarget(
        **quantity.model_dump(), **common, interval_kind=kind, half_width=half_width
    )
