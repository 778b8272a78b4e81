"""The confusion matrix as a picture."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from batteryscope.report.style import INK, house_style, make_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def pivot_confusion(counts: pd.DataFrame) -> pd.DataFrame:
    """Turn the long table ``y_true, y_pred, count`` into a square matrix of counts.

    Rows and columns are all classes that occur, sorted; pairs that do not occur are 0.
    """
    classes = sorted(set(counts["y_true"]) | set(counts["y_pred"]))
    matrix = counts.pivot_table(
        index="y_true", columns="y_pred", values="count", aggfunc="sum", fill_value=0
    )
    return matrix.reindex(index=classes, columns=classes, fill_value=0).astype(int)


@house_style
def draw_confusion(matrix: pd.DataFrame, unit: str = "images") -> "Figure":
    """Draw a confusion matrix: colour is the share of the true class, the number is a count.

    Parameters
    ----------
    matrix
        Square table of counts, true classes in rows, predicted classes in columns.
    unit
        What was counted, for the colour bar.
    """
    counts = matrix.to_numpy(dtype=float)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    size = len(matrix)
    edge = max(3.2, 0.46 * size)
    figure = make_figure(edge + 2.2, edge + 1.0)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    for row, column in np.argwhere(counts > 0):
        axes.text(
            column,
            row,
            f"{counts[row, column]:.0f}",
            ha="center",
            va="center",
            fontsize=8,
            fontweight="bold" if row == column else "normal",
            color="white" if shares[row, column] > 0.55 else INK,
        )
    labels = [str(name).replace("_", " ") for name in matrix.index]
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
    bar = figure.colorbar(image, ax=axes, shrink=0.72, aspect=26, pad=0.02)
    bar.set_ticks([0, 0.25, 0.5, 0.75, 1.0], labels=["0 %", "25 %", "50 %", "75 %", "100 %"])
    bar.set_label(f"share of the {unit} of the true class", fontsize=8)
    bar.outline.set_visible(False)
    return figure
