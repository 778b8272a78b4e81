"""The model card of models that predict numbers."""

import math
from collections.abc import Sequence
from pathlib import Path

from batteryscope.bundle.capacity_record import (
    CapacityRecord,
    CapacityTarget,
    QuantityTarget,
)
from batteryscope.bundle.card import describe_ranges
from batteryscope.core.safe_text import disarm_html
from batteryscope.evaluation.regression_findings import COMPUTED
from batteryscope.samples.choose import samples_cut_by

TEMPLATE = Path(__file__).with_name("capacity_card.md.j2")


def render_capacity_card(record: CapacityRecord) -> str:
    """Write the model card in Markdown."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=disarm_html,  # titles and class names are the user's
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    arms = list(dict.fromkeys(member.arm for member in record.members))
    names = [*arms, *sorted({k.split(".")[0] for k in record.metrics} - set(arms))]
    units = list(dict.fromkeys(target.unit for target in record.targets))
    scores = [
        (name, unit, *values)
        for name in names
        for unit in units
        if (values := _average_targets(record, name, unit)) is not None
    ]
    curve = record.is_curve
    samples = samples_cut_by(record.preprocess)
    computed = next((f["text"] for f in record.findings if f.get("kind") == COMPUTED), "")
    return template.render(
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


def _average_targets(record: CapacityRecord, name: str, unit: str) -> tuple[float, float] | None:
    """Mean MAPE and MAE of somebody's predictions over the C-rates, of one unit."""
    found = []
    for target in record.targets:
        key = f"{name}.image.{target.name}"
        if target.unit == unit and f"{key}.mape" in record.metrics:
            found.append((record.metrics[f"{key}.mape"], record.metrics[f"{key}.mae"]))
    if not found:
        return None
    mapes, maes = zip(*found, strict=True)
    return sum(mapes) / len(mapes), sum(maes) / len(maes)
