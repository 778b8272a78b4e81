"""Puts trained models of numbers into a folder that can be published and used alone."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.bundle.assemble import (
    copy_members,
    describe_pictures,
    describe_settings,
    finish_picture_bundle,
    list_common_fields,
    read_result,
    state_licence,
)
from batteryscope.bundle.card import describe_ranges
from batteryscope.bundle.number_record import (
    NumberMember,
    NumberRecord,
    NumberTarget,
    describe_target,
    find_kind,
)
from batteryscope.bundle.read import load_number_bundle
from batteryscope.bundle.record import BundleSettings
from batteryscope.config.study import list_published_arms
from batteryscope.config.targets import Quantity
from batteryscope.core.safe_text import fill_markdown
from batteryscope.evaluation.number_findings import COMPUTED
from batteryscope.evaluation.number_metrics import find_quantity
from batteryscope.manifest.frames import read_frames
from batteryscope.planning.layout import PictureLayout
from batteryscope.samples.choose import samples_cut_by

TEMPLATE = Path(__file__).with_name("number_card.md.j2")


def render_number_card(record: NumberRecord) -> str:
    """Write the model card in Markdown."""
    arms = list(dict.fromkeys(member.arm for member in record.members))
    names = [*arms, *sorted({k.split(".")[0] for k in record.metrics} - set(arms))]
    samples = samples_cut_by(record.preprocess)
    curves: dict[str, list[Quantity]] = {}
    for point in record.points:
        curves.setdefault(f"{point.curve} in {point.unit}", []).append(point)
    scores = [
        (name, curve, *values)
        for name in names
        for curve, points in curves.items()
        if (values := _average_points(record, name, points, samples.noun)) is not None
    ]
    singles = [t.quantity for t in record.targets if t.quantity not in record.points]
    told = [
        f"the {curve} ({', '.join(point.place for point in points)})"
        for curve, points in curves.items()
    ]
    told += [f"{quantity.label} ({quantity.unit})" for quantity in singles]
    computed = next((f["text"] for f in record.findings if f.get("kind") == COMPUTED), "")
    return fill_markdown(
        TEMPLATE,
        record=record,
        computed=computed,
        findings=[f for f in record.findings if f.get("kind") != COMPUTED],
        data=record.data,
        arms=arms,
        scores=scores,
        told=told,
        goes_in=samples.goes_in,
        samples=samples.plural,
        errors=_list_errors(record, singles, names, samples.noun),
        outputs=[(t, t.quantity, _say_width(t)) for t in record.targets],
        ranges=describe_ranges(record.data.ranges),
    )


def _list_errors(
    record: NumberRecord, singles: Sequence[Quantity], names: Sequence[str], level: str
) -> list[tuple[str, ...]]:
    """Every quantity without an axis and who predicts it: MAE, RMSE, R² of single samples."""
    rows = []
    for target in singles:
        for name in names:
            found = [
                record.metrics.get(f"{name}.{level}.{target.name}.{metric}")
                for metric in ("mae", "rmse", "r2")
            ]
            if found[0] is not None:
                texts = ["" if value is None else f"{value:.3g}" for value in found]
                rows.append((f"{target.label} / {target.unit}", name, *texts))
    return rows


def _say_width(target: NumberTarget) -> str:
    if target.half_width is None:
        return "too few specimens"
    kind = target.quantity.interval
    if kind == "ratio":
        return (
            f"from 1/{math.exp(target.half_width):.3g} to {math.exp(target.half_width):.3g} times"
        )
    if kind == "relative":
        return f"± {100 * target.half_width:.1f} % of the prediction"
    return f"± {target.half_width:.3g} {target.unit}"


def _average_points(
    record: NumberRecord, name: str, points: Sequence[Quantity], level: str
) -> tuple[str, str] | None:
    """Mean MAPE and MAE of somebody's predictions over a curve; MAPE "" where it says nothing."""
    found: dict[str, list[float]] = {"mape": [], "mae": []}
    for point in points:
        for metric, values in found.items():
            value = record.metrics.get(f"{name}.{level}.{point.name}.{metric}")
            values += [] if value is None else [value]
    if not found["mae"]:
        return None
    mape, mae = (sum(own) / len(own) if own else None for own in found.values())
    return "" if mape is None else f"{mape:.2f} %", f"{mae:.3g}"


def bundle_models(layout: PictureLayout, out: Path) -> NumberRecord:
    """Bundle the models of all published arms of a study.

    Raises
    ------
    InputError
        If there is no fit, fits disagree, or the example is no longer what was ingested.
    """
    manifest = pd.read_parquet(layout.data.manifest)
    published = list_published_arms(layout.plan.settings)
    splits = layout.list_splits()
    return write_number_bundle(
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


def write_number_bundle(
    out: Path,
    settings: BundleSettings,
    arms: Mapping[str, Mapping[str, Any]],
    published: Sequence[str],
    manifest: pd.DataFrame,
    frames: pd.DataFrame,
    dataset: Path,
    comparison: Path,
    tiles: Path | None = None,
) -> NumberRecord:
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
    members: list[NumberMember] = []
    targets: list[NumberTarget] = []
    intervals = pd.read_csv(comparison / "intervals.csv")
    backbone = ""
    for arm in published:
        fits = [fit for part in arms[arm]["fits"] for fit in Path(part).glob("r*_f*")]
        own, description = copy_members(arm, fits, out, partial(NumberMember, arm=arm))
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
    metrics = read_result(comparison / "metrics.json")
    findings = read_result(comparison / "findings.json")
    kept = (*(f"{arm}." for arm in published), "baseline_", "physics.")
    licence = state_licence(settings, members)
    record = NumberRecord(
        **list_common_fields(settings.study, settings, metrics, kept, findings, licence),
        **describe_pictures(out, settings, manifest, frames, made_with, also=["specimen_id"]),
        kind=find_kind(targets),
        backbone=backbone,
        targets=targets,
    )
    return finish_picture_bundle(
        out,
        record,
        render_number_card,
        load_number_bundle,
        manifest,
        splits[published[0]],
        dataset,
        tiles,
        settings.false_alarms,
    )


def _describe_target(quantity: Quantity, arm: str, intervals: pd.DataFrame) -> NumberTarget:
    of_target = (intervals["arm"] == arm) & (intervals["target"] == quantity.name)
    found = intervals[of_target].iloc[0]
    measured = float(found["coverage_measured"])
    return describe_target(
        quantity,
        float(found[f"{quantity.interval}_half_width"]),
        arm=arm,
        coverage_wanted=float(found["coverage_wanted"]),
        coverage_measured=round(measured, 6) if measured == measured else None,
    )
