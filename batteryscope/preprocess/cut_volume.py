"""One scan, slice by slice, from its file to tiles and descriptors."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batteryscope.config.preprocess import CtSlicesSettings
from batteryscope.core.ordered_threads import map_in_order
from batteryscope.preprocess.can_circle import Circle, find_can
from batteryscope.preprocess.ct_slices import (
    NO_CELL,
    explain_no_winding,
    list_stack,
    make_tile,
)
from batteryscope.preprocess.winding_core import Core, find_core
from batteryscope.preprocess.winding_descriptors import Windings, compare_slices, measure_windings
from batteryscope.readers.volume import Volume, find_grey_range

KEPT_SLICES = 4  # in memory, so that a slice is not read once for each stack that it is part of
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


@dataclass(frozen=True)
class SliceFinding:
    """What was found in a slice; None where nothing was."""

    z: int
    can: Circle | None
    core: Core | None
    windings: Windings | None


@dataclass(frozen=True)
class CutSlice:
    """A slice with its tile, or the reason why it has none.

    Attributes
    ----------
    finding
        Can, core and windings.
    x_px, y_px, radius_px
        Smoothed centre of the windings and radius of the can; NaN without a cell.
    tile
        (input_px, input_px) or (3, input_px, input_px) uint8; None if left out.
    similarity
        Correlation with the neighbouring slice of the stack; NaN without one.
    reason, detail
        Why the slice is left out: ``no_cell`` or ``no_winding``, and in words.
    """

    finding: SliceFinding
    x_px: float
    y_px: float
    radius_px: float
    tile: NDArray[np.uint8] | None = None
    similarity: float = float("nan")
    reason: str = ""
    detail: str = ""


@dataclass
class SliceCache:
    """The last few slices that were read; several threads may ask."""

    volume: Volume
    kept: OrderedDict[int, NDArray[Any]] = field(default_factory=OrderedDict)
    lock: Lock = field(default_factory=Lock)

    def read(self, z: int) -> NDArray[Any]:
        """Return slice ``z``."""
        with self.lock:
            if z not in self.kept:
                self.kept[z] = self.volume.read_slice(z)
                while len(self.kept) > KEPT_SLICES:
                    self.kept.popitem(last=False)
            return self.kept[z]


def cut_volume(
    volume: Volume,
    slices: Sequence[int],
    settings: CtSlicesSettings,
    workers: int | None = None,
    grey_range: tuple[float, float] | None = None,
) -> Iterator[CutSlice]:
    """Find the cell in all chosen slices, then cut them; a few slices are in memory at a time.

    Parameters
    ----------
    volume
        The scan.
    slices
        Which ones, ascending.
    settings
        Preprocessing.
    workers
        Threads; the result does not depend on them.
    grey_range
        Grey levels that become 0 and 255, as decided for all scans; None: those of this scan.

    Raises
    ------
    PictureError
        A slice cannot be read.
    """

    def find(z: int) -> SliceFinding:
        return find_in_slice(volume.read_slice(z), z)

    findings = list(map_in_order(find, slices, workers))
    if all(f.can is None for f in findings):
        nowhere = float("nan")
        for finding in findings:
            yield CutSlice(finding, nowhere, nowhere, nowhere, reason="no_cell", detail=NO_CELL)
        return
    # What is dark in the middle of an end cap is no core.
    cores = [f.core if _shows_windings(f, settings) else None for f in findings]
    axis = follow_axis([f.can for f in findings], cores, settings.smooth_slices)
    grey_range = find_grey_range(volume) if grey_range is None else grey_range
    cache = SliceCache(volume)

    def cut(i: int) -> CutSlice:
        return _cut_slice(cache, findings[i], axis, i, settings, grey_range)

    yield from map_in_order(cut, range(len(findings)), workers)


def find_in_slice(pixels: NDArray[Any], z: int = 0) -> SliceFinding:
    """Find can, core and windings of one slice."""
    can = find_can(pixels)
    if can is None:
        return SliceFinding(z, None, None, None)
    core = find_core(pixels, can)
    return SliceFinding(z, can, core, measure_windings(pixels, can))


def _shows_windings(finding: SliceFinding, settings: CtSlicesSettings) -> bool:
    windings = finding.windings
    return windings is not None and windings.regularity >= settings.min_regularity


def _cut_slice(
    cache: SliceCache,
    finding: SliceFinding,
    axis: Axis,
    i: int,
    settings: CtSlicesSettings,
    grey_range: tuple[float, float],
) -> CutSlice:
    place = float(axis.x_px[i]), float(axis.y_px[i]), float(axis.radius_px[i])
    if finding.windings is None:
        return CutSlice(finding, *place, reason="no_cell", detail=NO_CELL)
    if not _shows_windings(finding, settings):
        detail = explain_no_winding(finding.windings.regularity, settings)
        return CutSlice(finding, *place, reason="no_winding", detail=detail)
    numbers = list_stack(finding.z, cache.volume.shape[0], settings.stack_step)
    tile = make_tile([cache.read(z) for z in numbers], *place, settings, grey_range)
    return CutSlice(finding, *place, tile, _measure_similarity(tile, numbers))


def _measure_similarity(tile: NDArray[np.uint8], numbers: Sequence[int]) -> float:
    if len(numbers) == 1:
        return float("nan")
    # At an end of the scan one neighbour is the slice itself and says nothing.
    other = 2 if numbers[2] != numbers[1] else 0
    if numbers[other] == numbers[1]:
        return float("nan")
    return compare_slices(tile[1], tile[other])
