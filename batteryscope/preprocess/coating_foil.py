"""Finds the current collector of a cross-section: a bright band, wavy and slightly tilted.

No fixed grey level decides what is bright. Otsu's threshold divides the picture into bright
and dark, a second one the bright part into particles and foil; foil is what then fills whole
rows, once the rows are sheared by the right angle.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from batteryscope.preprocess.tile_batch import UnusablePictureError

Floats = NDArray[np.float64]
LARGEST_TILT_DEG = 6.0
ANGLE_STEP_DEG = 0.25
FULL_ROW = 0.88  # share of foil pixels from which a sheared row is foil
THINNEST_FOIL_PX = 12
COATED_SHARE = 0.15  # of bright pixels in a strip beside the foil
STRIP_PX = 120
SCRATCH_PX = 6  # a scratch is less wide
REACH_PX = 40  # how far from the band its edge is looked for


@dataclass(frozen=True)
class GreyLevels:
    """Thresholds between resin, particles and foil, in grey levels of the picture."""

    solid: float
    foil: float


@dataclass(frozen=True)
class FoilEdge:
    """The edge of the foil towards the coating.

    Attributes
    ----------
    angle_deg
        Positive: the edge goes down to the right.
    row
        Of the fitted line in the middle column.
    side
        ``above`` or ``below``: where the coating is.
    levels
        Thresholds that were found.
    """

    angle_deg: float
    row: float
    side: str
    levels: GreyLevels

    def rows_at(self, columns: Floats, width: int) -> Floats:
        """Return the row of the line at some columns."""
        slope = np.tan(np.deg2rad(self.angle_deg))
        return np.asarray(self.row + slope * (columns - (width - 1) / 2))


def find_foil(pixels: NDArray[np.uint8], collector: str = "auto") -> FoilEdge:
    """Find the edge between foil and coating.

    Parameters
    ----------
    pixels
        Grey picture, (height, width).
    collector
        ``bottom`` takes the coating above a foil, ``top`` that below one; ``auto`` takes the
        only one there is.

    Raises
    ------
    UnusablePictureError
        ``no_collector``, or ``two_collectors``: the picture shows coating on two sides.
    """
    smooth = ndimage.gaussian_filter(pixels.astype(np.float32), 2)
    levels = find_levels(smooth)
    angle, fill = find_angle(smooth > levels.foil)
    bands = _find_bands(fill)
    if not bands:
        raise UnusablePictureError(
            "no_collector",
            "no current collector was found: no bright band crosses the picture at an angle of "
            f"up to ±{LARGEST_TILT_DEG:g}°; take a picture that shows the foil over its whole "
            "width, or leave this one out.",
        )
    solid = smooth > levels.solid
    sides = [
        (band, side)
        for band in bands
        for side in ("above", "below")
        if _is_coated(solid, band, side, angle)
    ]
    if not sides:
        raise UnusablePictureError(
            "no_collector", "a bright band was found, but no coating beside it; leave it out."
        )
    wanted = {"bottom": "above", "top": "below"}.get(collector)
    chosen = [s for s in sides if wanted is None or s[1] == wanted]
    if not chosen or (len(sides) > 1 and wanted is None):
        raise UnusablePictureError(
            "two_collectors" if chosen else "no_collector",
            f"{len(sides)} sides of current collectors are coated (a double-sided electrode, or "
            "two of them); choose one with preprocess.collector (when predicting: --collector): "
            "bottom takes the coating above the foil, top the one below; or cut the picture so "
            "that it shows one side."
            if chosen
            else f"no foil with coating on the side that preprocess.collector '{collector}' "
            "expects; use auto.",
        )
    (first, last), side = chosen[-1 if side_is_above(chosen) else 0]
    return _fit_edge(pixels, levels, angle, first if side == "above" else last, side)


def side_is_above(chosen: list[tuple[tuple[int, int], str]]) -> bool:
    """Whether the coatings to choose from lie above their foils: then the lowest is taken."""
    return chosen[0][1] == "above"


def find_levels(smooth: NDArray[np.float32]) -> GreyLevels:
    """Return Otsu's threshold of the picture, and that of its bright part."""
    sample = smooth[::2, ::2]
    solid = float(threshold_otsu(sample))
    bright = sample[sample > solid]
    if bright.size == 0 or np.ptp(bright) <= 1:
        return GreyLevels(solid, float("inf"))  # nothing is brighter than the rest: no foil
    foil = float(threshold_otsu(bright))
    # Otsu leans to the larger class; the middle between the medians of both does not.
    dim, shiny = np.median(bright[bright <= foil]), np.median(bright[bright > foil])
    return GreyLevels(solid, float((dim + shiny) / 2))


def find_angle(bright: NDArray[np.bool_]) -> tuple[float, Floats]:
    """Return the angle at which bright pixels gather in the fewest rows, and their row fill.

    Returns
    -------
    angle_deg : float
    fill : (H,) array
        Share of bright pixels in every row, sheared about the middle column.
    """
    height, width = bright.shape
    rows, columns = np.nonzero(bright[:, ::4])
    offset = columns * 4 - (width - 1) / 2
    n_columns = len(range(0, width, 4))
    best = (-1.0, 0.0, np.zeros(height))
    for angle in np.arange(-LARGEST_TILT_DEG, LARGEST_TILT_DEG + 1e-9, ANGLE_STEP_DEG):
        level = np.rint(rows - np.tan(np.deg2rad(angle)) * offset).astype(int)
        inside = (level >= 0) & (level < height)
        fill = np.bincount(level[inside], minlength=height) / n_columns
        score = float((fill**2).sum())
        if score > best[0]:
            best = (score, float(angle), fill)
    return best[1], best[2]


def _find_bands(fill: Floats) -> list[tuple[int, int]]:
    """First and last row of every run of full rows; gaps of a few rows do not divide."""
    # Rows at the edge of a tilted picture lack the corners that were sheared out.
    full = ndimage.binary_closing(np.pad(fill >= FULL_ROW, 8), np.ones(9, bool))[8:-8]
    labels, n = ndimage.label(full)
    runs = [np.flatnonzero(labels == i + 1) for i in range(n)]
    return [(int(r[0]), int(r[-1])) for r in runs if len(r) >= THINNEST_FOIL_PX]


def _is_coated(
    solid: NDArray[np.bool_], band: tuple[int, int], side: str, angle_deg: float
) -> bool:
    """Whether a strip beside the band holds particles."""
    height, width = solid.shape
    gap = 12
    start = band[0] - gap - STRIP_PX if side == "above" else band[1] + gap
    columns = np.arange(0, width, 4)
    shift = np.tan(np.deg2rad(angle_deg)) * (columns - (width - 1) / 2)
    rows = np.rint(np.arange(start, start + STRIP_PX)[:, None] + shift[None]).astype(int)
    inside = (rows >= 0) & (rows < height)
    if inside.mean() < 0.5:
        return False
    values = solid[np.clip(rows, 0, height - 1), columns[None]]
    return bool(values[inside].mean() >= COATED_SHARE)


def _fit_edge(
    pixels: NDArray[np.uint8], levels: GreyLevels, angle_deg: float, row: int, side: str
) -> FoilEdge:
    """Trace the edge column by column and fit a line that outliers hardly move."""
    width = pixels.shape[1]
    columns = np.arange(width, dtype=np.float64)
    edge = FoilEdge(angle_deg, float(row), side, levels)
    for _ in range(2):  # the second time around the better line
        traced = trace_edge(pixels, edge)
        slope, middle = _fit_line(columns - (width - 1) / 2, traced)
        edge = FoilEdge(float(np.rad2deg(np.arctan(slope))), middle, side, levels)
    return edge


def trace_edge(pixels: NDArray[np.uint8], edge: FoilEdge) -> Floats:
    """Return for every column the row where the foil ends towards the coating.

    From 20 px inside the foil outwards, the edge is where the grey level first falls below the
    threshold and stays there; its place between two rows is interpolated. Columns without one
    are NaN.
    """
    height, width = pixels.shape
    sign = -1.0 if edge.side == "above" else 1.0
    steps = np.arange(-20, REACH_PX + 1)
    columns = np.arange(width)
    line = edge.rows_at(columns.astype(np.float64), width)
    rows = line[None] + sign * steps[:, None]
    smooth = ndimage.gaussian_filter(pixels.astype(np.float32), (1.0, 1.5))
    inside = (rows > 0) & (rows < height - 1)
    grey = ndimage.map_coordinates(
        smooth, [rows, np.broadcast_to(columns, rows.shape)], order=1, mode="nearest"
    )
    dark = (grey < edge.levels.foil) & inside
    # The foil ends where it stays dark: a scratch across it is a few rows wide.
    dark = ndimage.minimum_filter1d(dark, SCRATCH_PX, axis=0, origin=-(SCRATCH_PX // 2))
    first = dark.argmax(0)
    found = dark.any(0) & (first > 0)
    # Half way between the foil and what lies beside it there, be it a particle or a pore.
    shiny = np.median(grey[:12], axis=0)
    beside = _take_mean(grey, first + 5, 6)
    level = np.minimum((shiny + beside) / 2, edge.levels.foil)
    below = (grey < level) & (np.arange(len(steps))[:, None] >= first)
    first = np.where(below.any(0), below.argmax(0), first)
    before = np.take_along_axis(grey, np.maximum(first - 1, 0)[None], 0)[0]
    at = np.take_along_axis(grey, first[None], 0)[0]
    part = (before - level) / np.maximum(before - at, 1e-6)
    place = steps[np.maximum(first - 1, 0)] + np.clip(part, 0, 1)
    return np.where(found, line + sign * place, np.nan)


def _take_mean(values: Floats, start: NDArray[np.int64], count: int) -> Floats:
    """Return the mean of ``count`` rows from another start in every column."""
    rows = np.minimum(start[None] + np.arange(count)[:, None], len(values) - 1)
    return np.asarray(np.take_along_axis(values, rows, 0).mean(0))


def _fit_line(x: Floats, y: Floats) -> tuple[float, float]:
    """Return slope and value at 0 of a line by least squares with Huber's weights."""
    known = np.isfinite(y)
    x, y = x[known], y[known]
    weights = np.ones_like(x)
    slope, middle = 0.0, float(np.median(y))
    for _ in range(8):
        slope, middle = np.polyfit(x, y, 1, w=np.sqrt(weights))
        residual = np.abs(y - slope * x - middle)
        spread = max(1.4826 * float(np.median(residual)), 0.2)
        weights = np.minimum(1.0, 3 * spread / np.maximum(residual, 1e-9))
    return float(slope), float(middle)
