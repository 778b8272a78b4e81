"""The section of a report on sets of classes, and on answers that a person should look at."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from batteryscope.core.conformal import count_needed_rows
from batteryscope.core.style import (
    BLUE,
    GREY,
    SOFT_INK,
    Picture,
    encode_picture,
    house_style,
    make_figure,
    percent_axis,
)
from batteryscope.evaluation.class_findings import find_judged_level
from batteryscope.evaluation.risk_coverage import find_area, pick_shares
from batteryscope.report.evidence import StudyEvidence
from batteryscope.report.shown_table import ShownTable, show_table
from batteryscope.report.tables import LEVEL_NAMES, NOTHING, format_count, format_percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_SHARE = 0.1  # of the answers, which the sentence gives away
DRAWN_SHARE = 0.7  # whose interval decides the scale of the figure


def show_sets(evidence: StudyEvidence) -> list[ShownTable]:
    """Make the tables of sets: all classes at every level, then class by class at the last one."""
    sets = evidence.sets
    if sets is None or not len(sets):
        return []
    total = sets[sets["class"] == ""]
    levels = [(LEVEL_NAMES.get(row["level"], row["level"]), row) for _, row in total.iterrows()]
    by_class = sets[(sets["class"] != "") & (sets["level"] == total["level"].iloc[-1])]
    classes = [(str(row["class"]).replace("_", " "), row) for _, row in by_class.iterrows()]
    unit = levels[-1][0]
    tables = [
        _show_rows(levels, "unit", "How often the set holds the true class", calibration=True),
        _show_rows(classes, "true class", f"The same class by class, per {unit}"),
    ]
    return [table for table in tables if table is not None]


def _show_rows(
    rows: list[tuple[str, pd.Series]], first: str, title: str, calibration: bool = False
) -> ShownTable | None:
    cells = []
    for name, row in rows:
        is_known = pd.notna(row["coverage_measured"])
        own = [
            name,
            format_percent(row["coverage_wanted"], 0),
            format_percent(row["coverage_measured"]),
            f"{100 * row['low']:.1f} to {100 * row['high']:.1f} %" if is_known else NOTHING,
            f"{row['mean_size']:.2f}" if is_known else NOTHING,
            format_percent(row["single_share"]),
            format_percent(row["empty_share"]),
            format_count(row["n"]),
        ]
        if calibration:
            calibrated = f"{format_count(row['n_calibration'])} {row['calibrated_on']}"
            own.append(calibrated if np.isfinite(row["threshold"]) else f"{calibrated}, too few")
        cells.append(own)
    columns = [
        first, "wanted", "held", "95 % interval", "classes in a set", "one class", "none", "n",
    ]  # fmt: skip
    columns += ["calibrated on"] if calibration else []
    return show_table(pd.DataFrame(cells, columns=columns), title)


def tell_sets(evidence: StudyEvidence) -> str:
    """Say in a sentence what the sets of the published model hold; "" without any table."""
    sets = evidence.sets
    if sets is None or not len(sets):
        return ""
    row = sets[sets["class"] == ""].iloc[-1]
    unit, wanted = LEVEL_NAMES.get(row["level"], row["level"]), row["coverage_wanted"]
    if not np.isfinite(row["threshold"]):
        return (
            f"No sets are published: sets for {100 * wanted:g} % need {count_needed_rows(wanted)} "
            f"independent {unit}s to calibrate; there are {row['n_calibration']}."
        )
    if pd.isna(row["coverage_measured"]):
        return (
            f"Sets for {100 * wanted:g} % are published, but how often they hold the true class "
            f"was not measured: without the {unit}s that are asked about too few are left."
        )
    text = (
        f"Of the sets for {100 * wanted:g} %, {format_percent(row['coverage_measured'])} hold the "
        f"true class of their test {unit}; they have {row['mean_size']:.2f} classes on average."
    )
    if row["threshold"] == 0:
        text += (
            " All sets hold the answer alone, which is right often enough for what is wanted; "
            "for sets that say more, ask for more (evaluate.coverage)."
        )
    return text


def tell_risk(evidence: StudyEvidence) -> str:
    """Say what is right if a tenth of the answers goes to a person; "" if nothing is known."""
    risk = evidence.risk
    if risk is None or not len(risk):
        return ""
    unit = LEVEL_NAMES[find_judged_level(evidence.comparison, evidence.main_arm)]
    shares = {row["share"]: row for row in pick_shares(risk).to_dict("records")}
    text = f"Of all {len(risk)} test {unit}s {format_percent(shares[0.0]['accuracy'])} are right."
    if SHOWN_SHARE in shares:
        row = shares[SHOWN_SHARE]
        text += (
            f" If the least sure {100 * SHOWN_SHARE:.0f} % go to a person, "
            f"{format_percent(row['accuracy'])} of the other {row['kept']:.0f} are "
            f"({100 * row['low']:.1f} to {100 * row['high']:.1f} %); these are answers with a "
            f"confidence below {format_percent(row['confidence'])}."
        )
    return text


def show_risk(evidence: StudyEvidence) -> ShownTable | None:
    """Make the table of what is right without the least sure answers."""
    if evidence.risk is None or not len(evidence.risk):
        return None
    rows = [
        (
            format_percent(row["share"], 0),
            format_percent(row["accuracy"]),
            f"{100 * row['low']:.1f} to {100 * row['high']:.1f} %",
            format_percent(row["confidence"]),
            format_count(row["kept"]),
        )
        for _, row in pick_shares(evidence.risk).iterrows()
    ]
    columns = ["to a person", "of the others right", "95 % interval", "least confidence", "n"]
    return show_table(pd.DataFrame(rows, columns=columns), "Without the least sure answers")


def show_risk_picture(evidence: StudyEvidence) -> Picture | None:
    """Draw the accuracy over the share of answers that go to a person."""
    risk = evidence.risk
    if risk is None or len(risk) < 2:
        return None
    unit = LEVEL_NAMES[find_judged_level(evidence.comparison, evidence.main_arm)]
    caption = (
        f"Right answers among the test {unit}s that stay when the least sure ones go to a person. "
        "Band: 95 % interval; grey: the same without looking at the confidence. The area above the "
        f"curve, the mean error, is {format_percent(find_area(risk), 2)}."
    )
    figure = draw_risk(risk, unit)
    return encode_picture(figure, "risk_coverage", caption, evidence.generated, narrow=True)


@house_style
def draw_risk(risk: pd.DataFrame, unit: str = "image") -> "Figure":
    """Draw ``accuracy, low, high`` over ``given_away`` (shares)."""
    figure = make_figure(6.2, 3.2)
    axes = figure.add_subplot()
    axes.fill_between(risk["given_away"], risk["low"], risk["high"], color=BLUE, alpha=0.15, lw=0)
    axes.axhline(float(risk["accuracy"].iloc[0]), color=GREY, lw=1, ls="--")
    axes.plot(risk["given_away"], risk["accuracy"], color=BLUE, lw=1.6)
    percent_axis(axes, "x", 1.0)
    percent_axis(axes, "y", 1.0)
    told = risk[risk["given_away"] <= DRAWN_SHARE]  # of a handful of answers nothing is known
    axes.set_ylim(max(0.0, float(told["low"].min()) - 0.02), 1.005)
    axes.grid()
    axes.set_xlabel(f"least sure {unit}s that go to a person", color=SOFT_INK)
    axes.set_ylabel("of the others right")
    return figure
