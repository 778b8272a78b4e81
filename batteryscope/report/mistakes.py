"""Misclassified tiles with the probabilities that the model gave."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from batteryscope.core.scale_bar import draw_scale_bar
from batteryscope.core.style import (
    GREEN,
    GREY,
    NARROW_IN,
    SOFT_INK,
    VERMILLION,
    house_style,
    make_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BARS_SHOWN = 4
COLUMNS = 2


def select_mistakes(misclassified: pd.DataFrame, count: int) -> pd.DataFrame:
    """Choose the most confident mistakes, one per image before a second of the same image.

    Parameters
    ----------
    misclassified
        ``sample_id, tile, confidence`` and whatever else.
    count
        How many rows to return at most.
    """
    ordered = misclassified.sort_values(
        ["confidence", "sample_id", "tile"], ascending=[False, True, True], kind="stable"
    )
    turn = ordered.groupby("sample_id").cumcount().rename("turn")
    order = pd.concat([turn, -ordered["confidence"]], axis=1)
    order = order.sort_values(["turn", "confidence"], kind="stable")
    return ordered.loc[order.index].head(count).reset_index(drop=True)


def choose_bars(probabilities: Mapping[str, float], y_true: str) -> list[tuple[str, float]]:
    """Return the most probable classes, the true one among them, and the rest as one bar."""
    ranked = sorted(probabilities.items(), key=lambda item: (-item[1], item[0]))
    shown = ranked[:BARS_SHOWN]
    if y_true in probabilities and y_true not in dict(shown):
        shown = [*ranked[: BARS_SHOWN - 1], (y_true, probabilities[y_true])]
    rest = sum(probabilities.values()) - sum(value for _, value in shown)
    others = len(ranked) - len(shown)
    return [*shown, (f"{others} others", max(rest, 0.0))] if others else shown


@house_style
def draw_mistakes(
    rows: pd.DataFrame,
    pictures: Sequence[np.ndarray | None],
    unit: str = "tile",
    widths_um: Mapping[int, float] | None = None,
    narrow: bool = False,
) -> "Figure":
    """Draw one card per mistake: the picture and the probabilities of the classes.

    Parameters
    ----------
    rows
        ``path, y_true, y_pred`` and ``p_<class>`` (0 to 1), one row per card, at least one.
    pictures
        Per row a grey picture (2-D uint8), or None where there is none.
    unit
        What a row is, for the placeholder.
    widths_um
        Width of a picture by its ``tile``, as far as known, for a scale bar.
    narrow
        Below each other, for the screen of a telephone.
    """
    most = 1 if narrow else COLUMNS
    lines = -(-len(rows) // most)
    figure = make_figure(*((NARROW_IN, 1.3 * lines) if narrow else (9.2, 1.62 * lines + 0.25)))
    columns = min(most, len(rows))
    grid = figure.add_gridspec(lines, 2 * columns, width_ratios=[1, 1.35] * columns)
    names = [column for column in rows.columns if column.startswith("p_")]
    for number, (row, picture) in enumerate(zip(rows.to_dict("records"), pictures, strict=True)):
        line, place = divmod(number, columns)
        image_axes = figure.add_subplot(grid[line, 2 * place])
        image_axes.set_axis_off()
        if picture is None:
            image_axes.text(0.5, 0.5, f"no picture\nof this {unit}", ha="center", color=SOFT_INK)
        else:
            image_axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
            if widths_um and (width_um := widths_um.get(int(row["tile"]))):
                draw_scale_bar(image_axes, picture.shape[1], width_um)
        bars_axes = figure.add_subplot(grid[line, 2 * place + 1])
        probabilities = {name[2:]: float(row[name]) for name in names if pd.notna(row[name])}
        _draw_bars(bars_axes, probabilities, str(row["y_true"]), str(row["y_pred"]))
    return figure


def _draw_bars(axes: "Axes", probabilities: Mapping[str, float], y_true: str, y_pred: str) -> None:
    bars = choose_bars(probabilities, y_true)
    colours = {y_true: GREEN, y_pred: VERMILLION}
    y = np.arange(len(bars))
    values = [value for _, value in bars]
    axes.barh(y, values, height=0.66, color=[colours.get(name, GREY) for name, _ in bars])
    for position, value in enumerate(values):
        axes.text(value + 0.02, position, f"{100 * value:.0f} %", va="center", fontsize=7.5)
    axes.set_yticks(y, [name.replace("_", " ") for name, _ in bars], fontsize=8)
    for label, (name, _) in zip(axes.get_yticklabels(), bars, strict=True):
        if name in colours:
            label.set_color(colours[name])
            label.set_fontweight("bold")
    axes.tick_params(axis="y", length=0)
    axes.set_xticks([])
    axes.set_xlim(0, 1.18)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.spines["bottom"].set_visible(False)
