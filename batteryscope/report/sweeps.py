"""The figures and the table of sweeps in a report."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from batteryscope.config.sweep import WHERE
from batteryscope.report.shown_table import ShownTable, show_table
from batteryscope.report.style import (
    BLUE,
    INK,
    ORANGE,
    Picture,
    encode_picture,
    house_style,
    make_figure,
    percent_axis,
)
from batteryscope.report.tables import LEVEL_NAMES, NOTHING, format_count, format_spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

JUDGED = ("image", "specimen", "slice", "row", "tile")
UNITS = {
    "preprocess.crop_px": "edge of a crop (px)",
    "preprocess.tiles_per_class": "training crops per class",
    "model.grey_levels": "grey levels",
    "model.backbone": "network",
    "balance.method": "treatment of unequal classes",
    "train.learning_rate": "learning rate",
}


def spread_values(sweeps: pd.DataFrame) -> pd.DataFrame:
    """Return the accuracy rows of all classes together, the swept values as columns.

    Parameters
    ----------
    sweeps
        The table ``sweeps.csv``.

    Returns
    -------
    DataFrame
        One row per point and level, with a column ``<key>`` per swept key.
    """
    is_total = sweeps["target"].fillna("").eq("") & sweeps["domain"].fillna("").eq("")
    rows = sweeps[is_total & (sweeps["metric"] == "accuracy")].reset_index(drop=True)
    return rows.assign(swept=[json.loads(text) for text in rows["values"]])


def list_levels(rows: pd.DataFrame) -> list[str]:
    """Return the level that is judged first, and tiles if they were measured."""
    present = set(rows["level"])
    first = next((level for level in JUDGED if level in present), "tile")
    return [level for level in dict.fromkeys((first, "tile")) if level in present]


def draw_sweeps(sweeps: pd.DataFrame | None, generated: bool) -> Iterator[Picture]:
    """Draw one figure per sweep, named ``sweep_<name>``.

    One key gives a line with ± one standard deviation over folds and repeats, two give a heat
    map; of three or more the first two are shown and the rest is averaged over.
    """
    if sweeps is None or sweeps.empty:
        return
    rows = spread_values(sweeps)
    for name, points in rows.groupby("sweep", sort=False):
        keys = list(points.iloc[0]["swept"])
        levels = list_levels(points)
        if not levels:
            continue
        if len(keys) == 1:
            figure = draw_line(points, keys[0], levels)
            caption = (
                f"Sweep {name}: share of test {LEVEL_NAMES[levels[0]]}s put into the right class; "
                "whiskers are the standard deviation over folds and repeats."
            )
        else:
            figure = draw_map(points[points["level"] == levels[0]], keys)
            caption = (
                f"Sweep {name}: percent of the test {LEVEL_NAMES[levels[0]]}s put into the right "
                "class, mean ± standard deviation over folds and repeats."
            )
            if len(keys) > 2:
                caption += f" Averaged over {', '.join(keys[2:])}."
        if points["paper"].notna().any():
            caption += " Diamonds: the paper's own numbers." if len(keys) == 1 else ""
        yield encode_picture(figure, f"sweep_{name}", caption, generated)


@house_style
def draw_line(points: pd.DataFrame, key: str, levels: list[str]) -> "Figure":
    """Draw accuracy over the values of one key and, where measured, what an epoch takes."""
    from matplotlib.ticker import MaxNLocator

    has_time = points["seconds_per_epoch"].notna().any()
    figure = make_figure(7.4 if has_time else 4.6, 3.0)
    panels = figure.subplots(1, 2, width_ratios=[3, 2]) if has_time else [figure.subplots()]
    values = [swept[key] for swept in points["swept"]]
    order = list(dict.fromkeys(_as_label(value) for value in values))
    axes = panels[0]
    for level, colour in zip(levels, (BLUE, ORANGE), strict=False):
        line = points[points["level"] == level]
        x = _place(line, key, order)
        axes.errorbar(
            x, line["mean"], yerr=line["sd"].fillna(0), color=colour, marker="o", ms=4,
            capsize=2, label=f"{LEVEL_NAMES[level]}s", ls="-" if _is_numeric(values) else "none",
        )  # fmt: skip
        known = line["paper"].notna().to_numpy()
        if known.any():
            axes.plot(
                np.asarray(x)[known], line.loc[known, "paper"], "D", color=colour, mfc="white",
                ms=5, label=f"paper, {LEVEL_NAMES[level]}s",
            )  # fmt: skip
    _label_values(axes, key, values, order)
    axes.set_ylabel("right class (test)")
    shown = pd.concat([points["mean"] - points["sd"].fillna(0), points["paper"]])
    percent_axis(axes, "y")
    axes.set_ylim(max(0.0, np.floor(10 * (float(shown.min()) - 0.02)) / 10), 1.01)
    axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axes.grid(axis="y")
    axes.legend(loc="best")
    if has_time:
        line = points[points["level"] == levels[0]]
        style = "o-" if _is_numeric(values) else "o"
        panels[1].plot(_place(line, key, order), line["seconds_per_epoch"], style, color=INK, ms=4)
        _label_values(panels[1], key, values, order)
        panels[1].set_ylabel("training time per epoch (s)")
        panels[1].set_ylim(0, 1.1 * float(line["seconds_per_epoch"].max()))
        panels[1].grid(axis="y")
    return figure


@house_style
def draw_map(points: pd.DataFrame, keys: list[str]) -> "Figure":
    """Draw the accuracy over two keys as a heat map with its numbers in the cells."""
    first, second = keys[:2]
    table = points.assign(
        first=[_as_label(swept[first]) for swept in points["swept"]],
        second=[_as_label(swept[second]) for swept in points["swept"]],
    )
    rows, columns = (list(dict.fromkeys(table[c])) for c in ("second", "first"))
    means, sds, paper = (
        table.pivot_table(index="second", columns="first", values=value, dropna=False)
        .reindex(index=rows, columns=columns)
        .to_numpy(np.float64)
        for value in ("mean", "sd", "paper")
    )
    figure = make_figure(1.8 + 0.95 * len(columns), 1.2 + 0.45 * len(rows))
    axes = figure.subplots()
    image = axes.imshow(100 * means, cmap="cividis", aspect="auto")
    middle = 50 * float(np.nanmin(means) + np.nanmax(means))
    for (i, j), mean in np.ndenumerate(100 * means):
        if np.isnan(mean):
            continue
        sd = 100 * sds[i, j]
        text = f"{mean:.1f}" + ("" if np.isnan(sd) else f" ± {sd:.1f}")
        if not np.isnan(paper[i, j]):
            text += f"\npaper {100 * paper[i, j]:.1f}"
        colour = "white" if mean < middle else INK
        axes.text(j, i, text, ha="center", va="center", fontsize=7.5, color=colour)
    turned: dict[str, Any] = {"rotation": 30, "ha": "right"} if max(map(len, columns)) > 8 else {}
    axes.set_xticks(range(len(columns)), columns, **turned)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel(name_key(first))
    axes.set_ylabel(name_key(second))
    axes.spines[:].set_visible(False)
    figure.colorbar(image, label="right class (%)", shrink=0.9).outline.set_visible(False)
    return figure


def show_sweeps(sweeps: pd.DataFrame | None) -> list[ShownTable]:
    """Make one table per sweep: the values, the scores, the paper's number, the time."""
    if sweeps is None or sweeps.empty:
        return []
    rows = spread_values(sweeps)
    shown = []
    for name, points in rows.groupby("sweep", sort=False):
        levels = list_levels(points)
        lines = []
        for _, point in points.groupby("point", sort=False):
            first: dict[str, Any] = {str(k): v for k, v in point.iloc[0].items()}
            line = {name_key(key): _as_label(value) for key, value in first["swept"].items()}
            for level in levels:
                row = point[point["level"] == level].iloc[0]
                line[f"{LEVEL_NAMES[level]}s right"] = format_spread(row["mean"], row["sd"])
                if points["paper"].notna().any():
                    known = pd.notna(row["paper"])
                    title = f"paper, {LEVEL_NAMES[level]}s"
                    line[title] = f"{100 * row['paper']:.1f} %" if known else NOTHING
            judged = point[point["level"] == levels[0]].iloc[0]
            line[f"n ({LEVEL_NAMES[levels[0]]}s)"] = format_count(judged["n"])
            line["fits"] = format_count(first["fits"])
            line["s per epoch"] = f"{first['seconds_per_epoch']:.3g}"
            line["same work as"] = NOTHING if first["arm"] == first["point"] else first["arm"]
            lines.append(line)
        table = show_table(pd.DataFrame(lines), str(name).replace("_", " "), ("same work as",))
        if table is not None:
            shown.append(table)
    return shown


def name_key(key: str) -> str:
    """Return how a figure calls a swept key."""
    return UNITS.get(key, key.removeprefix(WHERE).split(".", 1)[-1].replace("_", " "))


def _as_label(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_as_label(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_as_label(v)}" for k, v in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")


def _is_numeric(values: list[Any]) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _place(line: pd.DataFrame, key: str, order: list[str]) -> list[float]:
    values = [swept[key] for swept in line["swept"]]
    if _is_numeric(values):
        return [float(value) for value in values]
    return [float(order.index(_as_label(value))) for value in values]


def _label_values(axes: "Axes", key: str, values: list[Any], order: list[str]) -> None:
    axes.set_xlabel(name_key(key))
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
