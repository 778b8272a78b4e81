"""Figures of what networks look at: maps over methods and outputs, and the shares of phases."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.core.style import GREY, NARROW_IN, SERIES, house_style, make_figure
from batteryscope.explain.number_shares import find_densities
from batteryscope.report.number_evidence import ArmMaps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METHOD_NAMES = {
    "grad_ram": "Grad-RAM",
    "guided_backprop": "guided backpropagation",
    "occlusion": "occlusion",
    "integrated_gradients": "integrated gradients",
}


@house_style
def draw_methods(maps: ArmMaps, output: int, unit: str = "", narrow: bool = False) -> "Figure":
    """Draw one output: a column per tile, the picture and below it a row per method.

    Above each picture stands its true value, or its class, in ``unit``.
    """
    order = _one_per_class(maps.classes) if maps.truth is None else _by_value(maps.truth, output)
    order = _thin_out(order) if narrow else order
    width = NARROW_IN if narrow else 7.6
    figure = make_figure(width, 0.38 * (len(maps.maps) + 1) * width / max(2, len(order)) + 0.5)
    panels = figure.subplots(len(maps.maps) + 1, len(order), squeeze=False)
    for column, tile in enumerate(order):
        _show(panels[0, column], maps.tiles[tile], None)
        known = f"{maps.classes[tile]} {unit}".strip()
        if maps.truth is not None:
            known = f"{maps.truth[tile, output]:.3g}"
        panels[0, column].set_title(known, fontsize=8)
        for row, (method, values) in enumerate(maps.maps.items(), start=1):
            _show(panels[row, column], maps.tiles[tile], values[tile, output].astype(float))
            if column == 0:
                _name_row(panels[row, column], method)
    return figure


@house_style
def draw_outputs(maps: ArmMaps, tile: int, titles: Sequence[str], narrow: bool = False) -> "Figure":
    """Draw one picture, and below it a column per output (of that title) and a row per method."""
    outputs = list(range(len(maps.targets)))
    outputs = _thin_out(outputs) if narrow else outputs
    width = NARROW_IN if narrow else 7.6
    figure = make_figure(width, 0.38 * (len(maps.maps) + 1) * width / len(outputs) + 0.5)
    panels = figure.subplots(len(maps.maps) + 1, len(outputs), squeeze=False)
    for column, output in enumerate(outputs):
        _show(panels[0, column], maps.tiles[tile], None)
        panels[0, column].set_title(titles[output], fontsize=8)
    for row, (method, values) in enumerate(maps.maps.items(), start=1):
        for column, output in enumerate(outputs):
            _show(panels[row, column], maps.tiles[tile], values[tile, output].astype(float))
            if column == 0:
                _name_row(panels[row, column], method)
    return figure


@house_style
def draw_regularisation(
    cells: dict[tuple[str, float], tuple[str, float, float]],
    maps: dict[str, ArmMaps],
    output: int,
) -> "Figure":
    """Draw accuracy and maps of every penalty and strength of noise side by side.

    Parameters
    ----------
    cells
        (penalty, noise) → arm, mean MAPE, its standard deviation.
    maps
        By arm.
    output
        The output whose maps are shown.
    """
    kinds = sorted({kind for kind, _ in cells}, reverse=True)
    noises = sorted({noise for _, noise in cells})
    figure = make_figure(7.6, 0.5 + 1.9 * len(kinds))
    panels = figure.subplots(2 * len(kinds), len(noises), squeeze=False)
    for i, kind in enumerate(kinds):
        for j, noise in enumerate(noises):
            upper, lower = panels[2 * i, j], panels[2 * i + 1, j]
            found = cells.get((kind, noise))
            own = maps.get(found[0]) if found else None
            if found is None or own is None:
                upper.set_axis_off()
                lower.set_axis_off()
                continue
            _, mean, sd = found
            spread = f" ± {sd:.1f}" if np.isfinite(sd) else ""
            noisy = f"{100 * noise:g} % noise" if noise else "no noise"
            upper.set_title(f"{kind.upper()}, {noisy}: {mean:.1f}{spread} %", fontsize=8)
            tile = len(own.tiles) // 2
            _show(upper, own.tiles[tile], own.maps["grad_ram"][tile, output].astype(float))
            _show(lower, own.tiles[tile], own.maps["guided_backprop"][tile, output].astype(float))
    return figure


@house_style
def draw_shares(shares: pd.DataFrame, arm: str, narrow: bool = False) -> "Figure":
    """Draw attribution per area of every kind of place, a group of bars per method.

    With ``narrow`` bars lie, for a telephone.
    """
    mine = shares[shares["arm"] == arm]
    table = find_densities(mine).T
    table = table[[m for m in METHOD_NAMES if m in table.columns]]
    figure = make_figure(*((NARROW_IN, 1.6 + 0.75 * len(table)) if narrow else (7.2, 2.9)))
    axes = figure.subplots()
    draw, thickness = (axes.barh if narrow else axes.bar), 0.8 / len(table.columns)
    for number, method in enumerate(table.columns):
        places = np.arange(len(table)) + (number - (len(table.columns) - 1) / 2) * thickness
        draw(places, table[method], thickness, label=METHOD_NAMES[method], **_look(number))
    if narrow:
        axes.axvline(1, color=GREY, lw=1, ls=":")
        axes.set_yticks(range(len(table)), list(table.index))
        axes.invert_yaxis()
        axes.set_xlabel("attribution per area")
    else:
        axes.axhline(1, color=GREY, lw=1, ls=":")
        axes.set_xticks(range(len(table)), list(table.index))
        axes.set_ylabel("attribution per area")
    n_columns = 1 if narrow else 4
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=n_columns, borderaxespad=0.2)
    return figure


def _look(number: int) -> dict[str, Any]:
    """Colour and, since blue and green look alike to some people, hatching of a method's bars."""
    return {"color": SERIES[number], "hatch": "///" if number > 1 else "", "ec": "white", "lw": 0}


def _thin_out(numbers: list[int]) -> list[int]:
    """Return the first, the middle and the last: more would be too small on a narrow screen."""
    return numbers if len(numbers) <= 3 else [numbers[0], numbers[len(numbers) // 2], numbers[-1]]


def _one_per_class(classes: Sequence[str]) -> list[int]:
    first: dict[str, int] = {}
    for number, name in enumerate(classes):
        first.setdefault(name, number)
    return sorted(first.values(), key=lambda n: classes[n], reverse=True)


def _by_value(values: NDArray[np.float64], output: int) -> list[int]:
    return [int(n) for n in np.argsort(values[:, output], kind="stable")]


def _name_row(axes: "Axes", method: str) -> None:
    """Write the name of a method to the left of a row; level, since rows are low."""
    name = METHOD_NAMES[method].replace(" ", "\n")
    axes.set_ylabel(name, fontsize=7, rotation=0, ha="right", va="center")


def _show(axes: "Axes", tile: NDArray[np.uint8], values: NDArray[np.float64] | None) -> None:
    """Show a tile in grey, and over it a map: red raises the capacity, blue lowers it."""
    axes.imshow(tile, cmap="gray", vmin=0, vmax=255)
    if values is not None:
        largest = float(np.quantile(np.abs(values), 0.99)) or 1.0
        axes.imshow(values, cmap="RdBu_r", vmin=-largest, vmax=largest, alpha=0.65)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
