"""The confusion matrix as a picture."""

import textwrap
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from batteryscope.core.style import (
    INK,
    NARROW_IN,
    Picture,
    encode_picture,
    house_style,
    make_figure,
)
from batteryscope.report.evidence import StudyEvidence
from batteryscope.report.headline import Headline
from batteryscope.report.tables import LEVEL_NAMES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NARROW = 12  # classes, whose cells are then as wide as two letters


def pivot_confusion(counts: pd.DataFrame) -> pd.DataFrame:
    """Turn the long table ``y_true, y_pred, count`` into a square matrix of counts.

    Rows and columns are all classes in the order in which they come as true ones; pairs that do
    not occur are 0.
    """
    classes = list(dict.fromkeys([*counts["y_true"], *counts["y_pred"]]))
    matrix = counts.pivot_table(
        index="y_true", columns="y_pred", values="count", aggfunc="sum", fill_value=0
    )
    return matrix.reindex(index=classes, columns=classes, fill_value=0).astype(int)


@house_style
def draw_confusions(matrices: Mapping[str, pd.DataFrame], narrow: bool = False) -> "Figure":
    """Draw the confusion matrices of several arms side by side, two or three in a row.

    Parameters
    ----------
    matrices
        Label of the arm → square table of counts; all have the same classes. Colour and
        numbers as :func:`draw_confusion`.
    narrow
        Below each other, for the screen of a telephone.
    """
    columns = len(matrices) if len(matrices) < 4 else 2 if len(matrices) == 4 else 3
    columns = 1 if narrow else columns
    rows = -(-len(matrices) // columns)
    size = max(len(matrix) for matrix in matrices.values())
    edge = NARROW_IN - 1.1 if narrow else max(1.9, 0.27 * size)
    width = NARROW_IN if narrow else columns * edge + 1.4
    figure = make_figure(width, rows * (edge + 0.35) + 1.1)
    all_axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes in all_axes.flat[len(matrices) :]:
        axes.set_axis_off()
    for place, (label, matrix) in enumerate(matrices.items()):
        axes = all_axes.flat[place]
        counts = matrix.to_numpy(dtype=float)
        totals = counts.sum(axis=1, keepdims=True)
        shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
        axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
        for row, column in np.argwhere(counts > 0):
            axes.text(
                column, row, f"{counts[row, column]:.0f}", ha="center", va="center", fontsize=7,
                color="white" if shares[row, column] > 0.55 else INK,
            )  # fmt: skip
        names = [str(name).replace("_", " ") for name in matrix.index]
        is_lowest = place + columns >= len(matrices)
        axes.set_xticks(range(len(names)), names if is_lowest else [], rotation=90, fontsize=7)
        axes.set_xlabel("predicted class" if is_lowest else "")
        axes.set_yticks(range(len(names)), names, fontsize=7)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(textwrap.fill(label, round(13 * edge)), fontsize=8)
    for axes in all_axes[:, 0]:
        axes.set_ylabel("true class")
    return figure


@house_style
def draw_confusion(matrix: pd.DataFrame, unit: str = "images", narrow: bool = False) -> "Figure":
    """Draw a confusion matrix: colour is the share of the true class, the number is a count.

    Parameters
    ----------
    matrix
        Square table of counts, true classes in rows, predicted classes in columns.
    unit
        What was counted, for the colour bar.
    narrow
        As wide as the screen of a telephone, without the bar.
    """
    letters = 7 if narrow else 8
    counts = matrix.to_numpy(dtype=float)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    size = len(matrix)
    edge = max(3.2, 0.46 * size)
    figure = make_figure(*((NARROW_IN, NARROW_IN + 0.3) if narrow else (edge + 2.2, edge + 1.0)))
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    for row, column in np.argwhere(counts > 0):
        axes.text(
            column,
            row,
            f"{counts[row, column]:.0f}",
            ha="center",
            va="center",
            fontsize=letters,
            fontweight="bold" if row == column else "normal",
            color="white" if shares[row, column] > 0.55 else INK,
        )
    labels = [str(name).replace("_", " ") for name in matrix.index]
    if narrow:
        axes.set_xticks(range(size), labels, rotation=90, fontsize=letters)
        axes.set_yticks(range(size), labels, fontsize=letters)
    else:
        axes.set_xticks(range(size), labels, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(size), labels)
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(-0.5, size), minor=True)
    axes.set_yticks(np.arange(-0.5, size), minor=True)
    axes.grid(which="minor", color="white", linewidth=1.2)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    if narrow:
        return figure
    bar = figure.colorbar(image, ax=axes, shrink=0.72, aspect=26, pad=0.02)
    bar.set_ticks([0, 0.25, 0.5, 0.75, 1.0], labels=["0 %", "25 %", "50 %", "75 %", "100 %"])
    bar.set_label(f"share of the {unit} of the true class", fontsize=8)
    bar.outline.set_visible(False)
    return figure


def _fits_narrow(matrices: Iterable[pd.DataFrame]) -> bool:
    """Whether the numbers of every cell fit on the screen of a telephone."""
    return all(len(m) <= MOST_NARROW and m.to_numpy().max() < 1000 for m in matrices)


def _select_confusions(
    evidence: StudyEvidence, arms: Iterable[str], level: str
) -> dict[str, pd.DataFrame]:
    """Square matrices by label of the arm; arms without counts are left out."""
    assert evidence.confusion is not None
    counts = evidence.confusion[evidence.confusion["level"] == level]
    if "target" in counts:
        counts = counts[counts["target"].fillna("") == ""]
    own = {arm: counts[counts["arm"] == arm] for arm in arms}
    return {evidence.label_of(a): pivot_confusion(c) for a, c in own.items() if len(c)}


def show_confusions(evidence: StudyEvidence, headline: Headline | None) -> Picture | None:
    """Draw the matrices of all configured arms; None for a single one."""
    if evidence.confusion is None or headline is None:
        return None
    arms = dict.fromkeys([headline.arm, *evidence.shown_arms])
    matrices = _select_confusions(evidence, arms, headline.level)
    if len(matrices) < 2:
        return None
    caption = (
        f"Confusion matrices of all strategies on the same test {LEVEL_NAMES[headline.level]}s, "
        "summed over folds and repeats; numbers are counts, the colour is the share of the row."
        f"{evidence.left_out}"
    )
    narrow = _fits_narrow(matrices.values()) and draw_confusions(matrices, narrow=True)
    figure = draw_confusions(matrices)
    return encode_picture(figure, "confusions", caption, evidence.generated, narrow)


def show_confusion(evidence: StudyEvidence, headline: Headline | None) -> Picture | None:
    """Draw the matrix of the main arm."""
    if evidence.confusion is None or headline is None:
        return None
    matrices = _select_confusions(evidence, [headline.arm], headline.level)
    if not matrices:
        return None
    unit = f"{LEVEL_NAMES[headline.level]}s"
    caption = (
        f"Confusion matrix of the test {unit}. A row is a true class, a column the model's answer; "
        "numbers are counts, the colour is the share of the row. Everything off the diagonal "
        "is a mistake."
    )
    (matrix,) = matrices.values()
    narrow = _fits_narrow([matrix]) and draw_confusion(matrix, unit, narrow=True)
    figure = draw_confusion(matrix, unit)
    return encode_picture(figure, "confusion", caption, evidence.generated, narrow)
