"""The section on shortcuts in reports of numbers: tables and figures."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from batteryscope.report.number_evidence import NumberEvidence
from batteryscope.report.shortcuts import (
    Columns,
    draw_skills,
    list_skills,
    show_changed_tiles,
    show_circumstances,
    show_cues,
)
from batteryscope.report.shown_table import ShownTable
from batteryscope.report.tables import format_count, format_percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEXTS = {
    "skill": "“Of the variance” is 1 − squared error / squared error of the mean of the training "
    "samples: 0 is that mean, 100 % is perfect, below 0 is worse than the mean.",
    "circumstances": "“Of the variance between them”: beyond what groups drawn by lot would give; "
    "samples of one specimen count once.",
    "file": "confounding_means.csv",
}
SAID: Columns = {
    "of the variance": lambda row: format_percent(row["skill"], 0),
    "95 % interval": lambda row: f"{100 * row['skill_low']:.0f} to {100 * row['skill_high']:.0f} %",
    "mean error": lambda row: f"{row['error']:.3g} {row['unit']}",
    "of the mean": lambda row: f"{row['error_of_mean']:.3g} {row['unit']}",
    "n": lambda row: format_count(row["n"]),
}
TOLD_OF_VARIANCE: Columns = {
    "of the variance between them": lambda row: format_percent(row["share_of_variance"], 0),
}
FIGURE = "shortcuts"
Figures = dict[str, tuple[Callable[[], "Figure"], str]]


def show_number_shortcuts(evidence: NumberEvidence) -> list[ShownTable]:
    """Make the tables of the audit: of each quantity cues, changed tiles, circumstances."""
    told, shares = evidence.shortcuts, evidence.confounding
    if told is None:
        return []
    tables = []
    for quantity, own in told.groupby("quantity", sort=False):
        label = evidence.label(evidence.main_arm)
        tables.append(show_cues(own, SAID, label, f"What alone tells: {quantity}"))
        tables.append(show_changed_tiles(own, SAID, f": {quantity}"))
        if shares is not None:
            these = shares[shares["quantity"] == quantity]
            tables.append(show_circumstances(these, TOLD_OF_VARIANCE, f": {quantity}"))
    return [table for table in tables if table is not None]


def list_shortcut_figures(evidence: NumberEvidence) -> Figures:
    """Return how the skills of each quantity are drawn, and the caption."""
    told = evidence.shortcuts
    if told is None or told.empty:
        return {}
    figures: Figures = {}
    for number, (quantity, own) in enumerate(told.groupby("quantity", sort=False), 1):
        rows = list_skills(own, evidence.label(evidence.main_arm))
        caption = (
            f"{quantity}: how much of the variance the published network tells, each cue alone "
            "(grey), and the network of changed tiles (light blue). Whiskers: 95 % interval."
        )
        figures[f"{FIGURE}_{number}"] = (partial(draw_skills, rows, "of the variance"), caption)
    return figures
