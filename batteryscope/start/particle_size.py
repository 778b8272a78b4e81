"""How large the particles in a picture are, without finding a single one of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Of a disc the autocorrelation, which is the area that two copies share, falls to a half at 0.404
# of its diameter; of smoothed discs that cover 5 to 50 % of the plane at 0.3 to 0.45.
HALF_AT = 0.41
# Discs that keep out of one another's way: 0.9 to 1.0 where they cover 5 to 50 % of the plane.
LOWEST_AT = 0.95
RISE = 0.012  # of the height at zero, behind a minimum that counts
CLEARLY_LOW = -0.04  # of the height at zero
LOWEST_WITHIN = 6.0  # half distances
SMOOTHED = 0.5  # half distances; the grain of single particles and the noise of pixels go
SHADING_SHARE = 1 / 4  # of the shorter edge; what is wider is shading or the gap between clusters
LARGEST_EDGE_PX = 640  # larger pictures are averaged down first
FEWEST_PIXELS = 32
COARSE_PX = 5.0  # particles of so few averaged pixels are measured again in a part at full size


def measure_particles(frame: NDArray[np.uint8]) -> float:
    """Estimate the diameter of the particles from the autocorrelation of a picture.

    Particles side by side, which cannot overlap, give the radial mean of the autocorrelation a
    minimum at 0.95 of their diameter. Where there is none it falls to a half at 0.41 of the
    diameter. Both numbers are of drawn discs. Unless the minimum is clear, what is finer than half
    of the half distance is smoothed away before, since noise and the grain of the particles are
    correlated over less than a particle; shading is taken out.

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
    size = _measure(blocks.mean(axis=(1, 3), dtype=np.float32))
    if factor > 1 and size < COARSE_PX:
        top, left = ((edge - min(edge, LARGEST_EDGE_PX)) // 2 for edge in (height, width))
        part = frame[top : top + LARGEST_EDGE_PX, left : left + LARGEST_EDGE_PX]
        return _measure(part.astype(np.float32))
    return size * factor


def _measure(values: NDArray[np.float32]) -> float:
    from scipy import fft, ndimage

    window = max(3, int(min(values.shape) * SHADING_SHARE))
    shading = ndimage.uniform_filter(ndimage.uniform_filter(values, window), window)
    values = values - shading
    values -= values.mean()
    size = [fft.next_fast_len(2 * length, real=True) for length in values.shape]
    power = np.abs(fft.rfft2(values, s=size)) ** 2
    profile = _average(fft.irfft2(power, s=size), values.shape)
    half = _find_half(profile)
    if not np.isfinite(half):
        return half
    lowest = _find_minimum(profile / profile[0], half)
    if lowest is not None and profile[int(lowest)] <= CLEARLY_LOW * profile[0]:
        return lowest / LOWEST_AT  # nothing finer than the particles hides it
    frequency = np.hypot(fft.fftfreq(size[0])[:, None], fft.rfftfreq(size[1])[None])
    power *= np.exp(-((2 * np.pi * SMOOTHED * half * frequency) ** 2)).astype(np.float32)
    profile = _average(fft.irfft2(power, s=size), values.shape)
    half = _find_half(profile)
    lowest = _find_minimum(profile / profile[0], half) if np.isfinite(half) else None
    return half / HALF_AT if lowest is None else lowest / LOWEST_AT


def _average(correlation: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the radial mean of an autocorrelation, by distance in pixels."""
    edge = min(shape) // 2
    rows, columns = np.arange(-edge, edge + 1)[:, None], np.arange(-edge, edge + 1)[None]
    overlap = (shape[0] - np.abs(rows)) * (shape[1] - np.abs(columns))
    near = correlation[rows, columns] / overlap
    distance = np.rint(np.hypot(rows, columns)).astype(int).ravel()
    counts = np.bincount(distance)[: edge + 1]
    return np.asarray(np.bincount(distance, near.ravel())[: edge + 1] / counts)


def _find_half(profile: NDArray[np.float64]) -> float:
    """Distance at which a profile has fallen to half of what the next distances let expect at 0."""
    if not np.isfinite(profile).all() or profile[0] <= 0 or len(profile) < 8:
        return float("nan")
    start = min(float(profile[0]), float(2 * profile[1] - profile[2]))
    below = np.flatnonzero(profile <= start / 2)
    if start <= 0 or not len(below) or below[0] == 0:
        return float("nan")
    after = int(below[0])
    high, low = profile[after - 1], profile[after]
    return after - 1 + float((high - start / 2) / (high - low)) if high > low else float(after)


def _find_minimum(profile: NDArray[np.float64], half: float) -> float | None:
    """Distance of the first minimum behind which the profile rises again."""
    first, last = int(np.ceil(half)), min(int(LOWEST_WITHIN * half), len(profile) - 2)
    for place in range(first, last + 1):
        reach = max(2, place // 4)
        before = profile[max(first, place - reach) : place].min(initial=np.inf)
        after = profile[place + 1 : place + 1 + 2 * reach]
        lowest = min(before, after[:reach].min(initial=np.inf))
        if profile[place] <= lowest and len(after) and after.max() >= profile[place] + RISE:
            return float(place)
    return None


def summarise_sizes(sizes_px: Sequence[float]) -> tuple[float, float, float]:
    """Return median, lower and upper quartile of diameters; NaN if there are none."""
    known = np.asarray([size for size in sizes_px if np.isfinite(size)])
    if not len(known):
        return (float("nan"),) * 3
    low, middle, high = np.percentile(known, [25, 50, 75])
    return float(middle), float(low), float(high)
