"""Training curves of one stage: all folds and repeats in one picture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from batteryscope.core.style import (
    BLUE,
    GREEN,
    ORANGE,
    house_style,
    make_figure,
    percent_axis,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@house_style
def draw_training_curves(
    histories: Sequence[pd.DataFrame], best_epochs: Sequence[int | None]
) -> "Figure":
    """Draw the loss (left) and the validation accuracy (right) over the epochs.

    Parameters
    ----------
    histories
        One table per fit: ``epoch, train_loss, val_loss, val_accuracy``.
    best_epochs
        Per fit the epoch whose weights were kept, marked with a dot; None if unknown.
    """
    figure = make_figure(7.6, 2.9)
    left, right = figure.subplots(1, 2)
    fade = max(0.25, min(1.0, 2.2 / max(len(histories), 1)))
    for position, (history, best) in enumerate(zip(histories, best_epochs, strict=True)):
        first = position == 0
        epochs = history["epoch"]
        for axes, column, colour, label in (
            (left, "train_loss", BLUE, "training"),
            (left, "val_loss", ORANGE, "validation"),
            (right, "val_accuracy", GREEN, "validation"),
        ):
            if column not in history or history[column].isna().all():
                continue
            # A single epoch makes no line: a marker shows it.
            marker = "o" if len(history) == 1 else None
            axes.plot(
                epochs,
                history[column],
                color=colour,
                alpha=fade,
                label=label if first else None,
                marker=marker,
                ms=3,
            )
            kept = history.loc[epochs == best, column]
            if len(kept) and column != "train_loss":
                axes.plot(
                    epochs[kept.index[0]],
                    kept.iloc[0],
                    marker="o",
                    ms=6,
                    mfc=colour,
                    mec="white",
                    ls="none",
                    label="best epoch (kept)" if first and column == "val_accuracy" else None,
                    zorder=5,
                )
    for axes, title in ((left, "Loss"), (right, "Validation tiles put into the right class")):
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid()
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="best")
    left.set_ylabel("cross-entropy")
    right.set_ylabel("right answers")
    left.set_ylim(bottom=0)
    percent_axis(right, "y", 1.02)
    return figure
