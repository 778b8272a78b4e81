"""The figures of sweeps: lines over one setting, heat maps over two."""

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from batteryscope.core.style import (
    INK,
    SERIES,
    Picture,
    encode_picture,
    house_style,
    make_figure,
)
from batteryscope.evaluation.metric_catalogue import Metric
from batteryscope.report.number_outlook import say_sweep_outlook
from batteryscope.report.sweep_measures import (
    find_measure,
    list_levels,
    list_series,
    name_test_axis,
    select_series,
    spread_values,
)
from batteryscope.report.sweeps import name_choice, name_key
from batteryscope.report.tables import LEVEL_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAPS_PER_ROW = 3
MOST_INSIDE = 4  # lines whose names fit into the axes
LABEL_WIDTH = 60  # letters that fit below the axes of one sweep


def draw_sweeps(
    sweeps: pd.DataFrame | None, generated: bool, split: pd.DataFrame | None = None
) -> Iterator[Picture]:
    """Draw one figure per sweep, named ``sweep_<name>``.

    One key gives lines with ± one standard deviation over folds and repeats, two give a heat
    map; of three or more the first two are shown and the rest is averaged over. What more training
    images would bring is told by help of the main ``split``.
    """
    if sweeps is None or sweeps.empty:
        return
    measure = find_measure(sweeps)
    rows = spread_values(sweeps, measure.name)
    for name, points in rows.groupby("sweep", sort=False):
        keys = list(points.iloc[0]["swept"])
        levels = list_levels(points)
        if not levels:
            continue
        shown = measure.sentence.format(samples=f"{LEVEL_NAMES[levels[0]]}s")
        spread = "the standard deviation over folds and repeats"
        if len(keys) == 1:
            figure = draw_lines(points, keys[0], measure)
            caption = f"Sweep {name}: {shown}; whiskers are {spread}."
            if points["paper"].notna().any():
                caption += " Diamonds: the paper's own numbers."
            caption = f"{caption} {say_sweep_outlook(points, measure, split)}".rstrip()
        else:
            in_percent = " in percent" if measure.is_percent else ""
            figure = draw_maps(points[points["level"] == levels[0]], keys, measure)
            caption = f"Sweep {name}: {shown}{in_percent}, mean ± {spread}."
            if len(keys) > 2:
                caption += f" Averaged over {', '.join(name_key(key) for key in keys[2:])}."
        yield encode_picture(figure, f"sweep_{name}", caption, generated)


@house_style
def draw_lines(points: pd.DataFrame, key: str, measure: Metric) -> "Figure":
    """Draw the measure over the values of one key and, where known, what an epoch takes."""
    from matplotlib.ticker import MaxNLocator

    has_time = points["seconds_per_epoch"].notna().any()
    series = list_series(points)
    is_crowded = len(series) > MOST_INSIDE
    figure = make_figure((7.4 if has_time else 4.6) + 2.2 * is_crowded, 3.0)
    panels = figure.subplots(1, 2, width_ratios=[3, 2]) if has_time else [figure.subplots()]
    values = [swept[key] for swept in points["swept"]]
    order = list(dict.fromkeys(name_choice(value) for value in values))
    axes = panels[0]
    for number, (level, place, label) in enumerate(series):
        colour = SERIES[number % len(SERIES)]
        line = select_series(points, level, place)
        x = np.asarray(_place(line, key, order))
        axes.errorbar(
            x, measure.factor * line["mean"], yerr=measure.factor * line["sd"].fillna(0),
            color=colour, marker="o", ms=4, capsize=2, label=label,
            ls="-" if _is_numeric(values) else "none",
        )  # fmt: skip
        known = line["paper"].notna().to_numpy()
        if known.any():
            axes.plot(
                x[known], measure.factor * line.loc[known, "paper"], "D", color=colour,
                mfc="white", ms=5, label=f"paper, {label}",
            )  # fmt: skip
    _label_values(axes, key, values, order)
    axes.set_ylabel(name_test_axis(measure))
    low, high = _find_limits(points, measure)
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axes.grid(axis="y")
    beside: Any = {"loc": "upper left", "bbox_to_anchor": (1.01, 1)}
    axes.legend(**(beside if is_crowded else {"loc": "best"}))
    if has_time:
        line = select_series(points, *series[0][:2])
        style = "o-" if _is_numeric(values) else "o"
        panels[1].plot(_place(line, key, order), line["seconds_per_epoch"], style, color=INK, ms=4)
        _label_values(panels[1], key, values, order)
        panels[1].set_ylabel("training time per epoch (s)")
        panels[1].set_ylim(0, 1.1 * float(line["seconds_per_epoch"].max()))
        panels[1].grid(axis="y")
    return figure


def _find_limits(points: pd.DataFrame, measure: Metric) -> tuple[float, float]:
    """Limits as shown: errors from 0 on, shares up to 100, R² up to 1, which may be below 0."""
    sd = points["sd"].fillna(0)
    if not measure.higher_is_better:
        highest = pd.concat([points["mean"] + sd, points["paper"]]).max()
        return 0.0, 1.08 * measure.factor * float(highest)
    lowest = float(pd.concat([points["mean"] - sd, points["paper"]]).min())
    low = measure.factor / 10 * float(np.floor(10 * (lowest - 0.02)))
    return (max(0.0, low) if measure.unit == "share" else low), 1.01 * measure.factor


@house_style
def draw_maps(points: pd.DataFrame, keys: list[str], measure: Metric) -> "Figure":
    """Draw the measure over two keys as heat maps, one per place, with numbers in the cells."""
    table = points.assign(
        first=[name_choice(swept[keys[0]]) for swept in points["swept"]],
        second=[name_choice(swept[keys[1]]) for swept in points["swept"]],
    )
    columns = list(dict.fromkeys(table["first"]))
    rows = list(dict.fromkeys(table["second"]))
    places = list(dict.fromkeys(table["place"]))
    across = min(len(places), MAPS_PER_ROW)
    down = -(-len(places) // across)
    size = (1.8 + 0.95 * len(columns), 1.2 + 0.45 * len(rows))
    figure = make_figure(across * size[0], down * size[1])
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes, place in zip(grid, places, strict=False):
        image = _draw_map(axes, table[table["place"] == place], rows, columns, measure)
        axes.set_xlabel(name_key(keys[0]))
        axes.set_ylabel(name_key(keys[1]))
        axes.set_title(place)
        bar = figure.colorbar(image, ax=axes, label=measure.axis_label, shrink=0.9)
        bar.outline.set_visible(False)
    for axes in grid[len(places) :]:
        axes.set_visible(False)
    return figure


def _draw_map(
    axes: "Axes", table: pd.DataFrame, rows: list[str], columns: list[str], measure: Metric
) -> Any:
    means, sds, paper = (
        measure.factor
        * table.pivot_table(index="second", columns="first", values=value, dropna=False)
        .reindex(index=rows, columns=columns)
        .to_numpy(np.float64)
        for value in ("mean", "sd", "paper")
    )
    shades = "cividis" if measure.higher_is_better else "cividis_r"  # the better, the brighter
    image = axes.imshow(means, cmap=shades, aspect="auto")
    digits = measure.decimals
    middle = float(np.nanmin(means) + np.nanmax(means)) / 2
    for (i, j), mean in np.ndenumerate(means):
        if np.isnan(mean):
            continue
        text = f"{mean:.{digits}f}" + ("" if np.isnan(sds[i, j]) else f" ± {sds[i, j]:.{digits}f}")
        if not np.isnan(paper[i, j]):
            text += f"\npaper {paper[i, j]:.{digits}f}"
        is_dark = mean < middle if measure.higher_is_better else mean > middle
        colour = "white" if is_dark else INK
        axes.text(j, i, text, ha="center", va="center", fontsize=7.5, color=colour)
    turned: dict[str, Any] = {"rotation": 30, "ha": "right"} if max(map(len, columns)) > 8 else {}
    axes.set_xticks(range(len(columns)), columns, **turned)
    axes.set_yticks(range(len(rows)), rows)
    axes.spines[:].set_visible(False)
    return image


def _is_numeric(values: list[Any]) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _place(line: pd.DataFrame, key: str, order: list[str]) -> list[float]:
    values = [swept[key] for swept in line["swept"]]
    if _is_numeric(values):
        return [float(value) for value in values]
    return [float(order.index(name_choice(value))) for value in values]


def _label_values(axes: "Axes", key: str, values: list[Any], order: list[str]) -> None:
    # Many settings that change together have a long name.
    axes.set_xlabel(textwrap.fill(name_key(key), LABEL_WIDTH))
    if not _is_numeric(values):
        turned: dict[str, Any] = {"rotation": 30, "ha": "right"} if len(order) > 3 else {}
        axes.set_xticks(range(len(order)), order, **turned)
        axes.set_xlim(-0.5, len(order) - 0.5)
        return
    numbers = sorted({float(value) for value in values})
    if numbers[0] > 0 and numbers[-1] / numbers[0] >= 30:
        axes.set_xscale("log")
    axes.set_xticks(numbers, [f"{number:g}" for number in numbers])
    axes.minorticks_off()
