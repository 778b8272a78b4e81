"""What a sweep is judged by, told from what was measured: shares of right answers, or errors."""

import json

import pandas as pd

from batteryscope.evaluation.metric_catalogue import METRICS, Metric
from batteryscope.report.tables import LEVEL_NAMES

JUDGED = ("image", "specimen", "slice", "row", "tile")


# Sweeps are judged by the first of them that was measured; the others of its study stand beside.
# Different quantities have no percentage in common, unless none of them can be 0.
JUDGES: dict[str, tuple[str, ...]] = {"accuracy": (), "mape": ("mae", "r2"), "r2": ()}


def find_measure(sweeps: pd.DataFrame) -> Metric:
    """Return the metric by which a table of points is judged."""
    present = set(sweeps["metric"])
    return METRICS[next((name for name in JUDGES if name in present), next(iter(JUDGES)))]


def name_test_axis(measure: Metric) -> str:
    """Return what figures of test samples write beside it: ``MAPE (test, %)``, ``R² (test)``."""
    if measure.is_percent:
        return measure.axis_label.replace("(", "(test, ")
    return f"{measure.axis_label} (test)"


def spread_values(sweeps: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the rows of one metric with what was swept.

    Rows that hold all targets and domains together are taken where there are any. Otherwise, as
    in studies of tables, every target and domain is a place of its own.

    Parameters
    ----------
    sweeps
        The table ``sweeps.csv``.
    metric
        Its name there.

    Returns
    -------
    DataFrame
        One row per point, level and place, with the further columns ``swept`` (settings by key)
        and ``place`` (empty for all together).
    """
    target, domain = (sweeps[column].fillna("").astype(str) for column in ("target", "domain"))
    is_total = target.eq("") & domain.eq("")
    place = (target + ", " + domain).where(~is_total, "").str.strip(", ").str.replace("_", " ")
    wanted = sweeps["metric"] == metric
    if (is_total & wanted).any():
        wanted &= is_total
    rows = sweeps.assign(place=place)[wanted].reset_index(drop=True)
    return rows.assign(swept=[json.loads(text) for text in rows["values"]])


def list_levels(rows: pd.DataFrame) -> list[str]:
    """Return the level that is judged first, and tiles if they were measured.

    A level that only some points have (a division by slice has no verdicts on unseen cells) would
    compare nothing, so the others come first.
    """
    n_points = rows.groupby("level")["point"].nunique()
    present = set(n_points.index[n_points == n_points.max()])
    first = next((level for level in JUDGED if level in present), "tile")
    return [level for level in dict.fromkeys((first, "tile")) if level in present]


def list_series(rows: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Return level, place and name of all lines of a figure."""
    levels = list_levels(rows)
    places = list(dict.fromkeys(rows["place"]))
    return [
        (level, place, place or f"{LEVEL_NAMES[level]}s") for place in places for level in levels
    ]


def select_series(rows: pd.DataFrame, level: str, place: str) -> pd.DataFrame:
    """Return the rows of one line."""
    return rows[(rows["level"] == level) & (rows["place"] == place)]


def find_capacity_unit(targets: pd.Series) -> str:
    """Return the unit that all capacity targets of a table share, in brackets; else nothing."""
    known = {"_ah_kg": " (mAh/g)", "_ah_l": " (Ah/L)"}
    names = set(targets.dropna()) - {""}
    units = {unit for name in names for end, unit in known.items() if str(name).endswith(end)}
    return units.pop() if len(units) == 1 else ""
