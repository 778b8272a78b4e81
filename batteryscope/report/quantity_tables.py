"""Tables of the report of quantities, as texts."""

import numpy as np
import pandas as pd

from batteryscope.config.targets import Quantity
from batteryscope.core.baseline_catalogue import BASELINE_PREFIX, OF_QUANTITIES
from batteryscope.evaluation.metric_catalogue import METRICS
from batteryscope.evaluation.regression_comparison import pick
from batteryscope.report.regression_evidence import RegressionEvidence
from batteryscope.report.shown_table import ShownTable, show_table


def show_errors(evidence: RegressionEvidence, quantity: Quantity) -> ShownTable | None:
    """Errors of everybody who predicts a quantity: single samples, and specimens where known."""
    comparison = evidence.comparison
    mine = comparison[(comparison["target"] == quantity.name) & (comparison["domain"] == "")]
    levels = [level for level in ("specimen", "slice", "image") if (mine["level"] == level).any()]
    rows: list[list[str]] = []
    marked: list[int] = []
    for arm in _list_arms(evidence, mine):
        own = mine[mine["arm"] == arm]
        if arm == evidence.main_arm:
            marked.append(len(rows))
        cells = [name_arm(evidence, arm)]
        for level in levels:
            of_level = own[own["level"] == level].set_index("metric")
            cells += [_format(of_level, metric) for metric in quantity.metrics]
            n = of_level["n"].iloc[0] if len(of_level) else ""
            cells.append("" if pd.isna(n) else str(n))
        rows.append(cells)
    columns = ["who"]
    for level in levels:
        columns += [f"{METRICS[m].title(quantity.unit)}, per {level}" for m in quantity.metrics]
        columns.append(f"{level}s")
    title = f"{quantity.label} / {quantity.unit}"
    return show_table(pd.DataFrame(rows, columns=columns), title, (), marked)


def show_errors_by_class(evidence: RegressionEvidence, quantity: Quantity) -> ShownTable | None:
    """Mean absolute error of every arm in each class."""
    table = evidence.comparison
    mine = table[
        (table["target"] == quantity.name) & (table["domain"] != "") & (table["metric"] == "mae")
    ]
    arms = [arm for arm in evidence.plan.arms if (mine["arm"] == arm).any()]
    rows = []
    for name in dict.fromkeys(mine["domain"]):
        part = mine[mine["domain"] == name].set_index("arm")
        cells = [f"{part['mean'].get(arm, np.nan):.3g}" for arm in arms]
        rows.append([str(name), str(part["n"].iloc[0]), *cells])
    columns = ["class", "samples", *(f"MAE / {quantity.unit}, {evidence.label(a)}" for a in arms)]
    return show_table(pd.DataFrame(rows, columns=columns), quantity.label)


def show_quantity_intervals(evidence: RegressionEvidence) -> ShownTable | None:
    """Widths and measured coverage of the intervals of the published arms."""
    published = [evidence.main_arm, *evidence.settings.published_arms]
    known = {quantity.name: quantity for quantity in evidence.quantities}
    rows = []
    for row in evidence.intervals.to_dict("records"):
        if row["arm"] not in published:
            continue
        quantity = known[str(row["target"])]
        width = float(row[f"{quantity.interval}_half_width"])
        said = f"± {width:.3g} {quantity.unit}"
        if quantity.interval == "ratio":
            said = f"1/{np.exp(width):.3g} to {np.exp(width):.3g} times"
        coverage = row["coverage_measured"]
        rows.append(
            [
                quantity.label,
                said if np.isfinite(width) else "too few independent units",
                f"{100 * coverage:.0f} %" if pd.notna(coverage) else "",
                f"{100 * row['coverage_wanted']:.0f} %",
                str(row["n_groups"]),
                str(row["n_test"]),
            ]
        )
    columns = ["quantity", "interval", "inside", "wanted", "independent units", "test samples"]
    return show_table(pd.DataFrame(rows, columns=columns), "", ("interval",))


def show_ranges(evidence: RegressionEvidence) -> ShownTable | None:
    """What the true values of each quantity are: lowest, median, highest."""
    rows = []
    for quantity in evidence.quantities:
        values = evidence.manifest[quantity.name]
        cells = [f"{v:.4g}" for v in (values.min(), values.median(), values.max(), values.std())]
        allowed = "".join(
            "…" if end is None else f"{end:g}{sep}"
            for end, sep in ((quantity.low, " to "), (quantity.high, ""))
        )
        learnt = "logarithm" if quantity.transform == "log" else "value"
        rows.append([quantity.label, quantity.unit, *cells, allowed, learnt])
    columns = [
        "quantity", "unit", "lowest", "median", "highest", "standard deviation", "allowed",
        "the network learns its",
    ]  # fmt: skip
    return show_table(pd.DataFrame(rows, columns=columns), "", ("unit", "allowed"))


def show_external_quantities(evidence: RegressionEvidence) -> ShownTable | None:
    """Errors and coverage of the published average on the external data set."""
    scores = evidence.external
    if scores is None:
        return None
    rows = []
    for quantity in evidence.quantities:
        part = scores[(scores["target"] == quantity.name) & (scores["level"] == "image")]
        values = part.set_index("metric")["value"]
        if "mae" not in values:
            continue
        n = part.loc[part["metric"] == "mae", "n"].iloc[0]
        rows.append(
            [
                f"{quantity.label} / {quantity.unit}",
                f"{values['mae']:.3g}",
                f"{values['rmse']:.3g}",
                f"{values['r2']:.3f}" if "r2" in values else "",
                f"{100 * values['coverage']:.0f} %" if "coverage" in values else "",
                str(n),
            ]
        )
    columns = ["quantity", "MAE", "RMSE", "R²", "inside the interval", "images"]
    return show_table(pd.DataFrame(rows, columns=columns))


def name_arm(evidence: RegressionEvidence, arm: str) -> str:
    """Return what the report calls a network or a baseline."""
    known = OF_QUANTITIES.get(arm.removeprefix(BASELINE_PREFIX))
    return known.label if known else evidence.label(arm)


def find_best_baseline(evidence: RegressionEvidence, quantity: str) -> tuple[str, float]:
    """Return name and mean absolute error of a quantity's best baseline; no name without any."""
    errors = {
        baseline.in_sentence: pick(evidence.comparison, BASELINE_PREFIX + name, "mae", quantity)[0]
        for name, baseline in OF_QUANTITIES.items()
    }
    known = {name: error for name, error in errors.items() if np.isfinite(error)}
    return min(known.items(), key=lambda item: item[1]) if known else ("", float("nan"))


def _list_arms(evidence: RegressionEvidence, rows: pd.DataFrame) -> list[str]:
    """Networks first, then baselines on the main arm's split."""
    present = list(dict.fromkeys(rows["arm"]))
    networks = [arm for arm in evidence.plan.arms if arm in present]
    return [*networks, *(arm for arm in present if arm not in networks and arm != "paper")]


def _format(rows: pd.DataFrame, metric: str) -> str:
    if metric not in rows.index:
        return ""
    mean, sd = float(rows["mean"][metric]), float(rows["sd"][metric])
    return f"{mean:.3g}" + (f" ± {sd:.2g}" if np.isfinite(sd) else "")
