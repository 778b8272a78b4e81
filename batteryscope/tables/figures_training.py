"""Figures of training: learning curves, error over the number of rows, intervals."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from batteryscope.config.table_data import TableDatasetSettings
from batteryscope.core.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    SOFT_INK,
    VERMILLION,
    draw_legend,
    house_style,
    make_figure,
    percent_axis,
    stack_panels,
)
from batteryscope.evaluation.predictions import is_baseline
from batteryscope.tables.ablations import find_break_even
from batteryscope.tables.figures import mark_domains, set_percent_ticks
from batteryscope.tables.labels import format_half_width, name_arm, name_column, name_domain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ARM_COLOURS = {
    "source": BLUE,
    "pretrained": SKY,
    "adapter": GREEN,
    "scratch": ORANGE,
    "fine_tuning": PURPLE,
    "source_process": INK,
    "pretrained_process": SOFT_INK,
    "transfer_process": VERMILLION,
}
RIVAL = "scratch"
ABLATION_LABELS = {
    "source_rows": "training rows of the source",
    "target_rows": "training rows of the target domain",
    "test_fraction": "share of the rows kept for the test (%)",
}


@house_style
def draw_learning_curves(
    histories: pd.DataFrame,
    dataset: TableDatasetSettings,
    arms: Sequence[str],
    domains: Sequence[str],
) -> "Figure":
    """Draw the error over the epochs, training solid and validation dashed.

    Parameters
    ----------
    histories
        Of the main study: ``arm, target, domain, repeat, epoch, train_mape,
        validation_mape`` in percent; lines are means over the repeats.
    dataset
        Source domain and labels.
    arms
        The arms to draw beside each other on the target domains.
    domains
        One column of panels each.
    """
    from matplotlib.lines import Line2D

    targets = list(dataset.targets)
    figure = make_figure(1.0 + 2.5 * len(domains), 0.7 + 2.35 * len(targets))
    grid = figure.subplots(len(targets), len(domains), squeeze=False, sharey="row")
    used: dict[str, None] = {}
    for target, line in zip(targets, grid, strict=True):
        for axes, domain in zip(line, domains, strict=True):
            own = histories[(histories["target"] == target) & (histories["domain"] == domain)]
            for arm in ("source",) if domain == dataset.source else arms:
                rows = own[own["arm"] == arm]
                if rows.empty:
                    continue
                used[arm] = None
                means = rows.groupby("epoch")[["train_mape", "validation_mape"]].mean()
                colour = ARM_COLOURS.get(arm, INK)
                axes.plot(means.index, means["train_mape"], color=colour)
                axes.plot(means.index, means["validation_mape"], color=colour, ls=(0, (4, 1.6)))
            axes.set_title(f"{name_column(target, dataset.targets[target])}: {name_domain(domain)}")
            axes.grid()
            axes.set_xlabel("epoch")
        set_percent_ticks(line[0], "y")
        line[0].set_ylabel("MAPE (%)")
    handles = [Line2D([], [], color=ARM_COLOURS.get(arm, INK)) for arm in used]
    handles += [Line2D([], [], color=INK), Line2D([], [], color=INK, ls=(0, (4, 1.6)))]
    labels = [*(name_arm(arm) for arm in used), "training rows", "validation rows"]
    draw_legend(figure, handles, labels)
    return figure


@house_style
def draw_ablation(
    ablation: pd.DataFrame,
    dataset: TableDatasetSettings,
    main_arm: str,
    domains: Sequence[str],
) -> "Figure":
    """Draw the test error over the number of rows or the split, with ± sd as bands.

    Parameters
    ----------
    ablation
        One ablation: ``ablation, value, arm, target, domain, mape, sd``, errors in percent.
    dataset
        Labels.
    main_arm
        The arm that training from scratch is compared with: a dotted line marks the number
        of target rows from which that is as good.
    domains
        One column of panels each; domains without a value are left out.
    """
    kind = str(ablation["ablation"].iloc[0])
    targets = [t for t in dataset.targets if (ablation["target"] == t).any()]
    shown = [d for d in domains if (ablation["domain"] == d).any()]
    scale = 100.0 if kind == "test_fraction" else 1.0
    figure = make_figure(1.2 + 2.6 * len(shown), 0.75 + 2.35 * len(targets))
    grid = figure.subplots(len(targets), len(shown), squeeze=False)
    arms = [arm for arm in ARM_COLOURS if (ablation["arm"] == arm).any()]
    with_baseline = False
    for target, line in zip(targets, grid, strict=True):
        for axes, domain in zip(line, shown, strict=True):
            own = ablation[(ablation["target"] == target) & (ablation["domain"] == domain)]
            for arm in arms:
                rows = own[own["arm"] == arm].sort_values("value")
                if rows.empty:
                    continue
                x, mean, sd = scale * rows["value"], rows["mape"], rows["sd"].fillna(0)
                colour = ARM_COLOURS[arm]
                axes.plot(x, mean, "o-", color=colour, ms=3.5)
                axes.fill_between(x, mean - sd, mean + sd, color=colour, alpha=0.16, lw=0)
            with_baseline |= _draw_best_baseline(axes, own, scale)
            rows_needed, _ = find_break_even(own, main_arm, RIVAL, target, domain)
            if rows_needed is not None:
                axes.axvline(rows_needed, color=INK, lw=1, ls=":")
                axes.text(
                    rows_needed, 0.98, f" even from {rows_needed:.0f}", color=INK,
                    fontsize=8, va="top", transform=axes.get_xaxis_transform(),
                )  # fmt: skip
            axes.set_title(f"{name_column(target, dataset.targets[target])}: {name_domain(domain)}")
            axes.set_ylim(bottom=0)
            axes.grid()
        line[0].set_ylabel("MAPE of test rows (%)")
    for axes in grid[-1]:
        axes.set_xlabel(ABLATION_LABELS.get(kind, kind.replace("_", " ")))
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=ARM_COLOURS[arm], marker="o", ms=3.5) for arm in arms]
    names = [name_arm(arm) for arm in arms]
    if with_baseline:
        handles.append(Line2D([], [], color=GREY, marker="s", ms=3.5, ls="--"))
        names.append("best baseline with all rows")
    draw_legend(figure, handles, names)
    return figure


def find_baseline_of_all_rows(ablation: pd.DataFrame) -> str | None:
    """Return the baseline with the lowest error at the largest value; None without baselines.

    Parameters
    ----------
    ablation
        One target and domain: ``arm, value, mape``.
    """
    rows = ablation[ablation["arm"].map(is_baseline)]
    last = rows[rows["value"] == rows["value"].max()]
    return None if last.empty else str(last.loc[last["mape"].idxmin(), "arm"])


def _draw_best_baseline(axes: "Axes", own: pd.DataFrame, scale: float) -> bool:
    best = find_baseline_of_all_rows(own)
    if best is None:
        return False
    rows = own[own["arm"] == best].sort_values("value")
    axes.plot(scale * rows["value"], rows["mape"], "s--", color=GREY, ms=3.5, lw=1.2)
    x, y = scale * rows["value"].iloc[-1], rows["mape"].iloc[-1]
    is_low = y < 0.15 * axes.get_ylim()[1]  # there is no place between the point and the axis
    axes.annotate(
        name_arm(best), (x, y), xytext=(0, 5 if is_low else -9),
        textcoords="offset points", ha="right", fontsize=7, color=SOFT_INK,
    )  # fmt: skip
    return True


@house_style
def draw_coverage(
    intervals: pd.DataFrame,
    dataset: TableDatasetSettings,
    domains: Sequence[str],
    narrow: bool = False,
) -> "Figure":
    """Draw the share of test values inside their interval, beside the share that was wanted.

    Parameters
    ----------
    intervals
        One row per target and domain: ``target, domain, coverage_wanted, coverage_measured,
        relative_half_width, n_test``.
    dataset
        Labels of the targets.
    domains
        In the order of their colours.
    narrow
        For a telephone: names and half-widths above the bars.
    """
    marks = mark_domains(domains)
    lines = [
        row
        for target in dataset.targets
        for domain in domains
        for row in intervals[
            (intervals["target"] == target) & (intervals["domain"] == domain)
        ].to_dict("records")
    ]
    figure = make_figure(7.0, 0.9 + 0.36 * max(len(lines), 1))
    axes = figure.subplots()
    names = []
    for height, row in zip(range(len(lines) - 1, -1, -1), lines, strict=True):
        # An infinite interval holds everything, which is nothing to show.
        shown = row["coverage_measured"] if np.isfinite(row["relative_half_width"]) else 0.0
        axes.barh(height, shown, 0.62, color=marks[row["domain"]][0])
        text = f"{format_half_width(row['relative_half_width'])}, n = {row['n_test']:.0f}"
        target = row["target"]
        names.append(
            f"{name_column(target, dataset.targets[target])}, {name_domain(row['domain'])}"
        )
        if narrow:
            names[-1] += f": {text}"
        else:
            axes.text(1.02, height, text, va="center", fontsize=8, clip_on=False)
    axes.set_yticks(np.arange(len(lines))[::-1], names)
    for wanted in sorted({float(row["coverage_wanted"]) for row in lines}):
        if narrow:  # names stand between the bars
            middles = np.arange(len(lines))
            across = np.full(len(lines), wanted)
            axes.vlines(across, middles - 0.3, middles + 0.3, color=INK, lw=1.3, ls="--")
        else:
            axes.plot([wanted] * 2, [-0.6, len(lines) - 0.5], color=INK, lw=1.3, ls="--")
        axes.text(wanted, len(lines) - 0.45, f"wanted {100 * wanted:.0f} %", ha="center",
                  va="bottom", fontsize=8)  # fmt: skip
    axes.set_ylim(-0.6, len(lines) - 0.1)
    percent_axis(axes, "x", 1.0)
    axes.set_xlabel("test values inside their interval")
    if narrow:
        stack_panels(figure)
    return figure
