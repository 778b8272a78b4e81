"""Calibration: whether a confidence of 80 % means right in 80 % of the cases."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from batteryscope.core.style import (
    BLUE,
    GREEN,
    ORANGE,
    SOFT_INK,
    VERMILLION,
    draw_legend,
    house_style,
    make_figure,
    percent_axis,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def calculate_calibration_error(bins: pd.DataFrame) -> float:
    """Return the expected calibration error: the mean gap of confidence and accuracy.

    Parameters
    ----------
    bins
        ``confidence``, ``accuracy`` (0 to 1), ``count``; empty bins may hold missing values.

    Returns
    -------
    float
        Between 0 and 1, weighted with the counts (Naeini et al. 2015); NaN without cases.
    """
    filled = bins[bins["count"] > 0]
    if filled.empty:
        return float("nan")
    gap = (filled["confidence"] - filled["accuracy"]).abs()
    return float(np.average(gap, weights=filled["count"]))


def describe_temperature(calibration: Mapping[str, Any]) -> str:
    """Say which temperature the published model carries, and why; "" if nothing is known.

    Parameters
    ----------
    calibration
        The content of ``calibration.json``.
    """
    if "temperature" not in calibration:
        return ""
    if calibration.get("helps", True):
        temperature = float(calibration["temperature"])
        text = f"The published model carries the temperature {temperature:.2f}: "
        if temperature > 1.02:
            text += "above 1, it was too sure of itself on the validation part."
        elif temperature < 0.98:
            text += "below 1, it was not sure enough on the validation part."
        else:
            text += "its confidence needs no correction."
        return text + _tell_losses(calibration)
    text = (
        "The published model carries no temperature: its confidence is that of the network. One "
        f"fitted to the validation images ({float(calibration['fitted_temperature']):.2f}) "
    )
    if calibration.get("scaled_log_loss") is None:
        return text + "could not be tested on images that it was not fitted to."
    return text + "does not fit better where it was not fitted." + _tell_losses(calibration)


def _tell_losses(calibration: Mapping[str, Any]) -> str:
    if calibration.get("scaled_log_loss") is None:
        return ""
    before, after = float(calibration["log_loss"]), float(calibration["scaled_log_loss"])
    gaps = [100 * float(calibration[key]) for key in ("gap", "scaled_gap")]
    return (
        " On validation images that the temperature was not fitted to, the log loss is "
        f"{after:.3f} with and {before:.3f} without it, the mean gap of confidence and accuracy "
        f"{gaps[1]:.1f} and {gaps[0]:.1f} %."
    )


@house_style
def draw_reliability(
    bins: pd.DataFrame, unit: str = "tiles", scaled: pd.DataFrame | None = None
) -> "Figure":
    """Draw accuracy over confidence (left) and how often each confidence occurs (right).

    Parameters
    ----------
    bins
        ``bin_low, bin_high, confidence, accuracy, count``.
    unit
        What is counted.
    scaled
        The same table as ``bins`` after temperature scaling, drawn as open dots.
    """
    from matplotlib.lines import Line2D

    filled = bins[bins["count"] > 0]
    figure = make_figure(7.4, 3.6)
    left_axes, right_axes = figure.subplots(1, 2, width_ratios=[1, 1.15])
    left_axes.plot([0, 1], [0, 1], color=SOFT_INK, lw=1, ls="--")
    left_axes.vlines(
        filled["confidence"], filled["confidence"], filled["accuracy"], color=VERMILLION, lw=1.2
    )
    area = 18 + 130 * filled["count"] / max(float(filled["count"].max()), 1.0)
    left_axes.scatter(
        filled["confidence"], filled["accuracy"], s=area, color=BLUE, ec="white", zorder=3
    )  # fmt: skip
    if scaled is not None:
        kept = scaled[scaled["count"] > 0]
        left_axes.scatter(
            kept["confidence"], kept["accuracy"], s=34, fc="none", ec=ORANGE, lw=1.5, zorder=4
        )  # fmt: skip
    percent_axis(left_axes, "x", 1.02)
    percent_axis(left_axes, "y", 1.02)
    left_axes.set_aspect("equal")
    left_axes.grid()
    left_axes.set_xlabel("confidence of the model")
    left_axes.set_ylabel("right answers")
    handles = {"perfect agreement": Line2D([], [], color=SOFT_INK, lw=1, ls="--")}
    if scaled is not None:
        dot: dict[str, Any] = {"marker": "o", "ls": "", "ms": 6}
        handles["as predicted"] = Line2D([], [], color=BLUE, mec="white", **dot)
        handles["temperature scaled"] = Line2D([], [], mfc="none", mec=ORANGE, mew=1.5, **dot)
    draw_legend(figure, list(handles.values()), list(handles))

    right = (filled["accuracy"] * filled["count"]).round().to_numpy()
    wrong = filled["count"].to_numpy() - right
    low = filled["bin_low"].to_numpy()
    width = (filled["bin_high"] - filled["bin_low"]).to_numpy()
    for values, bottom, colour, hatch, name in (
        (right, 0.0, GREEN, "", "right"),
        (wrong, right, VERMILLION, "///", "wrong"),  # as dark as the green to some people
    ):
        right_axes.bar(
            low, values, bottom=bottom, width=width, align="edge", color=colour, ec="white", lw=0.5,
            hatch=hatch, label=f"{name} ({values.sum():.0f})",
        )  # fmt: skip
    right_axes.set_ylim(top=1.25 * max(float(filled["count"].max()), 1.0))  # for the legend
    right_axes.legend(loc="upper left")
    percent_axis(right_axes, "x", 1.0)
    right_axes.yaxis.get_major_locator().set_params(integer=True)
    right_axes.grid(axis="y")
    right_axes.set_xlabel("confidence of the model")
    right_axes.set_ylabel(unit)
    return figure
