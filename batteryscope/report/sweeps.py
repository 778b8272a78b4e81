"""The tables of sweeps in a report, and how swept settings are called."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from batteryscope.config.sweep import WHERE, split_key
from batteryscope.evaluation.metric_catalogue import Metric, name_metric
from batteryscope.report.shown_table import ShownTable, show_table
from batteryscope.report.sweep_measures import (
    JUDGES,
    find_capacity_unit,
    find_measure,
    list_series,
    select_series,
    spread_values,
)
from batteryscope.report.tables import LEVEL_NAMES, NOTHING, format_count

UNITS = {
    "preprocess.crop_px": "edge of a crop (px)",
    "preprocess.crop_height_px, preprocess.crop_width_px": "height, width of a crop (px)",
    "preprocess.tiles_per_class": "training crops per class",
    "preprocess.tiles_per_image": "training crops per image",
    "preprocess.half_edge_radii": "half edge of a crop (radii of the can)",
    "model.grey_levels": "grey levels",
    "model.backbone": "network",
    "balance.images_per_class": "training images (of classes: of each)",
    "balance.specimens_per_class": "training specimens (of classes: of each)",
    "balance.method": "treatment of unequal classes",
    "train.learning_rate": "learning rate",
    "train.penalty, train.penalty_weight": "penalty and its weight",
    "train.adversarial_noise": "adversarial noise",
    "augment.rotation_deg": "rotation up to (°)",
    "augment.shift": "shift up to (share of the edge)",
    "networks.nodes": "nodes per hidden layer",
    "split.test_fraction": "share of test samples",
}


def show_sweeps(sweeps: pd.DataFrame | None) -> list[ShownTable]:
    """Make one table per sweep: the values, the scores, the paper's number, the time."""
    if sweeps is None or sweeps.empty:
        return []
    measure = find_measure(sweeps)
    rows = spread_values(sweeps, measure.name)
    shown = []
    for name, points in rows.groupby("sweep", sort=False):
        series = list_series(points)
        lines = []
        for point_name, point in points.groupby("point", sort=False):
            first: dict[str, Any] = {str(k): v for k, v in point.iloc[0].items()}
            line = {name_key(key): name_choice(value) for key, value in first["swept"].items()}
            has_paper = bool(points["paper"].notna().any())
            line |= _list_scores(measure, point, series, has_paper)
            line |= _list_others(measure, sweeps[sweeps["point"] == point_name], series)
            judged = select_series(point, *series[0][:2])
            n = judged["n"].iloc[0] if len(judged) else None
            line[f"n ({LEVEL_NAMES[series[0][0]]}s)"] = format_count(n)
            line["fits"] = format_count(first["fits"])
            seconds = first["seconds_per_epoch"]
            line["s per epoch"] = NOTHING if pd.isna(seconds) else f"{seconds:.3g}"
            line["same work as"] = NOTHING if first["arm"] == first["point"] else first["arm"]
            lines.append(line)
        frame = pd.DataFrame(lines)
        if (frame["s per epoch"] == NOTHING).all():
            frame = frame.drop(columns="s per epoch")
        table = show_table(frame, str(name).replace("_", " "), ("same work as",))
        if table is not None:
            shown.append(table)
    return shown


def _list_scores(
    measure: Metric, point: pd.DataFrame, series: list[tuple[str, str, str]], has_paper: bool
) -> dict[str, str]:
    line = {}
    for level, place, label in series:
        rows = select_series(point, level, place)
        known = rows.iloc[0] if len(rows) else pd.Series({"mean": None, "sd": None, "paper": None})
        title = f"{label} right" if measure.unit == "share" else f"{measure.label}, {label}"
        line[title] = measure.format(known["mean"], sd=known["sd"])
        if has_paper:
            value = known["paper"]
            line[f"paper, {label}"] = measure.format(value)
    return line


def _list_others(
    measure: Metric, point: pd.DataFrame, series: list[tuple[str, str, str]]
) -> dict[str, str]:
    """Further measures, of all targets together; there are none where there is no such row."""
    line = {}
    alone = len({place for _, place, _ in series}) == 1
    for metric in JUDGES[measure.name] if alone else ():
        rows = spread_values(point, metric)
        rows = select_series(rows, *series[0][:2]) if len(rows) else rows
        unit = find_capacity_unit(point["target"]) if metric == "mae" else ""
        text = NOTHING
        if len(rows):
            mean, sd = rows["mean"].iloc[0], rows["sd"].iloc[0]
            text = f"{mean:.3g}" + ("" if pd.isna(sd) else f" ± {sd:.2g}")
        line[name_metric(metric) + unit] = text
    return line


def name_key(key: str) -> str:
    """Return how a figure calls a swept key."""
    if key in UNITS:
        return UNITS[key]
    if len(names := split_key(key)) > 1:
        return ", ".join(name_key(name) for name in names)
    return key.removeprefix(WHERE).split(".", 1)[-1].replace("_", " ").replace(".", ", ")


def name_choice(value: Any) -> str:
    """Return how a figure calls a swept value.

    Examples
    --------
    >>> [name_choice(v) for v in (1e-5, ["l1", 1e-5], {"width": 0.25}, "per_image")]
    ['1e-05', 'l1, 1e-05', 'width 0.25', 'per image']
    """
    if isinstance(value, list):
        return ", ".join(name_choice(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {name_choice(v)}" for k, v in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")
