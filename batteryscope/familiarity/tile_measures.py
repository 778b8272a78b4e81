"""Grey levels and sharpness of tiles: plain numbers that tell noise, blank, inverted pictures."""

import numpy as np
from numpy.typing import NDArray

from batteryscope.core.pixel_kernels import measure_levels, sum_differences

GREY_PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
LAGS_PX = (1, 2, 4, 8)
EVERY_ROW = 4  # neighbours are compared along every fourth line: enough for a mean
SMALLEST_SQUARE = 0.25  # grey levels squared: half a level, what rounding alone does


def measure_grey_levels(tiles: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return mean, standard deviation and percentiles of (n, ...) tiles, in shares of 255.

    Returns
    -------
    (n, 2 + number of :data:`GREY_PERCENTILES`) array
    """
    flat = tiles.reshape(len(tiles), -1)
    moments, ends = measure_levels(np.ascontiguousarray(flat), np.array(GREY_PERCENTILES))
    return np.hstack([moments, ends]) / 255


def measure_sharpness(tiles: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how much grey levels differ over some pixels, relative to how much they vary at all.

    The logarithm of the mean squared difference between pixels 1, 2, 4 and 8 apart, along rows and
    along columns, over twice the variance: 0 for noise at any distance, far below for a blurred
    picture at short ones.

    Parameters
    ----------
    tiles : (n, ..., H, W) array

    Returns
    -------
    (n, 2 × number of :data:`LAGS_PX`) array
    """
    planes = tiles.reshape(len(tiles), -1, *tiles.shape[-2:])
    planes = planes[:, planes.shape[1] // 2]
    lags_px = np.array(LAGS_PX)
    squares, variance = sum_differences(np.ascontiguousarray(planes), lags_px, EVERY_ROW)
    variance = np.maximum(variance, SMALLEST_SQUARE)
    return np.log(np.maximum(squares, SMALLEST_SQUARE) / (2 * variance[:, None]))
