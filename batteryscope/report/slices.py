"""Figures of single slices: samples with their verdict, and how sure the model is per class."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.core.scale_bar import draw_scale_bar
from batteryscope.core.style import (
    GREEN,
    NARROW_IN,
    VERMILLION,
    house_style,
    make_figure,
    percent_axis,
)
from batteryscope.seeds import derive_rng

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 20
COLOURS = [GREEN, VERMILLION]  # right, wrong


def choose_samples(verdicts: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Draw test samples by lot, every true class in turn, right or wrong.

    Parameters
    ----------
    verdicts
        Test predictions, ``y_true`` and more.
    count
        How many.
    seed
        Of the lot.
    """
    order = derive_rng(seed, "samples").permutation(len(verdicts))
    mixed = verdicts.sort_values(["sample_id", "repeat", "fold"]).iloc[order]
    turn = mixed.groupby("y_true").cumcount()
    return mixed.assign(turn=turn).sort_values(["turn", "y_true"], kind="stable").head(count)


@house_style
def draw_samples(
    rows: pd.DataFrame,
    pictures: Sequence[NDArray[np.uint8]],
    widths_um: Sequence[float | None] = (),
    narrow: bool = False,
) -> "Figure":
    """Draw slices with the model's answer and confidence, three to a row.

    Parameters
    ----------
    rows
        ``y_true, y_pred, confidence``, one row per slice, at least one.
    pictures
        Grey pictures, (rows, columns).
    widths_um
        How wide each of them is, for scale bars; None where that is not known.
    narrow
        Two to a row, for the screen of a telephone.
    """
    columns = 2 if narrow else 3
    n_rows = -(-len(rows) // columns)
    figure = make_figure(*((NARROW_IN, 1.85 * n_rows) if narrow else (6.6, 2.35 * n_rows)))
    panels = figure.subplots(n_rows, columns, squeeze=False).ravel()
    for panel in panels:
        panel.set_axis_off()
    shown = zip_longest(rows.to_dict("records"), pictures, widths_um)
    for panel, (row, picture, width_um) in zip(panels, shown, strict=False):
        panel.imshow(picture, cmap="gray", vmin=0, vmax=255)
        if width_um:
            draw_scale_bar(panel, picture.shape[1], width_um)
        right = row["y_true"] == row["y_pred"]
        gap = "\n" if narrow else " "
        title = f"{row['y_pred']},{gap}{100 * row['confidence']:.0f} %".replace("_", " ")
        if not right:
            title += f"\n(is {row['y_true']})".replace("_", " ")
        panel.set_title(title, color=GREEN if right else VERMILLION, fontsize=8 if narrow else 9)
    return figure


@house_style
def draw_confidence_per_class(verdicts: pd.DataFrame) -> "Figure":
    """Draw how often each confidence occurs, one panel per true class, right and wrong apart.

    Parameters
    ----------
    verdicts
        ``y_true, y_pred, confidence`` (0 to 1).
    """
    classes = sorted(verdicts["y_true"].unique())
    figure = make_figure(7.4, 1.1 * len(classes) + 0.7)
    panels = figure.subplots(len(classes), 1, sharex=True, squeeze=False).ravel()
    edges = np.linspace(0, 1, BINS + 1)
    for panel, name in zip(panels, classes, strict=True):
        mine = verdicts[verdicts["y_true"] == name]
        right = (mine["y_true"] == mine["y_pred"]).to_numpy()
        parts = [mine["confidence"].to_numpy()[right], mine["confidence"].to_numpy()[~right]]
        panel.hist(parts, bins=edges, stacked=True, color=COLOURS, label=["right", "wrong"])
        panel.set_title(str(name).replace("_", " "), fontsize=9)
        panel.set_ylabel("slices")
        percent_axis(panel, "x")
    panels[-1].set_xlabel("confidence of the answer")
    panels[0].legend(loc="upper left")
    return figure
