"""The section on shortcuts in reports of numbers: tables and figures."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from batteryscope.audit.confounding import TOLD
from batteryscope.audit.cues import CUES
from batteryscope.audit.perturb import PERTURBATION_LABELS
from batteryscope.report.regression_evidence import RegressionEvidence
from batteryscope.report.shortcuts import draw_skills, list_skills
from batteryscope.report.shown_table import ShownTable, show_table
from batteryscope.report.tables import NOTHING, format_count, format_percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEXTS = {
    "skill": "“Of the variance” is 1 − squared error / squared error of the mean of the training "
    "samples: 0 is that mean, 100 % is perfect, below 0 is worse than the mean.",
    "circumstances": "“Of the variance between them”: beyond what groups drawn by lot would give; "
    "samples of one specimen count once.",
    "file": "confounding_means.csv",
}
SAID = ("of the variance", "95 % interval", "mean error", "of the mean", "n")
FIGURE = "shortcuts"
Figures = dict[str, tuple[Callable[[], "Figure"], str]]


def show_number_shortcuts(evidence: RegressionEvidence) -> list[ShownTable]:
    """Make the tables of the audit: of each quantity cues, changed tiles, circumstances."""
    told, shares = evidence.shortcuts, evidence.confounding
    if told is None:
        return []
    tables = []
    for quantity, own in told.groupby("quantity", sort=False):
        tables.append(_show_cues(own, str(quantity), evidence))
        tables.append(_show_changed_tiles(own[own["what"] == "network"], str(quantity)))
        if shares is not None:
            tables.append(_show_shares(shares[shares["quantity"] == quantity], str(quantity)))
    return [table for table in tables if table is not None]


def list_shortcut_figures(evidence: RegressionEvidence) -> Figures:
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


def _say(row: "pd.Series") -> tuple[str, ...]:
    return (
        format_percent(row["skill"], 0),
        f"{100 * row['skill_low']:.0f} to {100 * row['skill_high']:.0f} %",
        f"{row['error']:.3g} {row['unit']}",
        f"{row['error_of_mean']:.3g} {row['unit']}",
        format_count(row["n"]),
    )


def _show_cues(
    told: pd.DataFrame, quantity: str, evidence: RegressionEvidence
) -> ShownTable | None:
    rows: list[tuple[str, ...]] = []
    marked: list[int] = []
    for what, suffix in (("model", ""), ("cue", ""), ("session_left_out", ", unseen sessions")):
        for _, row in told[told["what"] == what].iterrows():
            if what == "model":
                marked.append(len(rows))
                name, seen = evidence.label(evidence.main_arm), NOTHING
            else:
                cue = CUES[row["name"]]
                name, seen = f"{cue.label}{suffix}", "yes" if cue.is_seen else "no"
            rows.append((name, seen, *_say(row)))
    table = pd.DataFrame(rows, columns=["what is known", "in the picture", *SAID])
    return show_table(table, f"What alone tells: {quantity}", ("in the picture",), marked)


def _show_changed_tiles(told: pd.DataFrame, quantity: str) -> ShownTable | None:
    rows = [(PERTURBATION_LABELS[row["name"]], *_say(row)) for _, row in told.iterrows()]
    table = pd.DataFrame(rows, columns=["test tiles", *SAID])
    return show_table(table, f"What the network still knows of changed tiles: {quantity}")


def _show_shares(shares: pd.DataFrame, quantity: str) -> ShownTable | None:
    rows = [
        (
            TOLD.get(row["factor"], row["factor"]),
            format_count(row["values"]),
            format_percent(row["known"], 0),
            format_percent(row["share_of_variance"], 0),
        )
        for _, row in shares.iterrows()
    ]
    columns = ["circumstance", "values", "known of", "of the variance between them"]
    return show_table(
        pd.DataFrame(rows, columns=columns), f"How the pictures were taken: {quantity}"
    )
