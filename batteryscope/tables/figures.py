"""Figures of a study of tables: what went in, and how well it is predicted."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from batteryscope.config.evaluate import PaperDistribution
from batteryscope.config.table_data import TableDatasetSettings
from batteryscope.core.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    NARROW_IN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    draw_legend,
    house_style,
    make_figure,
)
from batteryscope.tables.labels import label_column, name_arm, name_column, name_domain
from batteryscope.tables.table_predictions import find_family

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colour and shape, so that the domains can be told apart in print as well.
DOMAIN_MARKS = (
    (BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (PURPLE, "D"), (SKY, "v"), (VERMILLION, "P"),
)  # fmt: skip
BINS = 18
COLUMNS, NARROW_COLUMNS, NARROW_LABEL = 4, 2, 20
MOST_VECTOR_POINTS = 2000  # of a domain; more make an SVG file of many megabytes


def mark_domains(domains: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Give every domain a colour and a marker, in order."""
    return {d: DOMAIN_MARKS[i % len(DOMAIN_MARKS)] for i, d in enumerate(domains)}


def choose_test_rows(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the test rows of the main study."""
    ablation = predictions["ablation"].fillna("")
    return predictions[(predictions["role"] == "test") & (ablation == "")]


@house_style
def draw_distributions(
    manifest: pd.DataFrame,
    dataset: TableDatasetSettings,
    domains: Sequence[str],
    published: Sequence[PaperDistribution] = (),
    narrow: bool = False,
) -> "Figure":
    """Draw histograms of all features and targets, one line of bars per domain.

    Parameters
    ----------
    manifest
        ``domain`` and all columns of the data set.
    dataset
        Names, labels and units of the columns.
    domains
        In the order to draw, from the top.
    published
        Means and limits of targets in a paper's data, marked above the bars of their domain.
    narrow
        For a telephone: two panels beside each other, and the domains in a legend.
    """
    from matplotlib.patches import Patch

    columns = {**dataset.features, **dataset.targets}
    across = min(NARROW_COLUMNS if narrow else COLUMNS, len(columns))
    down = -(-len(columns) // across)
    width = NARROW_IN if narrow else 2.15 * across + 0.7
    figure = make_figure(width, (0.42 * len(domains) + (0.95 if narrow else 0.75)) * down)
    grid = figure.subplots(down, across, squeeze=False)
    marks = mark_domains(domains)
    for panel, axes in enumerate(grid.flat):
        if panel >= len(columns):
            axes.set_axis_off()
            continue
        name = list(columns)[panel]
        edges = np.histogram_bin_edges(manifest[name].dropna(), BINS)
        for line, domain in enumerate(domains):
            values = manifest.loc[manifest["domain"] == domain, name].dropna()
            counts = np.histogram(values, edges)[0]
            height = 0.82 * counts / max(counts.max(), 1)
            axes.bar(
                edges[:-1], height, np.diff(edges), align="edge", bottom=len(domains) - 1 - line,
                color=marks[domain][0],
            )  # fmt: skip
            axes.axhline(len(domains) - 1 - line, color="#C3CAD2", lw=0.6)
        for told in (one for one in published if one.target == name and one.domain in domains):
            y = len(domains) - 0.12 - list(domains).index(told.domain)
            axes.plot([told.low, told.high], [y, y], color=VERMILLION, lw=1.2)
            axes.plot(told.mean, y, marker="D", ms=5, mfc=VERMILLION, mec="white")
        label = label_column(name, columns[name])
        axes.set_xlabel(textwrap.fill(label, NARROW_LABEL) if narrow else label)
        axes.set_ylim(-0.05, len(domains))
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        is_named = panel % across == 0 and not narrow
        labels = [name_domain(d) for d in domains] if is_named else [""] * len(domains)
        axes.set_yticks([len(domains) - 0.65 - i for i in range(len(domains))], labels)
        steps = {"nbins": 4, "prune": "both"} if narrow else {"nbins": 5}
        axes.xaxis.get_major_locator().set_params(**steps)
        if name in dataset.targets:
            axes.set_title("target")
    if narrow:
        patches = [Patch(color=marks[domain][0]) for domain in domains]
        draw_legend(figure, patches, [name_domain(domain) for domain in domains])
    return figure


@house_style
def draw_errors(
    errors: pd.DataFrame,
    dataset: TableDatasetSettings,
    arms: Sequence[str],
    domains: Sequence[str],
) -> "Figure":
    """Draw the error of every arm and baseline, one panel per target.

    Parameters
    ----------
    errors
        Of ``comparison.csv``: ``arm, target, domain, metric, mean, sd, paper``; of each target
        either the MAPE, in percent, or the MAE, in its unit.
    dataset
        Labels of the targets.
    arms
        From the top.
    domains
        In the order of their colours.
    """
    from matplotlib.lines import Line2D

    targets = list(dataset.targets)
    figure = make_figure(2.1 + 3.0 * len(targets), 1.15 + 0.34 * len(arms))
    grid = figure.subplots(1, len(targets), squeeze=False, sharey=True)[0]
    marks = mark_domains(domains)
    heights = {arm: len(arms) - 1 - i for i, arm in enumerate(arms)}
    offsets = np.linspace(0.24, -0.24, len(domains)) if len(domains) > 1 else [0.0]
    for axes, target in zip(grid, targets, strict=True):
        own = errors[(errors["target"] == target) & errors["arm"].isin(arms)]
        for domain, offset in zip(domains, offsets, strict=True):
            colour, marker = marks[domain]
            rows = own[own["domain"] == domain]
            if rows.empty:  # the paper has values of a domain that these tables lack
                continue
            y = rows["arm"].map(heights) + offset
            axes.errorbar(
                rows["mean"], y, xerr=_cap_spread(rows), fmt=marker, color=colour, ms=4.5,
                elinewidth=1.1,
            )  # fmt: skip
            if "paper" in rows and rows["paper"].notna().any():
                axes.plot(rows["paper"], y, "|", color=colour, ms=9, mew=1.8)
        for height in range(len(arms) - 1):
            axes.axhline(height + 0.5, color="#E4E8EC", lw=0.7)
        axes.set_title(name_column(target, dataset.targets[target]))
        metric, unit = "MAPE", "%"
        if (own["metric"] == "mae").any():
            metric, unit = "MAE", dataset.targets[target].unit
        axes.set_xlabel(f"{metric} of test rows" + (f" ({unit})" if unit else ""))
        set_percent_ticks(axes, "x")
        axes.grid(axis="x")
        axes.set_ylim(-0.5, len(arms) - 0.5)
    grid[0].set_yticks(list(heights.values()), [name_arm(arm) for arm in heights])
    present = [domain for domain in domains if (errors["domain"] == domain).any()]
    handles = [
        Line2D([], [], color=marks[domain][0], marker=marks[domain][1], ms=4.5, lw=1.1)
        for domain in present
    ]
    labels = [name_domain(domain) for domain in present]
    if "paper" in errors and errors["paper"].notna().any():
        handles.append(Line2D([], [], marker="|", ls="", color=INK, ms=9, mew=1.8))
        labels.append("published value")
    draw_legend(figure, handles, labels)
    return figure


@house_style
def draw_parity(
    predictions: pd.DataFrame,
    dataset: TableDatasetSettings,
    main_arm: str,
    domains: Sequence[str],
    errors: Mapping[tuple[str, str, str], float],
) -> "Figure":
    """Draw predicted over measured values before (left) and after transfer (right).

    Parameters
    ----------
    predictions
        Test rows of the main study.
    dataset
        Source domain, labels and units.
    main_arm
        The arm on the right; the left shows its source on every domain.
    domains
        In the order of their colours.
    errors
        (arm, target, domain) → MAPE in percent, written into the legend.
    """
    targets = list(dataset.targets)
    figure = make_figure(7.6, 3.35 * len(targets))
    grid = figure.subplots(len(targets), 2, squeeze=False)
    marks = mark_domains(domains)
    source, as_it_is = find_family(main_arm)
    titles = (f"{name_arm(source)} on all domains", name_arm(main_arm))
    for target, pair in zip(targets, grid, strict=True):
        column = dataset.targets[target]
        for axes, arm, title in zip(pair, (as_it_is, main_arm), titles, strict=True):
            shown = []
            for domain in domains:
                own = source if domain == dataset.source else arm
                if own == source and arm != as_it_is:
                    continue
                rows = predictions[
                    (predictions["arm"] == own)
                    & (predictions["target"] == target)
                    & (predictions["domain"] == domain)
                ]
                error = errors.get((own, target, domain))
                axes.plot(
                    rows["y_true"], rows["y_pred"], marks[domain][1], color=marks[domain][0],
                    ms=4, mec="white", mew=0.4, alpha=0.8,
                    label=name_domain(domain) + (f", {error:.1f} %" if error is not None else ""),
                    rasterized=len(rows) > MOST_VECTOR_POINTS,
                )  # fmt: skip
                shown.append(rows[["y_true", "y_pred"]].to_numpy(float).ravel())
            draw_identity(axes, np.concatenate([*shown, np.empty(0)]))
            axes.set_title(title)
            axes.set_xlabel(f"measured {label_column(target, column)}")
            axes.set_ylabel(f"predicted {label_column(target, column)}")
            legend = axes.legend(title="test rows, MAPE", title_fontsize=8, loc="best")
            legend.set(frame_on=True)
            legend.get_frame().set(facecolor="white", alpha=0.85, linewidth=0)
    return figure


def draw_identity(axes: "Axes", values: np.ndarray) -> None:
    """Set equal limits around all values and draw where prediction and truth agree."""
    values = values[np.isfinite(values)]
    if not values.size:
        return
    margin = 0.06 * max(np.ptp(values), 1e-9)
    limits = (values.min() - margin, values.max() + margin)
    axes.plot(limits, limits, "--", color=GREY, lw=1, zorder=0)
    axes.set(xlim=limits, ylim=limits, box_aspect=1)
    axes.grid()


def set_percent_ticks(axes: "Axes", which: str) -> None:
    """Make an axis of errors in percent logarithmic, with plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _cap_spread(rows: pd.DataFrame) -> np.ndarray:
    """Error bars that do not reach below zero, which a logarithmic axis cannot show."""
    sd = rows["sd"].fillna(0.0).to_numpy(float)
    return np.vstack([np.minimum(sd, 0.95 * rows["mean"].to_numpy(float)), sd])
