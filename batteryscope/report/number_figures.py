"""Figures of predicted numbers: parity, curves, errors by point and class."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from batteryscope.config.predicted import ClassWords, Quantity
from batteryscope.core.style import GREY, INK, SERIES, house_style, make_figure, order_colours
from batteryscope.evaluation.number_comparison import SAMPLE_LEVELS
from batteryscope.evaluation.number_metrics import select_curve, show_unit
from batteryscope.report.number_tables import float_or_zero

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


Drawn = Sequence[tuple[str, Sequence[Quantity]]]  # arms, and points of one curve each


@house_style
def draw_parity(images: pd.DataFrame, curves: Drawn, truth: str = "measured") -> "Figure":
    """Draw predicted over measured values of test images, a panel per arm and curve (Figure 7).

    ``truth`` says whether they were measured or computed.
    """
    figure = make_figure(3.7 * len(curves) + 0.8, 3.6)
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for axes, (arm, points) in zip(panels, curves, strict=True):
        mine = images[(images["arm"] == arm) & (images["role"] == "test")]
        mine = mine[mine["target"].isin([point.name for point in points])]
        values = mine[["y_true", "y_pred"]].to_numpy()
        low = min(0.0, 1.05 * float(values.min()))
        high = max(0.0, 1.05 * float(values.max()))
        axes.plot([low, high], [low, high], ":", color=GREY)
        for number, point in enumerate(points):
            part = mine[mine["target"] == point.name]
            axes.scatter(
                part["y_true"], part["y_pred"], s=9, color=SERIES[number % len(SERIES)],
                alpha=0.6, lw=0, label=point.place,
            )  # fmt: skip
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        axes.set_aspect("equal")
        axes.set_xlabel(f"{truth} {points[0].label} / {show_unit(points[0].unit)}")
        axes.set_ylabel(f"predicted {points[0].label} / {show_unit(points[0].unit)}")
        axes.legend(loc="upper left", handletextpad=0.2)
    return figure


@house_style
def draw_scatter(images: pd.DataFrame, arm: str, quantities: Sequence[Quantity]) -> "Figure":
    """Draw predicted over true values of an arm's test samples, a panel per quantity."""
    mine = images[(images["arm"] == arm) & (images["role"] == "test")]
    shown = [q for q in quantities if (mine["target"] == q.name).any()]
    n_columns = min(3, len(shown))
    n_rows = -(-len(shown) // n_columns)
    figure = make_figure(3.4 * n_columns + 0.6, 3.4 * n_rows)
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    for axes, quantity in zip(panels, shown, strict=False):
        part = mine[mine["target"] == quantity.name]
        axes.scatter(part["y_true"], part["y_pred"], s=8, color=SERIES[0], alpha=0.45, lw=0)
        specimens = part[part["specimen_id"].fillna("") != ""].groupby("specimen_id")
        if 0 < specimens.ngroups < part["sample_id"].nunique():
            means = specimens[["y_true", "y_pred"]].mean()
            axes.plot(means["y_true"], means["y_pred"], "o", ms=5, mfc="white", color=SERIES[1])
        is_log = quantity.transform == "log"
        values = part[["y_true", "y_pred"]].to_numpy()
        low, high = float(values.min()), float(values.max())
        margin = 0.04 * (high - low) or 1.0
        ends = (low / 1.1, high * 1.1) if is_log else (low - margin, high + margin)
        axes.plot(ends, ends, ":", color=GREY)
        if is_log:
            axes.set_xscale("log")
            axes.set_yscale("log")
        axes.set_xlim(*ends)
        axes.set_ylim(*ends)
        axes.set_aspect("equal")
        axes.set_xlabel(f"true {quantity.label} / {quantity.unit}")
        axes.set_ylabel(f"predicted {quantity.label} / {quantity.unit}")
    return figure


@house_style
def draw_rate_curves(curves: pd.DataFrame, drawn: Drawn, words: ClassWords) -> "Figure":
    """Draw measured and predicted values over an axis, a panel per arm and curve (Figure 8)."""
    figure = make_figure(3.9 * len(drawn) + 0.6, 3.6)
    panels = figure.subplots(1, len(drawn), squeeze=False)[0]
    for axes, (arm, points) in zip(panels, drawn, strict=True):
        first = points[0]
        mine = select_curve(curves, arm, first)
        physics = select_curve(curves, "physics", first)
        at = first.axis_column
        names = sorted(set(mine["class"]), key=float_or_zero, reverse=True)
        for name, colour in zip(names, order_colours(len(names)), strict=True):
            part = mine[mine["class"] == name].sort_values(at)
            axes.plot(part[at], part["predicted"], "-", color=colour, label=f"{name}")
            axes.fill_between(
                part[at],
                part["predicted"] - part["sd_images"],
                part["predicted"] + part["sd_images"],
                color=colour,
                alpha=0.15,
                lw=0,
            )
            axes.plot(part[at], part["measured"], "o", color=colour, ms=4, mfc="white")
            said = physics[physics["class"] == name].sort_values(at)
            axes.plot(said[at], said["predicted"], ":", color=colour, lw=1)
        _label_axis(axes, mine[at], first)
        axes.set_ylabel(f"{first.label} / {show_unit(first.unit)}")
        if (mine[["measured", "predicted"]] >= 0).all(axis=None):
            axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        if len(names) > 1:
            axes.legend(title=words.title, loc="lower left", ncols=2)
    return figure


@house_style
def draw_error_map(comparison: pd.DataFrame, drawn: Drawn, words: ClassWords) -> "Figure":
    """Draw the MAPE of every point and class, a panel per arm and curve."""
    figure = make_figure(3.6 * len(drawn) + 1.0, 2.9)
    panels = figure.subplots(1, len(drawn), squeeze=False)[0]
    for axes, (arm, points) in zip(panels, drawn, strict=True):
        places = {point.name: point.place for point in points}
        cells = comparison[
            (comparison["arm"] == arm)
            & (comparison["metric"] == "mape")
            & comparison["level"].isin(SAMPLE_LEVELS)
            & comparison["target"].isin(list(places))
            & (comparison["domain"] != "")
        ]
        table = cells.pivot_table(index="domain", columns="target", values="mean", sort=False)
        table = table.loc[sorted(table.index, key=float_or_zero, reverse=True)]
        values = table.to_numpy(float)
        axes.imshow(np.log10(np.maximum(values, 0.1)), cmap="Blues", aspect="auto", vmin=-0.5,
                    vmax=2)  # fmt: skip
        for i, j in np.ndindex(values.shape):
            dark = values[i, j] > 15
            axes.text(j, i, f"{values[i, j]:.1f}", ha="center", va="center", fontsize=8,
                      color="white" if dark else INK)  # fmt: skip
        axes.set_xticks(range(values.shape[1]), [places[t] for t in table.columns])
        axes.set_yticks(range(values.shape[0]), [str(name) for name in table.index])
        axes.set_ylabel(words.title)
        axes.set_title(f"MAPE / %, {show_unit(points[0].unit)}")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    return figure


@house_style
def draw_trade_off(
    curves: pd.DataFrame, mass: str, volume: str, truth: str = "measured"
) -> "Figure":
    """Draw capacity over porosity at every C-rate: measured, simulated, predicted, per kg and L.

    ``truth`` says whether the first were measured or computed.
    """
    figure = make_figure(7.6, 5.4)
    sources = [(truth, mass, volume, "measured"), ("simulated", "physics", "physics",
               "predicted"), ("predicted", mass, volume, "predicted")]  # fmt: skip
    sources = [s for s in sources if (curves["arm"] == s[1]).any()]
    panels = figure.subplots(2, len(sources), squeeze=False, sharex=True, sharey="row")
    for column, (title, by_mass, by_volume, value) in enumerate(sources):
        for row, (arm, unit) in enumerate(((by_mass, "Ah/kg"), (by_volume, "Ah/L"))):
            axes = panels[row, column]
            mine = curves[(curves["arm"] == arm) & (curves["unit"] == unit)]
            rates = list(mine.groupby("c_rate"))
            for (rate, part), colour in zip(rates, order_colours(len(rates)), strict=True):
                x = part["class"].map(float_or_zero)
                order = np.argsort(x.to_numpy())
                axes.plot(
                    x.to_numpy()[order], part[value].to_numpy()[order], "-o", ms=3,
                    color=colour, label=f"{float(str(rate)):g}C",
                )  # fmt: skip
            axes.set_ylim(bottom=0)
            axes.grid(axis="y")
            if column == 0:
                axes.set_ylabel(f"capacity / {show_unit(unit)}")
            if row == 0:
                axes.set_title(title)
            else:
                axes.set_xlabel("porosity / %")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")
    return figure


@house_style
def draw_losses(histories: Sequence[pd.DataFrame]) -> "Figure":
    """Draw training loss and validation MAPE of all fits of an arm over the epochs.

    Where a quantity may be 0 there is no MAPE; the validation loss stands in its place.
    """
    from matplotlib.ticker import MaxNLocator

    figure = make_figure(6.4, 2.8)
    axes = figure.subplots()
    judged = "val_mape" if all("val_mape" in h for h in histories) else "val_loss"
    fade = max(0.3, min(1.0, 2.2 / max(len(histories), 1)))
    for number, history in enumerate(histories):
        for column, colour, label in (
            ("train_loss", SERIES[0], "training"),
            (judged, SERIES[1], "validation"),
        ):
            axes.plot(
                history["epoch"], history[column], color=colour, alpha=fade,
                label=label if number == 0 else None,
            )  # fmt: skip
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss and MAPE / %" if judged == "val_mape" else "loss")
    axes.legend()
    return figure


def _label_axis(axes: "Axes", places: pd.Series, point: Quantity) -> None:
    """Show every place on the axis; by its logarithm, where all lie above 0."""
    from matplotlib.ticker import NullLocator

    known = sorted(set(places))
    if known[0] > 0:
        axes.set_xscale("log")
    axes.set_xticks(known, [f"{place:g}" for place in known])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(point.axis_title)
