"""What a battery scientist measures on the windings of a slice, without any learning."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batteryscope.preprocess.can_circle import Circle
from batteryscope.preprocess.unroll import unroll

N_ANGLES, N_RADII = 360, 480
N_SECTORS = 24
INNER_SHARE, OUTER_SHARE = 0.30, 0.92  # of the can's radius, where windings are measured
PITCH_RANGE = (0.015, 0.12)  # of the can's radius: pitches that are looked for
LOCAL_RANGE = 0.4  # by which the pitch of a sector may differ from that of all
FIRST_PEAK_SHARE = 0.6  # of the highest peak: the pitch itself, not a multiple of it
FRACTION_SHARE = 0.25  # of a peak, by one at half or a third of its lag: the latter is the pitch
FRACTION_RANGE = 0.12  # by which the lag of such a peak may differ from half or a third
SEEN_HEIGHT = 0.05  # lower peaks are noise
SMOOTHING_SHARE = 0.12  # of the can's radius: slower changes along a ray are no windings


@dataclass(frozen=True)
class Windings:
    """Spacing of the windings of a slice.

    Attributes
    ----------
    regularity
        Height of the first of the high peaks of the autocorrelation along the rays, mean over
        the sectors: 1 for perfectly periodic windings, near 0 where none are seen.
    contrast
        Standard deviation of the grey levels along the rays over the grey level of the rim (can).
    pitch_px
        Median over the sectors of the distance of neighbouring windings.
    pitch_variation
        Standard deviation of the sectors' pitches over their mean.
    """

    regularity: float
    contrast: float
    pitch_px: float
    pitch_variation: float


def measure_windings(pixels: NDArray[Any], can: Circle) -> Windings:
    """Measure the spacing of the windings along rays from the centre of the can.

    Parameters
    ----------
    pixels
        Grey levels, (rows, columns).
    can
        As found in this slice.
    """
    rays = unroll(
        pixels,
        can.x_px,
        can.y_px,
        INNER_SHARE * can.radius_px,
        OUTER_SHARE * can.radius_px,
        N_ANGLES,
        N_RADII,
    )
    step_px = (OUTER_SHARE - INNER_SHARE) * can.radius_px / (N_RADII - 1)
    rim = unroll(pixels, can.x_px, can.y_px, 0.94 * can.radius_px, can.radius_px, N_ANGLES, 12)
    detail = _remove_slow_changes(rays, SMOOTHING_SHARE * can.radius_px / step_px)
    curves = _correlate_sectors(detail)
    low, high = (int(share * can.radius_px / step_px) for share in PITCH_RANGE)
    low, high = max(2, low), min(high, curves.shape[1] - 2)
    # All sectors together tell one pitch from two; each sector then tells its own nearby.
    shared = curves.mean(axis=0)
    _, clearest = _find_first_peak(shared, low, high)
    near_clearest = _limit_lags(clearest, low, high)
    near_pitch = _limit_lags(_find_common_lag(shared, low, high), low, high)
    heights, lags = np.empty(N_SECTORS), np.full(N_SECTORS, np.nan)
    for i, curve in enumerate(curves):
        heights[i], lags[i] = _find_first_peak(curve, *near_clearest)
        if near_pitch != near_clearest:
            _, lags[i] = _find_first_peak(curve, *near_pitch)
    seen = lags[np.isfinite(lags)] * step_px
    # Two thirds of the sectors must agree that there is a spacing at all.
    enough = len(seen) >= N_SECTORS // 3
    rim_level = float(np.percentile(rim, 90)) - float(np.percentile(pixels, 1))
    return Windings(
        float(np.clip(heights.mean(), 0.0, 1.0)),
        float(detail.std() / max(rim_level, 1e-9)),
        float(np.median(seen)) if enough else float("nan"),
        float(seen.std() / seen.mean()) if enough else float("nan"),
    )


def compare_slices(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Correlation coefficient of two crops of equal size, −1 to 1; 0 if one is flat."""
    a, b = (crop.astype(np.float64).ravel() - float(crop.mean()) for crop in (first, second))
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else 0.0


def _remove_slow_changes(rays: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter1d, uniform_filter1d

    smooth = uniform_filter1d(rays, max(3, round(width)), axis=0, mode="nearest")
    detail: NDArray[np.float32] = gaussian_filter1d(rays - smooth, 1.0, axis=0)
    return detail


def _correlate_sectors(detail: NDArray[np.float32]) -> NDArray[np.float64]:
    """Autocorrelation along the rays, averaged over the rays of each sector: (sectors, lags)."""
    import scipy.fft

    n = len(detail)
    spectrum = scipy.fft.rfft(detail - detail.mean(0), n=2 * n, axis=0)
    curves = scipy.fft.irfft(np.abs(spectrum) ** 2, axis=0)[: n // 2]
    # Longer lags have fewer products.
    curves = curves / (n - np.arange(len(curves)))[:, None] * n
    sectors = curves.reshape(len(curves), N_SECTORS, -1).sum(2).T
    normalised: NDArray[np.float64] = sectors / np.maximum(sectors[:, :1], 1e-12)
    return normalised


def _limit_lags(lag: float, low: int, high: int) -> tuple[int, int]:
    """Narrow a range of lags to what a sector may have; as it is if the lag is NaN."""
    if not np.isfinite(lag):
        return low, high
    nearest, farthest = int(lag * (1 - LOCAL_RANGE)), int(lag * (1 + LOCAL_RANGE)) + 1
    return max(low, nearest), min(high, farthest)


def _find_common_lag(curve: NDArray[np.float64], low: int, high: int) -> float:
    """Lag of the windings in the curve of all sectors; NaN where none are seen.

    Windings of a few pixels, or of which every second one is brighter, resemble the next but one
    more than the next, so that the first peak is much lower than the second. Halfway between two
    windings, however, the curve has a valley and no peak.
    """
    height, lag = _find_first_peak(curve, low, high)
    for divisor in (2, 3, 2):
        middle = lag / divisor
        if not np.isfinite(middle) or middle < low:
            continue
        first = max(low, int(middle * (1 - FRACTION_RANGE)))
        last = int(np.ceil(middle * (1 + FRACTION_RANGE)))
        lower, fraction = _find_first_peak(curve, first, last)
        if np.isfinite(fraction) and lower >= FRACTION_SHARE * height:
            height, lag = lower, fraction
    return lag


def _find_first_peak(curve: NDArray[np.float64], low: int, high: int) -> tuple[float, float]:
    """Height and place of the highest peak between two lags, with a parabola through its top."""
    if high <= low:
        return 0.0, float("nan")
    inner = curve[low : high + 1]
    is_peak = (inner > curve[low - 1 : high]) & (inner >= curve[low + 1 : high + 2])
    if not is_peak.any():
        return 0.0, float("nan")
    places = np.flatnonzero(is_peak)
    # The first of about equally high peaks: its multiples are as high.
    highest = inner[places].max()
    if highest <= 0:
        return 0.0, float("nan")
    place = low + int(places[inner[places] >= FIRST_PEAK_SHARE * highest][0])
    left, top, right = curve[place - 1 : place + 2]
    bend = left - 2 * top + right
    offset = 0.5 * (left - right) / bend if bend < 0 else 0.0
    height = float(curve[place])
    return (
        (height, place + float(offset))
        if height > SEEN_HEIGHT
        else (max(height, 0.0), float("nan"))
    )
