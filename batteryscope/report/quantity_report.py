"""The page of a study of quantities that lie on no common axis."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from batteryscope.config.targets import Quantity
from batteryscope.core.baseline_catalogue import BASELINE_PREFIX, OF_QUANTITIES
from batteryscope.core.style import Picture
from batteryscope.evaluation.metric_catalogue import METRICS
from batteryscope.evaluation.regression_comparison import pick
from batteryscope.report.html import make_environment
from batteryscope.report.regression_evidence import RegressionEvidence
from batteryscope.report.regression_figures import draw_losses, draw_scatter
from batteryscope.report.regression_map_figures import draw_methods, draw_outputs
from batteryscope.report.shown_table import ShownTable, show_table
from batteryscope.report.words import title_finding
from batteryscope.samples.choose import samples_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Figures that are drawn for telephones, too: their panels can stand below each other.
NARROW = ("key_figure", "parity", "error_map", "trade_off", "training_", "shortcuts")
# Grids of pictures and groups of bars are drawn a second time, with fewer columns.
REDRAWN = ("methods_", "outputs_", "shares_")
Figures = dict[str, tuple[Callable[..., "Figure"], str]]


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


def say_quantities(evidence: RegressionEvidence) -> str:
    """Return the main result in one sentence."""
    arm, parts = evidence.main_arm, []
    tested = evidence.images[(evidence.images["arm"] == arm) & (evidence.images["role"] == "test")]
    for quantity in evidence.quantities:
        if not (tested["target"] == quantity.name).any():
            continue
        mae, sd = pick(evidence.comparison, arm, "mae", quantity.name)
        r2, _ = pick(evidence.comparison, arm, "r2", quantity.name)
        spread = f" ± {sd:.2g}" if np.isfinite(sd) else ""
        explained = f" (R² {r2:.2f})" if np.isfinite(r2) else ""
        parts.append(
            f"{quantity.label} with a mean error of {mae:.3g}{spread} {quantity.unit}{explained}"
        )
    best = [
        f"{name} with {error:.3g} {quantity.unit}".rstrip() + f" for {quantity.label}"
        for quantity in evidence.quantities
        for name, error in [find_best_baseline(evidence, quantity.name)]
        if name
    ]
    beside = f" The best baseline errs like this: {' and '.join(best)}." if best else ""
    specimens = tested["specimen_id"].replace("", np.nan).nunique()
    unit = f"{specimens} specimens" if specimens else f"{tested['sample_id'].nunique()} images"
    sample = samples_of(evidence.settings).origin
    told = f"From {sample} the network predicts {' and '.join(parts)} for {unit} not seen before."
    return told + beside


def list_quantity_numbers(evidence: RegressionEvidence) -> dict[str, float]:
    """Return the numbers of the summary: MAE and R² of every quantity."""
    numbers = {}
    for quantity in evidence.quantities:
        for metric in ("mae", "r2"):
            value, _ = pick(evidence.comparison, evidence.main_arm, metric, quantity.name)
            if np.isfinite(value):
                numbers[f"{quantity.name}.{metric}"] = float(f"{value:.4g}")
    return numbers


def list_quantity_figures(evidence: RegressionEvidence) -> Figures:
    """Return how every figure is drawn, and its caption."""
    published = list(dict.fromkeys([evidence.main_arm, *evidence.settings.published_arms]))
    figures: Figures = {
        "key_figure": (
            partial(draw_scatter, evidence.images, evidence.main_arm, evidence.quantities),
            "Predicted over true value of every test sample; where specimens have several samples, "
            "circles are their means. On the dotted line both are equal.",
        )
    }
    for arm in published:
        figures |= list_training_figures(evidence, arm)
        if arm not in evidence.maps:
            continue
        maps = evidence.maps[arm]
        for number, target in enumerate(maps.targets):
            label = next(q.label for q in evidence.quantities if q.name == target)
            figures[f"methods_{arm}_{target}"] = (
                partial(draw_methods, maps, number),
                f"{evidence.label(arm)}, {label}: what raises (red) and lowers (blue) it. Above "
                "each picture stands its true value. Every map has a scale of its own.",
            )
        if len(maps.targets) > 1:
            figures[f"outputs_{arm}"] = (
                partial(draw_outputs, maps, len(maps.tiles) // 2),
                f"{evidence.label(arm)}: one picture, all quantities.",
            )
    return figures


def list_training_figures(evidence: RegressionEvidence, arm: str) -> Figures:
    """Return how the training of an arm is drawn; nothing if no fit took more than an epoch."""
    if not any(len(history) > 1 for history in evidence.histories.get(arm, ())):
        return {}
    drawn = partial(draw_losses, evidence.histories[arm])
    return {f"training_{arm}": (drawn, f"Training of {evidence.label(arm)}, all folds.")}


def render_quantity_report(
    evidence: RegressionEvidence, common: Mapping[str, Any], pictures: Mapping[str, Picture]
) -> str:
    """Render the page; ``common`` is what pages of capacities show as well."""
    context = {
        **common,
        "findings": [
            (f["severity"], title_finding(str(f["kind"])), f["text"]) for f in evidence.findings
        ],
        "errors": [t for q in evidence.quantities if (t := show_errors(evidence, q))],
        "by_class": [t for q in evidence.quantities if (t := show_errors_by_class(evidence, q))],
        "intervals": show_quantity_intervals(evidence),
        "ranges": show_ranges(evidence),
        "external": show_external_quantities(evidence),
        "maps": [name for name in pictures if name.startswith(("methods_", "outputs_"))],
        "trainings": [name for name in pictures if name.startswith("training_")],
    }
    return make_environment().get_template("quantity_study.html.j2").render(context)
