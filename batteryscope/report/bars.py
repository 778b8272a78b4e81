"""Bar figures: the comparison of arms, the survey, the sizes of the classes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from batteryscope.core.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    SKY,
    SOFT_INK,
    VERMILLION,
    house_style,
    make_figure,
    percent_axis,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BAR_HEIGHT = 0.62
ROLE_COLOURS = {"train": BLUE, "validation": SKY, "test": ORANGE}
PART_COLOURS = ROLE_COLOURS | {"images": BLUE, "added by copies": SKY}


@house_style
def draw_comparison(
    rows: pd.DataFrame,
    chance: float | None,
    paper: Sequence[tuple[str, float]] = (),
    x_label: str = "test images put into the right class",
) -> "Figure":
    """Draw one bar per arm and baseline with its standard deviation: the key figure.

    Parameters
    ----------
    rows
        In drawing order from the top: ``label``, ``mean`` (0 to 1), ``sd`` (may be missing),
        ``baseline`` (bool), ``main`` (bool).
    chance
        Share of right answers by guessing, drawn as a dashed line.
    paper
        Published values as (text, value between 0 and 1), each drawn as a diamond.
    """
    height = 0.95 + 0.36 * len(rows) + (0.3 if paper else 0.0)
    figure = make_figure(7.2, height)
    axes = figure.add_subplot()
    y = np.arange(len(rows))
    colours = [
        GREY if b else (BLUE if m else SKY)
        for b, m in zip(rows["baseline"], rows["main"], strict=True)
    ]
    axes.barh(y, rows["mean"], height=BAR_HEIGHT, color=colours)
    spread = rows["sd"].fillna(0.0).to_numpy()
    has_sd = spread > 0
    axes.errorbar(
        rows["mean"][has_sd],
        y[has_sd],
        xerr=[spread[has_sd], np.minimum(spread, 1 - rows["mean"])[has_sd]],  # no share above 1
        fmt="none",
        ecolor=INK,
        capsize=3,
        lw=1,
    )
    for position, (mean, sd) in enumerate(zip(rows["mean"], spread, strict=True)):
        right = mean + sd
        inside = right > 0.84
        axes.text(
            mean - sd - 0.012 if inside else right + 0.012,
            position,
            f"{100 * mean:.1f} %",
            ha="right" if inside else "left",
            va="center",
            color="white" if inside and rows["main"].iloc[position] else INK,
            fontsize=8.5,
            fontweight="bold",
            bbox=None if inside else {"facecolor": "white", "linewidth": 0, "pad": 0.5},
        )
    top = -0.5 - (0.75 if paper else 0.0)
    for _, value in paper:
        axes.plot(
            value,
            top + 0.38,
            marker="D",
            ms=6,
            mfc=VERMILLION,
            mec="white",
            clip_on=False,
            zorder=5,
        )
        axes.plot([value, value], [top + 0.5, len(rows) - 0.5], color=VERMILLION, lw=0.8, ls=":")
    if paper:
        # One text for all diamonds: published values are often close together.
        text = ";  ".join(f"{text}: {100 * value:.1f} %" for text, value in paper)
        left = min(value for _, value in paper)
        axes.text(
            left - 0.018, top + 0.38, text, ha="right", va="center", color=VERMILLION, fontsize=8
        )
    if chance is not None:
        axes.axvline(chance, color=SOFT_INK, lw=1, ls="--")
        axes.annotate(
            f"chance {100 * chance:.1f} %",
            (chance, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, 2),
            textcoords="offset points",
            fontsize=7.5,
            color=SOFT_INK,
        )
    axes.set_yticks(y, list(rows["label"]))
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.5, top)
    axes.grid(axis="x")
    percent_axis(axes)
    axes.set_xlabel(x_label)
    return figure


@house_style
def draw_class_sizes(counts: pd.DataFrame, x_label: str = "images") -> "Figure":
    """Draw stacked bars of images per class (rows) and part (columns, such as train, test)."""
    from matplotlib.ticker import MaxNLocator

    figure = make_figure(6.8, 0.9 + 0.27 * len(counts))
    axes = figure.add_subplot()
    left = np.zeros(len(counts))
    y = np.arange(len(counts))
    for role in counts.columns:
        values = counts[role].to_numpy(dtype=float)
        axes.barh(y, values, left=left, height=0.7, label=role, color=PART_COLOURS.get(role, GREY))
        left += values
    for position, total in enumerate(left):
        axes.annotate(
            f"{total:.0f}",
            (total, position),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=SOFT_INK,
        )
    axes.set_yticks(y, list(counts.index))
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(counts) - 0.4, -0.6)
    longest = len(f"{left.max():.0f}")  # bars that end where others begin allow for no margin
    axes.set_xlim(0, (1.04 + 0.03 * longest) * max(left.max(), 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="x")
    axes.set_xlabel(x_label)
    if len(counts.columns) > 1:
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, borderaxespad=0.2)
    return figure


@house_style
def draw_survey(survey: pd.DataFrame, highlighted: Mapping[str, str]) -> "Figure":
    """Draw the accuracy of every participant of a survey, best first.

    Parameters
    ----------
    survey
        ``who``, ``accuracy`` (0 to 1).
    highlighted
        Colour of the participants that are not people (the model).
    """
    rows = survey.sort_values(["accuracy", "who"], ascending=[False, True])
    figure = make_figure(6.4, 0.8 + 0.26 * len(rows))
    axes = figure.add_subplot()
    y = np.arange(len(rows))
    colours = [highlighted.get(who, GREY) for who in rows["who"]]
    axes.barh(y, rows["accuracy"], height=0.66, color=colours)
    for position, value in enumerate(rows["accuracy"]):
        inside = value > 0.88
        axes.text(
            value + (-0.01 if inside else 0.01),
            position,
            f"{100 * value:.0f} %",
            va="center",
            ha="right" if inside else "left",
            color="white" if inside and colours[position] != GREY else INK,
            fontsize=8,
        )
    axes.set_yticks(y, list(rows["who"]))
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="x")
    percent_axis(axes)
    axes.set_xlabel("right answers")
    return figure
