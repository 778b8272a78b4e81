"""Figures of features: their ranks before and after transfer, and partial dependence."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from batteryscope.config.table_data import TableDatasetSettings
from batteryscope.core.style import (
    GREY,
    NARROW_IN,
    NARROW_TITLE,
    VERMILLION,
    draw_legend,
    house_style,
    make_figure,
)
from batteryscope.tables.figures import mark_domains
from batteryscope.tables.labels import label_column, name_column, name_domain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEGLIGIBLE = 1e-9  # of the largest value: rounding errors, shown as zero


@house_style
def draw_rank_changes(
    changes: pd.DataFrame,
    dataset: TableDatasetSettings,
    domains: Sequence[str],
    narrow: bool = False,
) -> "Figure":
    """Draw the features' ranks before (left) and after transfer (right), joined by lines.

    Parameters
    ----------
    changes
        From :func:`batteryscope.tables.attribution.compare_ranks`.
    dataset
        Labels.
    domains
        Target domains, one column of panels each.
    narrow
        For a telephone: panels below each other, names of the inputs on the left only.
    """
    targets = [t for t in dataset.targets if (changes["target"] == t).any()]
    shown = [d for d in domains if (changes["domain"] == d).any()]
    count = len(dataset.features)
    down = len(targets) * (len(shown) if narrow else 1)
    height = (0.75 + 0.28 * count) * down
    figure = make_figure(NARROW_IN if narrow else 4.3 * len(shown), height)
    across = 1 if narrow else len(shown)
    grid = figure.subplots(down, across, squeeze=False).reshape(len(targets), len(shown))
    for target, line in zip(targets, grid, strict=True):
        for axes, domain in zip(line, shown, strict=True):
            own = changes[(changes["target"] == target) & (changes["domain"] == domain)]
            for row in own.to_dict("records"):
                ranks = [row["rank_before"], row["rank_after"]]
                axes.plot(
                    [0, 1], ranks, "o-", ms=4.5,
                    color=VERMILLION if ranks[0] != ranks[1] else GREY,
                )  # fmt: skip
            right = axes.twinx()
            for side, when in ((axes, "before"), (right, "after")):
                ordered = own.sort_values(f"rank_{when}")
                names = [name_column(f, dataset.features[f]) for f in ordered["feature"]]
                sizes = ordered[f"mean_abs_shap_{when}"]
                sizes = sizes.where(sizes > NEGLIGIBLE * sizes.max(), 0.0)
                labels = [f"{n}  {s:.2g}" for n, s in zip(names, sizes, strict=True)]
                if when == "after":
                    after = [f"{s:.2g}" for s in sizes]
                    labels = (
                        after
                        if narrow
                        else [f"{s}  {n}" for n, s in zip(names, after, strict=True)]
                    )
                side.set_ylim(count + 0.5, 0.5)
                side.set_yticks(ordered[f"rank_{when}"].to_list(), labels, fontsize=8)
                side.tick_params(axis="y", length=0)
                side.spines[:].set_visible(False)
            axes.set_xlim(-0.08, 1.08)
            axes.set_xticks([0, 1], ["before", "after"])
            axes.tick_params(axis="x", length=0)
            column = dataset.targets[target]
            unit = f" ({column.unit})" if column.unit else ""
            title = f"{name_column(target, column)}{unit}: {name_domain(domain)}"
            axes.set_title(textwrap.fill(title, NARROW_TITLE - 10) if narrow else title)
    return figure


@house_style
def draw_partial_dependence(
    dependence: pd.DataFrame,
    dataset: TableDatasetSettings,
    target: str,
    domains: Sequence[str],
) -> "Figure":
    """Draw the mean prediction over each feature, with ± sd over the repeats as bands.

    Parameters
    ----------
    dependence
        Of one target and, per domain, one arm: ``domain, feature, feature_value, mean, sd``.
    dataset
        Labels and units.
    target
        The column that is predicted.
    domains
        In the order of their colours.
    """
    features = list(dataset.features)
    across = min(3, len(features))
    down = -(-len(features) // across)
    figure = make_figure(2.75 * across + 0.3, 2.1 * down + 0.4)
    grid = figure.subplots(down, across, squeeze=False, sharey=True)
    marks = mark_domains(domains)
    for panel, axes in enumerate(grid.flat):
        if panel >= len(features):
            axes.set_axis_off()
            continue
        feature = features[panel]
        for domain in domains:
            rows = dependence[
                (dependence["feature"] == feature) & (dependence["domain"] == domain)
            ].sort_values("feature_value")
            colour, marker = marks[domain]
            x, mean, sd = rows["feature_value"], rows["mean"], rows["sd"].fillna(0)
            every = max(1, len(rows) // 6)
            axes.plot(x, mean, color=colour, marker=marker, markevery=every, ms=4,
                      label=name_domain(domain))  # fmt: skip
            axes.fill_between(x, mean - sd, mean + sd, color=colour, alpha=0.16, lw=0)
        axes.set_xlabel(label_column(feature, dataset.features[feature]))
        axes.xaxis.get_major_locator().set_params(nbins=6)
        axes.grid()
    figure.supylabel(label_column(target, dataset.targets[target]), fontsize=9)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    draw_legend(figure, handles, labels)
    return figure
