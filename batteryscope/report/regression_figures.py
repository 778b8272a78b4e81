"""Figures of predicted numbers: parity, capacity over C-rate, errors by C-rate and porosity."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from batteryscope.config.targets import Quantity
from batteryscope.core.style import GREY, INK, SERIES, house_style, make_figure, order_colours
from batteryscope.evaluation.regression_metrics import read_target, show_unit
from batteryscope.report.regression_tables import float_or_zero

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@house_style
def draw_parity(images: pd.DataFrame, arms: Sequence[str], truth: str = "measured") -> "Figure":
    """Draw predicted over measured capacities of test images, a panel per arm (Figure 7).

    ``truth`` says whether they were measured or computed.
    """
    figure = make_figure(3.7 * len(arms) + 0.8, 3.6)
    for axes, arm in zip(figure.subplots(1, len(arms), squeeze=False)[0], arms, strict=True):
        mine = images[(images["arm"] == arm) & (images["role"] == "test")]
        unit = show_unit(read_target(mine["target"].iloc[0])[1])
        high = 1.05 * max(mine["y_true"].max(), mine["y_pred"].max())
        axes.plot([0, high], [0, high], ":", color=GREY)
        for colour, (target, part) in zip(SERIES, mine.groupby("target", sort=False), strict=False):
            rate = read_target(str(target))[0]
            axes.scatter(
                part["y_true"], part["y_pred"], s=9, color=colour, alpha=0.6, lw=0,
                label=f"{rate:g}C",
            )  # fmt: skip
        axes.set_xlim(0, high)
        axes.set_ylim(0, high)
        axes.set_aspect("equal")
        axes.set_xlabel(f"{truth} capacity / {unit}")
        axes.set_ylabel(f"predicted capacity / {unit}")
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
def draw_rate_curves(curves: pd.DataFrame, arms: Sequence[str]) -> "Figure":
    """Draw measured and predicted capacities over the C-rate, a panel per arm (Figure 8)."""
    figure = make_figure(3.9 * len(arms) + 0.6, 3.6)
    for axes, arm in zip(figure.subplots(1, len(arms), squeeze=False)[0], arms, strict=True):
        mine = curves[curves["arm"] == arm]
        unit = mine["unit"].iloc[0]
        physics = curves[(curves["arm"] == "physics") & (curves["unit"] == unit)]
        names = sorted(set(mine["class"]), key=float_or_zero, reverse=True)
        for name, colour in zip(names, order_colours(len(names)), strict=True):
            part = mine[mine["class"] == name].sort_values("c_rate")
            axes.plot(part["c_rate"], part["predicted"], "-", color=colour, label=f"{name}")
            axes.fill_between(
                part["c_rate"],
                part["predicted"] - part["sd_images"],
                part["predicted"] + part["sd_images"],
                color=colour,
                alpha=0.15,
                lw=0,
            )
            axes.plot(part["c_rate"], part["measured"], "o", color=colour, ms=4, mfc="white")
            said = physics[physics["class"] == name].sort_values("c_rate")
            axes.plot(said["c_rate"], said["predicted"], ":", color=colour, lw=1)
        _label_rates(axes, mine["c_rate"])
        axes.set_ylabel(f"capacity / {show_unit(unit)}")
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        axes.legend(title="porosity / %", loc="lower left", ncols=2)
    return figure


@house_style
def draw_error_map(comparison: pd.DataFrame, arms: Sequence[str]) -> "Figure":
    """Draw the MAPE of every C-rate and porosity, a panel per arm."""
    figure = make_figure(3.6 * len(arms) + 1.0, 2.9)
    for axes, arm in zip(figure.subplots(1, len(arms), squeeze=False)[0], arms, strict=True):
        cells = comparison[
            (comparison["arm"] == arm)
            & (comparison["metric"] == "mape")
            & (comparison["level"] == "image")
            & (comparison["target"] != "")
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
        axes.set_xticks(range(values.shape[1]), [f"{read_target(t)[0]:g}C" for t in table.columns])
        axes.set_yticks(range(values.shape[0]), [str(name) for name in table.index])
        axes.set_ylabel("porosity / %")
        unit = show_unit(read_target(str(table.columns[0]))[1])
        axes.set_title(f"MAPE / %, {unit}")
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


def _label_rates(axes: "Axes", rates: pd.Series) -> None:
    from matplotlib.ticker import NullLocator

    known = sorted(set(rates))
    axes.set_xscale("log")
    axes.set_xticks(known, [f"{rate:g}" for rate in known])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("C-rate")
