"""Tables of the report of numbers, as texts: of curves, and of quantities without an axis."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from batteryscope.config.predicted import Quantity
from batteryscope.core.baseline_catalogue import BASELINE_PREFIX, OF_QUANTITIES
from batteryscope.evaluation.metric_catalogue import METRICS
from batteryscope.evaluation.number_comparison import pick
from batteryscope.evaluation.number_metrics import (
    measure_errors,
    measure_fits,
    select_curve,
    show_unit,
)
from batteryscope.report.number_evidence import NumberEvidence
from batteryscope.report.shown_table import ShownTable, show_table


def show_overall(evidence: NumberEvidence) -> ShownTable | None:
    """Errors of every arm over its curve, the paper's values beside them."""
    rows: list[list[str]] = []
    marked: list[int] = []
    metrics = list(dict.fromkeys(m for point in evidence.points for m in point.metrics))
    for arm in evidence.plan.arms:
        if not evidence.points_of(arm):
            continue
        if arm == evidence.main_arm:
            marked.append(len(rows))
        cells = [evidence.label(arm), name_unit(evidence, arm)]
        for metric in metrics:
            cells.append(format_error(metric, *pick(evidence.comparison, arm, metric)))
            if metric == "mape":
                cells.append(_say_folds(evidence, arm))
            cells.append(_paper(evidence, arm, metric))
        cost = evidence.costs.get(arm, {})
        cells.append(f"{cost.get('seconds', 0) / max(1, cost.get('n_fits', 1)):.0f}")
        rows.append(cells)
    columns = ["model", "unit"]
    for metric in metrics:
        columns.append(METRICS[metric].title("unit"))
        columns += ["best and worst fold"] if metric == "mape" else []
        columns.append(f"paper: {METRICS[metric].label}")
    columns.append("training / s per fit")
    return show_table(pd.DataFrame(rows, columns=columns), "", ("unit",), marked)


def name_arm(evidence: NumberEvidence, arm: str) -> str:
    """Return what the report calls a network or a baseline."""
    known = OF_QUANTITIES.get(arm.removeprefix(BASELINE_PREFIX))
    return known.label if known else evidence.label(arm)


def find_best_baseline(
    evidence: NumberEvidence, told: Sequence[Quantity]
) -> tuple[str, float] | None:
    """Return name and error (:attr:`Quantity.main_metric`) of the best baseline of quantities.

    The error is the mean over the quantities that the main arm predicts.
    """
    own = evidence.comparison[evidence.comparison["arm"] == evidence.main_arm]
    targets = [q.name for q in told if (own["target"] == q.name).any()]
    metric = told[0].main_metric
    errors = {
        baseline.in_sentence: [
            pick(evidence.comparison, BASELINE_PREFIX + name, metric, target)[0]
            for target in targets
        ]
        for name, baseline in OF_QUANTITIES.items()
    }
    means = {name: float(np.mean(of_targets)) for name, of_targets in errors.items() if of_targets}
    known = {name: mean for name, mean in means.items() if np.isfinite(mean)}
    return min(known.items(), key=lambda item: item[1]) if known else None


def show_baselines(evidence: NumberEvidence) -> ShownTable | None:
    """Errors of networks, proxies and physics on the same test images, curve by curve."""
    images = evidence.images[evidence.images["role"] == "test"]
    published = [evidence.main_arm, *evidence.settings.published_arms]
    curves: dict[tuple[str, str], tuple[str, list[Quantity]]] = {}  # the main arm's come first
    for arm in published:
        for point in evidence.points_of(arm):
            key = (point.curve, point.unit)
            if curves.setdefault(key, (arm, []))[0] == arm:
                curves[key][1].append(point)
    names = {arm: OF_QUANTITIES[arm.removeprefix(BASELINE_PREFIX)].label
             for arm in set(images["arm"])
             if arm.removeprefix(BASELINE_PREFIX) in OF_QUANTITIES}  # fmt: skip
    order = [baseline.label for baseline in OF_QUANTITIES.values()]
    entries = [("", "network"), *sorted(names.items(), key=lambda item: order.index(item[1]))]
    if (images["arm"] == "physics").any():
        entries.append(("physics", "half-cell model at the nominal porosity"))
    rows = []
    for arm, name in entries:
        cells = [name]
        for own, points in curves.values():
            known = images["target"].isin([point.name for point in points])
            fits = measure_fits(images[(images["arm"] == (arm or own)) & known], points[0])
            for metric in _two_of(points[0]):
                values = np.array([fit[metric] for fit in fits])
                sd = values.std(ddof=1) if len(values) > 1 else float("nan")
                cells.append(format_error(metric, float(values.mean()), sd) if len(values) else "")
        rows.append(cells)
    several = len({curve for curve, _ in curves}) > 1
    columns = ["who"]
    for (curve, unit), (_, points) in curves.items():
        what = f"{curve}, {show_unit(unit)}" if several else show_unit(unit)
        columns += [f"{_short(metric)}, {what}" for metric in _two_of(points[0])]
    return show_table(pd.DataFrame(rows, columns=columns), marked=[0])


def _two_of(point: Quantity) -> tuple[str, str]:
    """The two errors of a point that are shown beside baselines."""
    return ("mape", "mae") if point.relative else ("mae", "rmse")


def _short(metric: str) -> str:
    return METRICS[metric].title("") if METRICS[metric].is_percent else METRICS[metric].label


def show_by_point(evidence: NumberEvidence, arm: str) -> ShownTable | None:
    """Errors of one arm at every point of its curves."""
    points = evidence.points_of(arm)
    units = {point.unit for point in points}
    rows = []
    for point in points:
        cells = [point.place if len(units) == 1 else f"{point.label} at {point.place}"]
        for metric in point.metrics:
            shown = format_error(metric, *pick(evidence.comparison, arm, metric, point.name))
            cells.append(shown or ("hardly varies" if metric == "r2" else ""))
        rows.append(cells)
    if not rows:
        return None
    unit = name_unit(evidence, arm)
    columns = [evidence.axis, *(METRICS[metric].title(unit) for metric in points[0].metrics)]
    return show_table(pd.DataFrame(rows, columns=columns), evidence.label(arm))


def show_by_class(evidence: NumberEvidence, arm: str) -> ShownTable | None:
    """Errors of one arm per class, all points of its curves together, and how they lean."""
    points = {point.name for point in evidence.points_of(arm)}
    mine = evidence.images[(evidence.images["arm"] == arm) & (evidence.images["role"] == "test")]
    mine = mine[mine["target"].isin(points)]
    rows = []
    for name, part in sorted(
        mine.groupby("class"), key=lambda item: float_or_zero(item[0]), reverse=True
    ):
        lean = 100 * (part["y_pred"] / part["y_true"] - 1).mean()
        rows.append(
            [
                str(name),
                *(
                    format_error(metric, *pick(evidence.comparison, arm, metric, "", str(name)))
                    for metric in ("mape", "mae")
                ),
                f"{measure_errors(part['y_true'], part['y_pred'])['r2']:.3f}",
                f"{lean:+z.1f} %",
            ]
        )
    columns = [
        evidence.words.title, "MAPE / %", f"MAE / {name_unit(evidence, arm)}",
        f"R² over the {evidence.axis}", "predicted too high (+) or low (−)",
    ]  # fmt: skip
    return show_table(pd.DataFrame(rows, columns=columns), evidence.label(arm))


def show_arms_by_class(evidence: NumberEvidence) -> ShownTable | None:
    """MAPE per class, a column per arm."""
    arms = [arm for arm in evidence.plan.arms if evidence.points_of(arm)]
    names = sorted(set(evidence.images["class"]), key=float_or_zero, reverse=True)
    rows = [
        [
            name,
            *(format_error("mape", *pick(evidence.comparison, a, "mape", "", name)) for a in arms),
        ]
        for name in names
    ]
    columns = [evidence.words.title, *(f"MAPE / %, {evidence.label(arm)}" for arm in arms)]
    return show_table(pd.DataFrame(rows, columns=columns))


def show_errors(evidence: NumberEvidence, quantity: Quantity) -> ShownTable | None:
    """Errors of everybody who predicts a quantity: single samples, and specimens where known."""
    comparison = evidence.comparison
    mine = comparison[(comparison["target"] == quantity.name) & (comparison["domain"] == "")]
    levels = [level for level in ("specimen", "slice", "image") if (mine["level"] == level).any()]
    present = [arm for arm in dict.fromkeys(mine["arm"]) if arm != "paper"]
    networks = [arm for arm in evidence.plan.arms if arm in present]
    rows: list[list[str]] = []
    marked: list[int] = []
    for arm in [*networks, *(arm for arm in present if arm not in networks)]:
        own = mine[mine["arm"] == arm]
        if arm == evidence.main_arm:
            marked.append(len(rows))
        cells = [name_arm(evidence, arm)]
        for level in levels:
            of_level = own[own["level"] == level].set_index("metric")
            for metric in quantity.metrics:
                known = metric in of_level.index
                mean, sd = of_level.loc[metric, ["mean", "sd"]] if known else (np.nan, np.nan)
                cells.append(_significant(float(mean), float(sd)))
            n = of_level["n"].iloc[0] if len(of_level) else ""
            cells.append("" if pd.isna(n) else str(n))
        rows.append(cells)
    columns = ["who"]
    for level in levels:
        columns += [f"{METRICS[m].title(quantity.unit)}, per {level}" for m in quantity.metrics]
        columns.append(f"{level}s")
    title = f"{quantity.label} / {quantity.unit}"
    return show_table(pd.DataFrame(rows, columns=columns), title, (), marked)


def show_errors_by_class(evidence: NumberEvidence, quantity: Quantity) -> ShownTable | None:
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
    heads = (f"MAE / {quantity.unit}, {evidence.label(arm)}" for arm in arms)
    columns = [evidence.words.title, "samples", *heads]
    return show_table(pd.DataFrame(rows, columns=columns), quantity.label)


def show_ranges(evidence: NumberEvidence) -> ShownTable | None:
    """What the true values of each quantity without an axis are: lowest, median, highest."""
    rows = []
    for quantity in evidence.singles:
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


def say_fitted_constants(evidence: NumberEvidence) -> str:
    """Say that the half-cell model was fitted to a figure of the paper, where its constants are."""
    physics = evidence.settings.physics
    if physics is None or not physics.has_fitted_constants:
        return ""
    return (
        f"Its exponent of Bruggeman ({physics.bruggeman:g}) and the diffusion coefficient in the "
        f"particles ({physics.diffusivity_m2_s:g} m²/s at half the lithium) were fitted to the "
        "curves of Figure 4 of Deeg et al. (2024): they are no measured properties, and that the "
        "model gives those curves proves nothing."
    )


def show_intervals(evidence: NumberEvidence) -> ShownTable | None:
    """Widths and measured coverage of the intervals of the published arms."""
    published = [evidence.main_arm, *evidence.settings.published_arms]
    rows = []
    for row in evidence.intervals.to_dict("records"):
        if row["arm"] not in published:
            continue
        quantity = evidence.quantity(str(row["target"]))
        unit = show_unit(quantity.unit)
        wide, mean = float(row[f"{quantity.interval}_half_width"]), float(row["mean_half_width"])
        coverage, known = row["coverage_measured"], np.isfinite(wide)
        rows.append(
            [
                f"{quantity.place}, {unit}" if quantity.curve else quantity.label,
                _say_width(quantity, wide) if known else f"too few {evidence.specimen}s",
                f"± {mean:.3g} {unit}" if known else "",
                f"{100 * coverage:.0f} %" if pd.notna(coverage) else "",
                f"{100 * row['coverage_wanted']:.0f} %",
                str(row["n_groups"]),
                str(row["n_test"]),
                _say_spread(evidence, str(row["arm"]), quantity),
            ]
        )
    columns = [
        "output", "interval", "on average", "inside", "wanted", "independent units",
        "test samples", "spread between folds",
    ]  # fmt: skip
    if not evidence.points:  # curves alone tell the means of the folds
        rows, columns = [row[:-1] for row in rows], columns[:-1]
    return show_table(pd.DataFrame(rows, columns=columns), "", ("interval",))


def _say_width(quantity: Quantity, width: float) -> str:
    if quantity.interval == "ratio":
        return f"1/{np.exp(width):.3g} to {np.exp(width):.3g} times"
    if quantity.interval == "relative":
        return f"± {100 * width:.1f} %"
    return f"± {width:.3g} {show_unit(quantity.unit)}"


def _say_spread(evidence: NumberEvidence, arm: str, quantity: Quantity) -> str:
    """Say how much the means of the folds differ at a point of a curve."""
    if not quantity.curve:
        return ""
    curves = select_curve(evidence.curves, arm, quantity)
    folds = curves[curves[quantity.axis_column] == quantity.at]
    spread = (folds["sd_folds"] / folds["predicted"]).mean()
    return f"{100 * spread:.1f} %" if np.isfinite(spread) else ""


def show_data(evidence: NumberEvidence) -> ShownTable | None:
    """Images, specimens and mean values along the curves, per class."""
    if not evidence.points:
        return None
    manifest = evidence.manifest
    points = [point for point in evidence.points if point.name in manifest]
    rows = []
    for name in sorted(set(manifest["class"]), key=float_or_zero, reverse=True):
        part = manifest[manifest["class"] == name]
        cells = [name, str(part["specimen_id"].nunique()), str(len(part))]
        means = [part[point.name].mean() for point in points]
        rows.append([*cells, *(f"{m:.0f}" if m >= 100 else f"{m:.3g}" for m in means)])
    titles = [f"{point.place} / {show_unit(point.unit)}" for point in points]
    columns = [evidence.words.title, f"{evidence.specimen}s", "images", *titles]
    return show_table(pd.DataFrame(rows, columns=columns))


def float_or_zero(name: object) -> float:
    """Return a name as a number, 0 if it is none."""
    try:
        return float(str(name))
    except ValueError:
        return 0.0


def name_unit(evidence: NumberEvidence, arm: str) -> str:
    """Return the units of the curves of an arm."""
    return " and ".join(dict.fromkeys(show_unit(q.unit) for q in evidence.points_of(arm)))


def _say_folds(evidence: NumberEvidence, arm: str) -> str:
    """Return the lowest and the highest MAPE of the arm's fits."""
    points = [point.name for point in evidence.points_of(arm)]
    mine = evidence.images[(evidence.images["arm"] == arm) & (evidence.images["role"] == "test")]
    values = [fit["mape"] for fit in measure_fits(mine[mine["target"].isin(points)])]
    return f"{min(values):.2f} and {max(values):.2f}" if len(values) > 1 else ""


def _paper(evidence: NumberEvidence, arm: str, metric: str) -> str:
    for value in evidence.settings.evaluate.paper:
        if (value.arm, value.metric, value.target, value.domain) == (arm, metric, "", ""):
            return format_error(metric, value.value, np.nan)
    return ""


def format_error(metric: str, mean: float, sd: float) -> str:
    """Return an error of a curve: percent with two decimals, R² with three, else three digits."""
    digits = {"mape": 2, "r2": 3}.get(metric)
    if digits is None:
        return _significant(mean, sd)
    if not np.isfinite(mean):
        return ""
    return f"{mean:.{digits}f}" + (f" ± {sd:.{digits}f}" if np.isfinite(sd) else "")


def _significant(mean: float, sd: float) -> str:
    if not np.isfinite(mean):
        return ""
    return f"{mean:.3g}" + (f" ± {sd:.2g}" if np.isfinite(sd) else "")
