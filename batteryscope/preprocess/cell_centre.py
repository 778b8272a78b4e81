"""The course of a cell through a scan: one centre and radius per slice, smoothed along z."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batteryscope.preprocess.can_circle import Circle
from batteryscope.preprocess.winding_core import Core

FEWEST_FOR_LINE = 5


@dataclass(frozen=True)
class Axis:
    """Centre of the windings and radius of the can in every slice, in pixels, each (n,)."""

    x_px: NDArray[np.float64]
    y_px: NDArray[np.float64]
    radius_px: NDArray[np.float64]


def follow_axis(cans: Sequence[Circle | None], cores: Sequence[Core | None], window: int) -> Axis:
    """Smooth the centre of the core and the radius of the can along the slices.

    What was not found in a slice is interpolated between its neighbours; a cell in which no
    core was found at all keeps the centre of its can. A running median takes out single wrong
    slices, the running mean after it the jitter; both follow a tilted cell.

    Parameters
    ----------
    cans, cores
        As found, slice by slice; None where nothing was found. At least one can.
    window
        Slices that count, odd or even; 1 leaves all as found.
    """
    can_x, can_y, radius = (
        _fill([None if c is None else getattr(c, name) for c in cans])
        for name in ("x_px", "y_px", "radius_px")
    )
    # The core is followed as an offset from the can, which is found in nearly every slice.
    pairs = list(zip(cores, can_x, can_y, strict=True))
    if any(core is not None for core in cores):
        x = can_x + _fill([None if c is None else c.x_px - cx for c, cx, _ in pairs])
        y = can_y + _fill([None if c is None else c.y_px - cy for c, _, cy in pairs])
    else:
        x, y = can_x, can_y
    return Axis(*(smooth(values, window) for values in (x, y, radius)))


def smooth(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the running mean of the running median; straight lines stay what they are.

    At both ends the series is continued by turning it around its end, so that a steady drift does
    not bend there. Where the end is follows from a robust line through the last values (Siegel
    1982), since a single wrong value may be the last one; fewer than five values are taken as
    they are.
    """
    half = min(window // 2, len(values) - 1)
    if half < 1:
        return values.copy()
    for average in (np.median, np.mean):
        before = 2 * _find_end(values, half) - values[half:0:-1]
        after = 2 * _find_end(values[::-1], half) - values[-2 : -half - 2 : -1]
        padded = np.concatenate([before, values, after])
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
        values = average(windows, axis=1)
    return values


def _find_end(values: NDArray[np.float64], half: int) -> float:
    """Where the series begins, judged by all of its first values."""
    from scipy.stats import siegelslopes

    if len(values) < FEWEST_FOR_LINE:
        return float(values[0])
    return float(siegelslopes(values[: max(FEWEST_FOR_LINE, 2 * half + 1)]).intercept)


def _fill(values: Sequence[float | None]) -> NDArray[np.float64]:
    """Interpolate what is missing; before the first and after the last value these hold."""
    array = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    known = np.flatnonzero(np.isfinite(array))
    filled: NDArray[np.float64] = np.interp(np.arange(len(array)), known, array[known])
    return filled
