"""Specimens that no network has seen, as the report of numbers shows them."""

import pandas as pd

from batteryscope.config.predicted import Quantity
from batteryscope.evaluation.metric_catalogue import METRICS
from batteryscope.evaluation.number_comparison import pick
from batteryscope.evaluation.number_external import say_external_coverage
from batteryscope.evaluation.number_metrics import have_one_error, show_unit
from batteryscope.report.number_evidence import NumberEvidence
from batteryscope.report.shown_table import ShownTable, show_table


def show_external(evidence: NumberEvidence) -> list[ShownTable]:
    """Errors and coverage of the published average, a table per arm, a row per quantity."""
    scores = evidence.external
    if scores is None:
        return []
    shown = []
    for arm in dict.fromkeys(scores["arm"].astype(str)):
        mine = scores[(scores["arm"] == arm) & (scores["domain"] == "")]
        mine = mine[mine["level"] == "image"]
        known = [evidence.quantity(str(t)) for t in dict.fromkeys(mine["target"]) if t]
        rows = []
        for target, part in mine.groupby("target", sort=False):
            values = part.set_index("metric")["value"]
            if target:
                rows.append(_list_cells(values, evidence.quantity(str(target)), evidence))
            elif len(known) > 1 and have_one_error(known):
                rows.append({"output": f"all of the {known[0].axis}"} | _list_errors(values, known))
        table = pd.DataFrame(rows)
        order = [column for row in rows for column in row]
        table = table.reindex(columns=sorted(table.columns, key=order.index)).fillna("")
        shown.append(show_table(table, evidence.label(arm), ("output",), [0]))
    return [table for table in shown if table is not None]


def say_external(evidence: NumberEvidence) -> list[str]:
    """Say how good the average is, and whether its intervals hold, a text per arm."""
    scores = evidence.external
    if scores is None:
        return []
    texts = []
    for arm in dict.fromkeys(scores["arm"].astype(str)):
        found = scores[
            (scores["arm"] == arm)
            & (scores["target"] == "")
            & (scores["domain"] == "")
            & (scores["level"] == "image")
            & (scores["metric"] == "mape")
        ]
        text = ""
        for row in found.to_dict("records"):
            single, _ = pick(evidence.comparison, arm)
            text = (
                f"{evidence.label(arm)}: the average errs by {row['value']:.1f} % on {row['n']} "
                f"images of {row['n_specimens']} {evidence.specimen}s (single networks on their "
                f"own test images: {single:.1f} %). "
            )
        wanted = evidence.settings.evaluate.coverage
        said = say_external_coverage(scores, arm, wanted, evidence.quantities, evidence.specimen)
        texts.append((text + said).strip())
    return [text for text in texts if text]


def count_external_rejects(evidence: NumberEvidence) -> int:
    """Return how many external images could not be judged."""
    rows = evidence.external_rows
    return 0 if rows is None else int((rows["status"] != "ok").sum())


def _list_errors(values: pd.Series, quantities: list[Quantity]) -> dict[str, str]:
    """Return the errors by the heads of their columns."""
    metrics = dict.fromkeys(metric for quantity in quantities for metric in quantity.metrics)
    units = {quantity.unit for quantity in quantities}
    unit = show_unit(units.pop()) if len(units) == 1 else ""
    cells = {}
    for metric in metrics:
        own = METRICS[metric]
        # A unit for each row, since those of the quantities differ.
        after = "" if own.is_percent or own.unit != "target" else f" {unit}".rstrip()
        head = own.title("") if own.is_percent else own.label
        cells[head] = f"{values[metric]:.3g}{after}" if metric in values else "hardly varies"
    return cells


def _list_cells(values: pd.Series, quantity: Quantity, evidence: NumberEvidence) -> dict[str, str]:
    has_interval = "coverage" in values
    unit = show_unit(quantity.unit)
    wanted = f"{100 * evidence.settings.evaluate.coverage:.0f} %"
    width, spread = values.get("interval_width"), values.get("fold_sd")
    return {
        "output": f"{quantity.place}, {unit}" if quantity.curve else quantity.label,
        **_list_errors(values, [quantity]),
        "inside the interval": f"{100 * values['coverage']:.0f} %"
        if has_interval
        else f"too few {evidence.specimen}s",
        "wanted": wanted if has_interval else "",
        "mean width": "" if width is None else f"{width:.3g} {unit}",
        "spread between networks": "" if spread is None else f"{spread:.1f} %",
    }
