"""What a sweep is judged by, told from what was measured: shares of right answers, or errors."""

import json
from dataclasses import dataclass

import pandas as pd

from batteryscope.report.tables import LEVEL_NAMES, NOTHING, format_spread

JUDGED = ("image", "specimen", "slice", "row", "tile")


@dataclass(frozen=True)
class SweepMeasure:
    """The main measure of a sweep, and how it is shown.

    Attributes
    ----------
    metric
        Its name in ``sweeps.csv``.
    factor
        From the values of the table to percent.
    is_error
        Lower is better.
    axis, colour_bar
        What figures write beside it.
    caption
        What is shown, with a place for the name of the samples.
    others
        Further metrics of the table, and how they are called there.
    """

    metric: str
    factor: float
    is_error: bool
    axis: str
    colour_bar: str
    caption: str
    others: tuple[tuple[str, str], ...] = ()


MEASURES = (
    SweepMeasure(
        "accuracy", 100, False, "right class (test, %)", "right class (%)",
        "share of test {samples} put into the right class",
    ),
    SweepMeasure(
        "mape", 1, True, "MAPE (test, %)", "MAPE (%)",
        "mean absolute percentage error of test {samples}",
        (("mae", "MAE"), ("r2", "R²")),
    ),
    SweepMeasure(
        "r2", 100, False, "variance explained (test, %)", "R² (%)",
        "share of the variance of test {samples} that is explained (R²)",
    ),
)  # fmt: skip


def find_measure(sweeps: pd.DataFrame) -> SweepMeasure:
    """Return the measure of which the table has values."""
    present = set(sweeps["metric"])
    return next((measure for measure in MEASURES if measure.metric in present), MEASURES[0])


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


def format_score(measure: SweepMeasure, mean: float, sd: float | None) -> str:
    """Return ``93.8 ± 1.2 %``; without the spread if there was one fold only."""
    if pd.isna(mean):
        return NOTHING
    share = measure.factor / 100
    return format_spread(mean * share, None if sd is None else sd * share)


def find_capacity_unit(targets: pd.Series) -> str:
    """Return the unit that all capacity targets of a table share, in brackets; else nothing."""
    known = {"_ah_kg": " (Ah/kg)", "_ah_l": " (Ah/L)"}
    names = set(targets.dropna()) - {""}
    units = {unit for name in names for end, unit in known.items() if str(name).endswith(end)}
    return units.pop() if len(units) == 1 else ""
