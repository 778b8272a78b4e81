"""Figures of SHAP values: single rows, and all rows together."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from batteryscope.config.table_data import TableDatasetSettings
from batteryscope.core.style import (
    BLUE,
    GREY,
    INK,
    NARROW_IN,
    NARROW_LETTERS,
    NARROW_TITLE,
    VERMILLION,
    house_style,
    make_figure,
    name_rows,
)
from batteryscope.tables.labels import label_column, name_column, name_domain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SWARM_BINS = 45
SWARM_HEIGHT = 0.38
SWARM_BELOW_NAME = 0.55  # of that height, where the name stands above the points


@house_style
def draw_waterfalls(
    shap_values: pd.DataFrame,
    dataset: TableDatasetSettings,
    target: str,
    chosen: Mapping[str, Sequence[str]],
    truths: Mapping[str, float],
    places: Mapping[str, str],
    narrow: bool = False,
) -> "Figure":
    """Draw how single rows come to their prediction, feature by feature.

    Parameters
    ----------
    shap_values
        Of one target and, per domain, one arm.
    dataset
        Labels and units.
    target
        The column that is predicted.
    chosen
        Domain → ``sample_id`` of the rows to draw, in order.
    truths
        ``sample_id`` → measured value.
    places
        ``sample_id`` → file and line.
    narrow
        For a telephone: rows below each other, names of the inputs above their bars.
    """
    lines = list(chosen.items())
    if narrow:
        lines = [(domain, [row]) for domain, rows in lines for row in rows]
    across = max(len(rows) for _, rows in lines)
    height = 1.55 + 0.4 * len(dataset.features) if narrow else 0.95 + 0.25 * len(dataset.features)
    figure = make_figure(NARROW_IN if narrow else 3.9 * across + 0.2, height * len(lines))
    grid = figure.subplots(len(lines), across, squeeze=False)
    for line, (domain, rows) in zip(grid, lines, strict=True):
        for column, axes in enumerate(line):
            if column >= len(rows):
                axes.set_axis_off()
                continue
            own = shap_values[
                (shap_values["sample_id"] == rows[column]) & (shap_values["domain"] == domain)
            ]
            _draw_waterfall(axes, own, dataset, narrow)
            measured = f", measured {truths[rows[column]]:.4g}" if rows[column] in truths else ""
            place = f"\n{places[rows[column]]}" if rows[column] in places else ""
            title = f"{name_domain(domain)}{measured}"
            axes.set_title((textwrap.fill(title, NARROW_TITLE) if narrow else title) + place)
    figure.supxlabel(label_column(target, dataset.targets[target]), fontsize=9)
    return figure


def _draw_waterfall(
    axes: "Axes", row: pd.DataFrame, dataset: TableDatasetSettings, narrow: bool
) -> None:
    ordered = row.reindex(row["shap_value"].abs().sort_values(kind="stable").index)
    base = float(ordered["base_value"].iloc[0])
    position, labels = base, []
    for height, part in enumerate(ordered.to_dict("records")):
        colour = VERMILLION if part["shap_value"] > 0 else BLUE
        axes.barh(height, part["shap_value"], 0.66, left=position, color=colour)
        following = position + part["shap_value"]
        if height + 1 < len(ordered):
            axes.plot([following] * 2, [height, height + 1], color=GREY, lw=0.7, zorder=0)
        position = following
        name, value = part["feature"], part["feature_value"]
        column = dataset.features[name]
        unit = f" {column.unit}" if column.unit else ""
        labels.append(f"{name_column(name, column)} = {value:.4g}{unit}")
    distance = 1.0 if narrow else 0.75  # of both ends from the bars
    first, last = -distance, len(ordered) - 1 + distance
    axes.axvline(base, color=GREY, lw=0.9, ls=":")
    axes.plot(base, first, "o", mfc="white", mec=INK, ms=5)
    axes.plot(position, last, "D", color=INK, ms=5)
    heights = [first, *range(len(ordered)), last]
    names = [f"base value {base:.4g}", *labels, f"prediction {position:.4g}"]
    axes.set_yticks(heights, names, fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(first - 0.55, last + 0.55)
    if narrow:
        name_rows(axes, heights, names)
    edges = base + np.concatenate([[0.0], np.cumsum(ordered["shap_value"].to_numpy(float))])
    margin = 0.07 * max(np.ptp(edges), 1e-9)
    axes.set_xlim(edges.min() - margin, edges.max() + margin)
    axes.grid(axis="x")


@house_style
def draw_beeswarm(
    shap_values: pd.DataFrame,
    dataset: TableDatasetSettings,
    target: str,
    domains: Sequence[str],
    narrow: bool = False,
) -> "Figure":
    """Draw all rows' SHAP values, one panel per domain, coloured by the feature's value.

    Parameters
    ----------
    shap_values
        Of one target and, per domain, one arm.
    dataset
        Labels and units.
    target
        The column that is predicted.
    domains
        One panel each. Features are ordered by their importance in the first.
    narrow
        For a telephone: panels below each other, names of the features above their points.
    """
    first = shap_values[shap_values["domain"] == domains[0]]
    order = (
        first.assign(size=first["shap_value"].abs()).groupby("feature")["size"].mean()
    ).sort_values(kind="stable")
    names = [name_column(feature, dataset.features[feature]) for feature in order.index]
    x_label = f"SHAP value: part of {label_column(target, dataset.targets[target])}"
    if narrow:
        figure = make_figure(NARROW_IN, 0.6 + (0.95 + 0.45 * len(order)) * len(domains))
        grid = figure.subplots(len(domains), 1, squeeze=False, sharey=True)[:, 0]
    else:
        figure = make_figure(1.9 + 2.7 * len(domains), 1.1 + 0.42 * len(order))
        grid = figure.subplots(1, len(domains), squeeze=False, sharey=True)[0]
    points = None
    for axes, domain in zip(grid, domains, strict=True):
        own = shap_values[shap_values["domain"] == domain]
        extent = float(own["shap_value"].abs().max() or 1.0)
        for height, feature in enumerate(order.index):
            rows = own[own["feature"] == feature]
            values = rows["shap_value"].to_numpy(float)
            offsets = spread_points(values, extent) * (SWARM_BELOW_NAME if narrow else 1)
            points = axes.scatter(
                values, height + offsets,
                c=_scale_values(rows["feature_value"]), cmap="viridis", vmin=0, vmax=1, s=7, lw=0,
            )  # fmt: skip
        axes.axvline(0, color=GREY, lw=0.9, zorder=0)
        axes.locator_params(axis="x", nbins=5, prune="lower")  # numbers of many digits
        axes.grid(axis="x")
        axes.set_title(name_domain(domain))
    grid[0].set_yticks(range(len(order)), names)
    if narrow:
        grid[0].set_ylim(-0.6, len(order) - 0.4)
        for axes in grid:
            name_rows(axes, range(len(order)), names)
            axes.set_xlabel(textwrap.fill(x_label, NARROW_LETTERS))
    else:
        figure.supxlabel(x_label, fontsize=9)
    if points is not None:
        location, gap, back = ("bottom", 0.01, -9) if narrow else ("right", 0.01, -18)
        bar = figure.colorbar(points, ax=list(grid), location=location, pad=gap, aspect=28)
        bar.set_ticks([0, 1], labels=["lowest", "highest"])
        bar.set_label("feature's value in its domain", labelpad=back)
    return figure


def spread_points(values: np.ndarray, extent: float) -> np.ndarray:
    """Move points of similar value apart, symmetrically about zero.

    Parameters
    ----------
    values
        Positions along the axis.
    extent
        The largest absolute value of the axis; it sets what counts as similar.

    Returns
    -------
    numpy.ndarray
        Offsets across the axis, between −:data:`SWARM_HEIGHT` and that.
    """
    bins = np.floor((values / extent + 1) / 2 * SWARM_BINS).astype(int)
    offsets = np.zeros(len(values))
    largest = max(np.unique(bins, return_counts=True)[1], default=1)
    step = min(0.09, SWARM_HEIGHT / max(largest / 2, 1))
    for one in np.unique(bins):
        members = np.flatnonzero(bins == one)
        places = np.arange(len(members))
        offsets[members] = step * np.where(places % 2, -(places + 1) // 2, (places + 1) // 2)
    return offsets


def _scale_values(values: pd.Series) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if high == low:
        return np.full(len(values), 0.5)
    return np.asarray((values - low) / (high - low), dtype=float)
