"""How large the particles in a picture are, without finding a single one of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Of a disc the autocorrelation, which is the area that two copies share, falls to a half at 0.404
# of its diameter; of discs that cover up to half of the plane by chance at 0.33 to 0.40.
HALF_AT = 0.38
# Discs that keep out of one another's way: 0.9 to 1.0 where they cover 5 to 50 % of the plane.
LOWEST_AT = 0.95
RISE = 0.012  # of the height at zero, behind a minimum that counts
LOWEST_WITHIN = 6.0  # half distances
SHADING_SHARE = 1 / 4  # of the shorter edge; what is wider is shading or the gap between clusters
LARGEST_EDGE_PX = 512  # larger pictures are averaged down first
FEWEST_PIXELS = 32
COARSE_PX = 5.0  # particles of so few averaged pixels are measured again in a part at full size


def measure_particles(frame: NDArray[np.uint8]) -> float:
    """Estimate the diameter of the particles from the autocorrelation of a picture.

    Particles side by side, which cannot overlap, give the radial mean of the autocorrelation a
    minimum at 0.95 of their diameter. Where there is none it falls to a half at 0.38 of the
    diameter. Both numbers are of drawn discs. The height at zero is what the next distances point
    to, since noise of single pixels adds to it; shading is taken out.

    Parameters
    ----------
    frame
        Grey levels without the data bar, (height, width).

    Returns
    -------
    float
        Diameter in pixels; NaN of a picture that is too small or shows nothing.
    """
    factor = max(1, -(-max(frame.shape) // LARGEST_EDGE_PX))
    height, width = (edge // factor * factor for edge in frame.shape)
    if min(height, width) < FEWEST_PIXELS * factor:
        return float("nan")
    blocks = frame[:height, :width].reshape(height // factor, factor, width // factor, factor)
    size = _find_size(_correlate(blocks.mean(axis=(1, 3), dtype=np.float32)))
    if factor > 1 and size < COARSE_PX:
        top, left = ((edge - min(edge, LARGEST_EDGE_PX)) // 2 for edge in (height, width))
        part = frame[top : top + LARGEST_EDGE_PX, left : left + LARGEST_EDGE_PX]
        return _find_size(_correlate(part.astype(np.float32)))
    return size * factor


def _correlate(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the radial mean of the autocorrelation, by distance in pixels."""
    from scipy import fft, ndimage

    edge = min(values.shape) // 2
    window = max(3, int(min(values.shape) * SHADING_SHARE))
    shading = ndimage.uniform_filter(ndimage.uniform_filter(values, window), window)
    values = values - shading
    values -= values.mean()
    size = [fft.next_fast_len(2 * length, real=True) for length in values.shape]
    correlation = fft.irfft2(np.abs(fft.rfft2(values, s=size)) ** 2, s=size)
    rows, columns = np.arange(-edge, edge + 1)[:, None], np.arange(-edge, edge + 1)[None]
    overlap = (values.shape[0] - np.abs(rows)) * (values.shape[1] - np.abs(columns))
    near = correlation[rows, columns] / overlap
    distance = np.rint(np.hypot(rows, columns)).astype(int).ravel()
    counts = np.bincount(distance)[: edge + 1]
    return np.asarray(np.bincount(distance, near.ravel())[: edge + 1] / counts)


def _find_size(profile: NDArray[np.float64]) -> float:
    if not np.isfinite(profile).all() or profile[0] <= 0 or len(profile) < 8:
        return float("nan")
    start = min(float(profile[0]), float(2 * profile[1] - profile[2]))
    below = np.flatnonzero(profile <= start / 2)
    if start <= 0 or not len(below) or below[0] == 0:
        return float("nan")
    after = int(below[0])
    high, low = profile[after - 1], profile[after]
    half = after - 1 + float((high - start / 2) / (high - low)) if high > low else float(after)
    lowest = _find_minimum(profile / start, half)
    return half / HALF_AT if lowest is None else lowest / LOWEST_AT


def _find_minimum(profile: NDArray[np.float64], half: float) -> float | None:
    """Distance of the first minimum behind which the profile rises again."""
    first, last = int(np.ceil(half)), min(int(LOWEST_WITHIN * half), len(profile) - 2)
    for place in range(first, last + 1):
        reach = max(2, place // 4)
        before = profile[max(first, place - reach) : place]
        after = profile[place + 1 : place + 1 + 2 * reach]
        is_lowest = profile[place] <= min(
            before.min(initial=np.inf), after[:reach].min(initial=np.inf)
        )
        if is_lowest and len(after) and after.max() >= profile[place] + RISE:
            return float(place)
    return None


def summarise_sizes(sizes_px: Sequence[float]) -> tuple[float, float, float]:
    """Return median, lower and upper quartile of diameters; NaN if there are none."""
    known = np.asarray([size for size in sizes_px if np.isfinite(size)])
    if not len(known):
        return (float("nan"),) * 3
    low, middle, high = np.percentile(known, [25, 50, 75])
    return float(middle), float(low), float(high)
