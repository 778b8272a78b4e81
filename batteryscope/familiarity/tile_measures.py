"""Grey levels and sharpness of tiles: plain numbers that tell noise, blank, inverted pictures."""

import numpy as np
from numpy.typing import NDArray

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
    counts = np.stack([np.bincount(tile, minlength=256) for tile in flat])
    shares = counts / flat.shape[1]
    levels = np.arange(256)
    mean = shares @ levels
    spread = np.sqrt(np.maximum(shares @ levels**2 - mean**2, 0))
    below = shares.cumsum(axis=1)[:, None]
    ends = (below < np.array(GREY_PERCENTILES)[:, None] / 100 - 1e-9).sum(axis=2)
    return np.column_stack([mean, spread, ends]) / 255


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
    rows = planes[:, ::EVERY_ROW].astype(np.float32)
    along = (rows, planes[:, :, ::EVERY_ROW].transpose(0, 2, 1).astype(np.float32))
    variance = np.maximum(rows.var(axis=(1, 2)), SMALLEST_SQUARE)
    columns = []
    for lines in along:
        for lag in LAGS_PX:
            step = min(lag, lines.shape[2] - 1)
            apart = (lines[:, :, step:] - lines[:, :, :-step]).reshape(len(lines), -1)
            squares = apart[:, None] @ apart[:, :, None]  # in one pass, without a copy
            columns.append(squares[:, 0, 0] / apart.shape[1])
    squares = np.maximum(np.stack(columns, axis=1), SMALLEST_SQUARE)
    return np.log(squares / (2 * variance[:, None])).astype(np.float64)
