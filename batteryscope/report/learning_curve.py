"""The figure of accuracy over the number of training images, arm by arm."""

from typing import TYPE_CHECKING

import pandas as pd

from batteryscope.report.style import SERIES, house_style, make_figure, percent_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@house_style
def draw_learning_curve(points: pd.DataFrame, chance: float, unit: str) -> "Figure":
    """Draw one line per arm, with ± one standard deviation over the fits.

    Parameters
    ----------
    points
        ``label`` of the arm, ``images_per_class``, ``mean`` and ``sd`` (NaN for a single
        fit), shares of 1.
    chance
        Share that guessing gets right, drawn as a dotted line.
    unit
        What the accuracy counts, for the axis.
    """
    figure = make_figure(5.4, 3.2)
    axes = figure.subplots()
    for (label, line), colour in zip(points.groupby("label", sort=False), SERIES, strict=False):
        ordered = line.sort_values("images_per_class")
        axes.errorbar(
            ordered["images_per_class"], ordered["mean"], yerr=ordered["sd"].fillna(0),
            color=colour, marker="o", ms=4, capsize=2, label=label,
        )  # fmt: skip
    axes.axhline(chance, color="0.5", ls=":", lw=1)
    axes.set_xscale("log")
    ticks = sorted(set(points["images_per_class"]))
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("training images per class")
    axes.set_ylabel(unit)
    percent_axis(axes, "y")
    axes.grid(axis="y")
    axes.legend(loc="lower right")
    return figure
