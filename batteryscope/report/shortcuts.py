"""The section of a report on shortcuts: the verdict's numbers as tables and a figure."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from batteryscope.audit.confounding import TOLD
from batteryscope.audit.cues import CUES
from batteryscope.audit.perturb import PERTURBATION_LABELS
from batteryscope.core.style import (
    BLUE,
    GREY,
    INK,
    SKY,
    SOFT_INK,
    Picture,
    encode_picture,
    house_style,
    make_figure,
    percent_axis,
)
from batteryscope.report.evidence import StudyEvidence
from batteryscope.report.shown_table import ShownTable, show_table
from batteryscope.report.tables import NOTHING, format_count, format_percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_VALUES = 12  # of a circumstance whose counts are shown
WORTH_COUNTING = 0.5  # share of the label that it tells


TEXTS = {
    "skill": "“Above chance” is the share of the way from guessing (0) to perfect (1).",
    "circumstances": "“Of the label it tells”: mutual information beyond that of labels drawn by "
    "lot, as a share of the most that is possible.",
    "file": "confounding_counts.csv",
}


def show_shortcuts(evidence: StudyEvidence) -> list[ShownTable]:
    """Make the tables of the audit: cues, changed tiles, circumstances, counts of the worst one."""
    tables = []
    told = evidence.shortcuts
    if told is not None:
        label = evidence.label_of(evidence.main_arm)
        tables.append(show_cues(told, SAID, label, "What alone tells the class"))
        tables.append(show_changed_tiles(told, SAID))
    if evidence.confounding is not None and len(evidence.confounding):
        tables.append(show_circumstances(evidence.confounding, TOLD_OF_LABEL))
        tables.append(_show_counts(evidence))
    return [table for table in tables if table is not None]


# How the columns of a table are told: their titles, and what stands in a row.
Columns = Mapping[str, Callable[["pd.Series"], str]]
SAID: Columns = {
    "right": lambda row: format_percent(row["accuracy"]),
    "95 % interval": lambda row: f"{100 * row['low']:.1f} to {100 * row['high']:.1f} %",
    "mean over classes": lambda row: format_percent(row["balanced"]),
    "above chance": lambda row: f"{max(row['skill'], 0):.2f}",
    "n": lambda row: format_count(row["n"]),
}
TOLD_OF_LABEL: Columns = {
    "information (nats)": lambda row: f"{row['mutual_information_nats']:.2f}",
    "of the label it tells": lambda row: format_percent(row["share_of_label"], 0),
}


def show_cues(
    told: pd.DataFrame, said: Columns, main_label: str, caption: str
) -> ShownTable | None:
    """Tell of the network and of every cue what it reaches.

    Parameters
    ----------
    told
        ``shortcuts.csv`` of an audit, of one quantity.
    said
        Columns of scores.
    main_label
        What the report calls the network.
    caption
        Of the table.
    """
    rows: list[tuple[str, ...]] = []
    marked: list[int] = []
    for what, suffix in (("model", ""), ("cue", ""), ("session_left_out", ", unseen sessions")):
        for _, row in told[told["what"] == what].iterrows():
            if what == "model":
                marked.append(len(rows))
                name, seen = main_label, NOTHING
            else:
                cue = CUES[row["name"]]
                name, seen = f"{cue.label}{suffix}", "yes" if cue.is_seen else "no"
            rows.append((name, seen, *[say(row) for say in said.values()]))
    table = pd.DataFrame(rows, columns=["what is known", "in the picture", *said])
    return show_table(table, caption, ("in the picture",), marked)


def show_changed_tiles(told: pd.DataFrame, said: Columns, of: str = "") -> ShownTable | None:
    """Tell what the network reaches on changed tiles; ``of`` ends the caption."""
    rows = [
        (PERTURBATION_LABELS[row["name"]], *[say(row) for say in said.values()])
        for _, row in told[told["what"] == "network"].iterrows()
    ]
    table = pd.DataFrame(rows, columns=["test tiles", *said])
    return show_table(table, f"What the network still knows of changed tiles{of}")


def show_circumstances(shares: pd.DataFrame, said: Columns, of: str = "") -> ShownTable | None:
    """Tell what each circumstance of the pictures tells; ``of`` ends the caption."""
    rows = [
        (
            TOLD.get(row["factor"], row["factor"]),
            format_count(row["values"]),
            format_percent(row["known"], 0),
            *[say(row) for say in said.values()],
        )
        for _, row in shares.iterrows()
    ]
    table = pd.DataFrame(rows, columns=["circumstance", "values", "known of", *said])
    return show_table(table, f"How the pictures were taken{of}")


def _show_counts(evidence: StudyEvidence) -> ShownTable | None:
    """Count images of each class at each value of the circumstance that tells most."""
    counts, table = evidence.confounding_counts, evidence.confounding
    if counts is None or table is None or not len(table):
        return None
    few = table[(table["values"] <= MOST_VALUES) & (table["share_of_label"] >= WORTH_COUNTING)]
    if few.empty:
        return None
    factor = few.iloc[0]["factor"]
    own, told = counts[counts["factor"] == factor], TOLD.get(factor, factor)
    own = own.assign(**{"class": own["class"].str.replace("_", " ")})
    sides = ["class", "value"]
    if own["value"].nunique() > own["class"].nunique():  # rather many rows than many columns
        sides.reverse()
    crossed = own.pivot_table(index=sides[0], columns=sides[1], values="count", fill_value=0)
    crossed = crossed.astype(int).astype(str).rename_axis(None, axis=1).reset_index()
    crossed = crossed.rename(columns={"value": told})
    return show_table(crossed, f"Images per class and {told}")


def show_shortcut_picture(evidence: StudyEvidence) -> Picture | None:
    """Draw how far each cue and each changed tile is above chance, beside the network."""
    told = evidence.shortcuts
    if told is None or told[told["what"].isin(["cue", "network"])].empty:
        return None
    rows = list_skills(told, evidence.label_of(evidence.main_arm))
    caption = (
        "How far from chance (0 %) to perfect (100 %): the published network, each cue alone "
        "(grey), and the network on changed tiles (light blue). Whiskers: 95 % interval."
    )
    return encode_picture(draw_skills(rows), "shortcuts", caption, evidence.generated, True)


Skills = Sequence[tuple[str, float, float, float, str]]


def list_skills(told: pd.DataFrame, main_label: str) -> Skills:
    """Return label, skill, its interval, colour: the network, each cue, changed tiles."""
    rows = []
    for what, colour in (("model", BLUE), ("cue", GREY), ("network", SKY)):
        for _, row in told[told["what"] == what].iterrows():
            label = f"network: {main_label}"
            if what == "cue":
                label = f"only {CUES[row['name']].label}"
            if what == "network":
                label = f"test tiles: {PERTURBATION_LABELS[row['name']].split(':')[0]}"
            rows.append((label, row["skill"], row["skill_low"], row["skill_high"], colour))
    return rows


CHANCE_TO_PERFECT = "of the way from chance to perfect (mean over the classes)"


@house_style
def draw_skills(rows: Skills, axis_label: str = CHANCE_TO_PERFECT) -> "Figure":
    """Draw horizontal bars with intervals: label, value, low, high (shares), colour."""
    figure = make_figure(7.2, 0.8 + 0.26 * len(rows))
    axes = figure.add_subplot()
    places = np.arange(len(rows))
    values = np.clip([row[1] for row in rows], 0, 1)
    low = values - np.clip([row[2] for row in rows], 0, 1)
    high = np.clip([row[3] for row in rows], 0, 1) - values
    axes.barh(places, values, height=0.6, color=[row[4] for row in rows])
    ends = np.maximum([low, high], 0)
    axes.errorbar(values, places, xerr=ends, fmt="none", ecolor=INK, capsize=2, lw=0.9)
    axes.set_yticks(places, [row[0] for row in rows])
    axes.invert_yaxis()
    percent_axis(axes, "x", 1.0)
    axes.grid(axis="x")
    axes.set_xlabel(axis_label, color=SOFT_INK)
    return figure
