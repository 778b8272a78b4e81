"""Electrodes that no network has seen, as the report of capacities shows them."""

import pandas as pd

from batteryscope.evaluation.regression_comparison import pick
from batteryscope.evaluation.regression_external import say_external_coverage
from batteryscope.evaluation.regression_metrics import read_target, show_unit
from batteryscope.report.regression_evidence import RegressionEvidence
from batteryscope.report.shown_table import ShownTable, show_table

ALL_RATES = "all C-rates"


def show_external_capacities(evidence: RegressionEvidence) -> list[ShownTable]:
    """Errors and coverage of the published average, a table per arm, a row per C-rate."""
    scores = evidence.external
    if scores is None:
        return []
    shown = []
    for arm in dict.fromkeys(scores["arm"]):
        mine = scores[(scores["arm"] == arm) & (scores["domain"] == "")]
        mine = mine[mine["level"] == "image"]
        rows = [
            _list_cells(part.set_index("metric")["value"], str(target), evidence)
            for target, part in mine.groupby("target", sort=False)
        ]
        unit = show_unit(next((read_target(str(t))[1] for t in mine["target"] if t), ""))
        columns = [
            "C-rate", "MAPE / %", f"MAE / {unit}", "R²", "inside the interval", "wanted",
            f"mean width / {unit}", "spread between networks",
        ]  # fmt: skip
        table = show_table(pd.DataFrame(rows, columns=columns), evidence.label(str(arm)), (), [0])
        shown += [table] if table is not None else []
    return shown


def say_external(evidence: RegressionEvidence) -> list[str]:
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
        ].iloc[0]
        single, _ = pick(evidence.comparison, arm)
        text = (
            f"{evidence.label(arm)}: the average errs by {found['value']:.1f} % on {found['n']} "
            f"images of {found['n_specimens']} electrodes (single networks on their own test "
            f"images: {single:.1f} %). "
        )
        said = say_external_coverage(scores, arm, evidence.settings.evaluate.coverage)
        texts.append((text + said).strip())
    return texts


def count_external_rejects(evidence: RegressionEvidence) -> int:
    """Return how many external images could not be judged."""
    rows = evidence.external_rows
    return 0 if rows is None else int((rows["status"] != "ok").sum())


def _list_cells(values: pd.Series, target: str, evidence: RegressionEvidence) -> list[str]:
    wanted = f"{100 * evidence.settings.evaluate.coverage:.0f} %"
    has_interval = "coverage" in values
    return [
        f"{read_target(target)[0]:g}C" if target else ALL_RATES,
        f"{values['mape']:.2f}",
        f"{values['mae']:.2f}",
        f"{values['r2']:.3f}" if "r2" in values else "hardly varies",
        f"{100 * values['coverage']:.0f} %" if has_interval else "too few electrodes",
        wanted if has_interval else "",
        f"{values['interval_width']:.1f}" if "interval_width" in values else "",
        f"{values['fold_sd']:.1f} %" if "fold_sd" in values else "",
    ]
