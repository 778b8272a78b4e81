"""The figure of proposed settings: what to set, and what should come out."""

import textwrap
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from batteryscope.config.table_data import TableDatasetSettings
from batteryscope.core.style import (
    GREY,
    INK,
    NARROW_IN,
    NARROW_LETTERS,
    NARROW_TITLE,
    SERIES,
    draw_legend,
    house_style,
    make_figure,
)
from batteryscope.tables.labels import label_column, name_column
from batteryscope.tables.proposals import TOLERANCE, Proposals

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "os^DvPX*"


@house_style
def draw_proposals(
    proposals: Proposals,
    manifest: pd.DataFrame,
    dataset: TableDatasetSettings,
    narrow: bool = False,
) -> "Figure":
    """Draw the settings as lines through all features, and the predictions beside the wish.

    Parameters
    ----------
    proposals
        From :func:`batteryscope.tables.propose.propose_parameters`.
    manifest
        All rows; those of the domain are the grey lines.
    dataset
        Labels and units.
    narrow
        For a telephone: the lines run from the top down, the predictions stand below them.
    """
    rows = manifest[manifest["domain"] == proposals.domain]
    names = [n for n in dataset.features if rows[n].min() < rows[n].max()]
    if narrow:
        heights = [0.6 + 0.55 * len(names), *[2.0] * len(proposals.wanted)]
        figure = make_figure(NARROW_IN, sum(heights) + 0.7)
        panels = figure.subplots(len(heights), 1, height_ratios=heights)
    else:
        figure = make_figure(1.5 + 1.0 * len(names) + 2.2 * len(proposals.wanted), 3.9)
        widths = [1.0 * len(names), *[2.0] * len(proposals.wanted)]
        panels = figure.subplots(1, len(widths), width_ratios=widths)
    _draw_settings(panels[0], proposals, rows, names, dataset, narrow)
    for axes, target in zip(panels[1:], proposals.wanted, strict=True):
        _draw_answers(axes, proposals, target, dataset)
        if narrow:
            axes.set_title(textwrap.fill(axes.get_title("left"), NARROW_TITLE))
            axes.set_xlabel(textwrap.fill(axes.get_xlabel(), NARROW_LETTERS - 8))
    handles, labels = panels[-1].get_legend_handles_labels()
    draw_legend(figure, handles, labels)
    return figure


def _draw_settings(
    axes: "Axes",
    proposals: Proposals,
    rows: pd.DataFrame,
    names: list[str],
    dataset: TableDatasetSettings,
    narrow: bool,
) -> None:
    low, high = rows[names].min(), rows[names].max()
    places = np.arange(len(names))
    known = ((rows[names] - low) / (high - low)).to_numpy().T
    axes.plot(*_turn(places, known, narrow), color=GREY, lw=0.6, alpha=0.35, zorder=1)
    chosen = ((proposals.table[names] - low) / (high - low)).to_numpy()
    for number, line in enumerate(chosen):
        axes.plot(
            *_turn(places, line, narrow), color=_colour(number), marker=_marker(number), ms=4.5,
            lw=1.5, mec="white", mew=0.4, zorder=3, ls="-" if number < len(SERIES) else "--",
        )  # fmt: skip
    axes.tick_params(axis="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_title("settings (grey: rows of the table)")
    for place in places.tolist():
        (axes.axhline if narrow else axes.axvline)(place, color="#C3CAD2", lw=0.8, zorder=0)
    if narrow:
        axes.set(xticks=[], yticks=[], xlim=(-0.03, 1.03), ylim=(len(names) - 0.7, -0.6))
        box = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.5}
        for place, name in zip(places.tolist(), names, strict=True):
            label = label_column(name, dataset.features[name])
            for x, text, side in (
                (0, f"{low[name]:g}", "left"),
                (0.5, label, "center"),
                (1, f"{high[name]:g}", "right"),
            ):
                axes.text(x, place - 0.14, text, ha=side, fontsize=7.5, bbox=box, zorder=4)
        return
    for place, name in zip(places.tolist(), names, strict=True):
        for height, end, va in ((-0.04, low, "top"), (1.04, high, "bottom")):
            axes.text(place, height, f"{end[name]:g}", ha="center", va=va, fontsize=7.5)
    labels = [label_column(n, dataset.features[n]).replace(" ", "\n") for n in names]
    axes.set_xticks(places, labels, fontsize=7.5)
    axes.set_yticks([])
    axes.set_ylim(-0.13, 1.13)


def _draw_answers(
    axes: "Axes", proposals: Proposals, target: str, dataset: TableDatasetSettings
) -> None:
    wanted, column = proposals.wanted[target], dataset.targets[target]
    axes.axvspan(*(wanted * (1 + sign * TOLERANCE) for sign in (-1, 1)), color="#E4E8EC", zorder=0)
    axes.axvline(wanted, color=INK, lw=1, ls="--", zorder=1)
    for number, row in enumerate(proposals.table.to_dict("records")):
        ends = [[row[target] - row[f"{target}_low"]], [row[f"{target}_high"] - row[target]]]
        axes.errorbar(
            row[target], number, xerr=ends if np.isfinite(ends).all() else None,
            fmt=_marker(number), color=_colour(number), ms=5, elinewidth=1.2,
            label=f"proposal {row['proposal']}",
        )  # fmt: skip
    axes.set_ylim(len(proposals.table) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_title(f"{name_column(target, column)}, wanted {wanted:g}")
    axes.set_xlabel(f"predicted {label_column(target, column)}\nwith interval")


def _turn(places: np.ndarray, values: np.ndarray, narrow: bool) -> tuple[np.ndarray, np.ndarray]:
    """Give what is drawn over x and over y: from the left to the right, or from the top down."""
    return (values, places) if narrow else (places, values)


def _colour(number: int) -> str:
    return SERIES[number % len(SERIES)]


def _marker(number: int) -> str:
    return MARKERS[number % len(MARKERS)]
