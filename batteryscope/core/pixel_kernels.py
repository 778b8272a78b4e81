"""Compiled loops over the pixels of tiles, data bars and feature maps.

The inner loops run along rows, with 32-bit integers, so that the compiler makes vector instructions
of them.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
STRETCH_PX = 256  # pixels that are summed in single precision
WEIGHT_BITS = 22  # Pillow's precision of the weights for pictures of 8 bits


@njit(cache=True, nogil=True)
def mix_rows(pixels: Grey, first: NDArray[np.int32], weights: NDArray[np.int32]) -> Grey:
    """Mix rows with integer weights.

    Parameters
    ----------
    pixels
        Grey levels, (height, width).
    first : (n,) array
        The first row that enters each new one.
    weights : (n, n_taps) array
        The weights of this row and of those below it, in units of 2⁻²². Rows beyond the last
        one are left out.

    Returns
    -------
    (n, width) uint8 array
        Rounded, and held within 0 to 255.
    """
    height, width = pixels.shape
    n, n_taps = weights.shape
    result = np.empty((n, width), np.uint8)
    total = np.empty(width, np.int32)
    for i in range(n):
        total[:] = 1 << (WEIGHT_BITS - 1)
        for tap in range(min(n_taps, height - first[i])):
            weight = weights[i, tap]
            row = pixels[first[i] + tap]
            for x in range(width):
                total[x] += weight * np.int32(row[x])
        mixed = result[i]
        for x in range(width):
            mixed[x] = min(max(total[x] >> WEIGHT_BITS, 0), 255)
    return result


@njit(cache=True, nogil=True)
def transpose(pixels: Grey) -> Grey:
    """Return the transposed picture in an array of its own; in strips, which stay in the cache."""
    height, width = pixels.shape
    result = np.empty((width, height), np.uint8)
    for top in range(0, height, 64):
        for x in range(width):
            row = result[x]
            for y in range(top, min(top + 64, height)):
                row[y] = pixels[y, x]
    return result


@njit(cache=True, nogil=True)
def find_median_block_sd(pixels: Grey, edge_y: int, edge_x: int) -> float:
    """Return the median of the standard deviations (ddof 0) of all whole blocks, at least one."""
    n_rows, n_columns = pixels.shape[0] // edge_y, pixels.shape[1] // edge_x
    size = edge_y * edge_x
    spreads = np.empty(n_rows * n_columns)
    width = n_columns * edge_x
    sums, squares = np.empty(width, np.int32), np.empty(width, np.int32)
    for block_row in range(n_rows):
        sums[:] = 0
        squares[:] = 0
        for y in range(block_row * edge_y, (block_row + 1) * edge_y):
            row = pixels[y]
            for x in range(width):
                value = np.int32(row[x])
                sums[x] += value
                squares[x] += value * value
        for column in range(n_columns):
            total, total_squares = 0.0, 0.0
            for x in range(column * edge_x, (column + 1) * edge_x):
                total += sums[x]
                total_squares += squares[x]
            spread = np.sqrt(size * total_squares - total * total) / size
            spreads[block_row * n_columns + column] = spread
    return float(np.median(spreads))


@njit(cache=True, nogil=True)
def count_by_distance(
    pixels: Grey, level: int, near: int, far: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count in every row the pixels at most ``near`` and at least ``far`` from a grey level."""
    height, width = pixels.shape
    n_near, n_far = np.zeros(height, np.int64), np.zeros(height, np.int64)
    for y in range(height):
        row = pixels[y]
        nears, fars = np.int32(0), np.int32(0)
        for x in range(width):
            distance = abs(np.int32(row[x]) - np.int32(level))
            nears += np.int32(distance <= near)
            fars += np.int32(distance >= far)
        n_near[y], n_far[y] = nears, fars
    return n_near, n_far


@njit(cache=True, nogil=True)
def count_near_median(pixels: Grey, step: int, near: int) -> tuple[NDArray[np.int64], int]:
    """Count in every row the pixels at most ``near`` from the row's median.

    Only every ``step``-th pixel is looked at; the second value is their number in a row.
    """
    height, width = pixels.shape
    counts = np.zeros(height, np.int64)
    n = (width + step - 1) // step
    histogram = np.empty(256, np.int64)
    for y in range(height):
        row = pixels[y]
        histogram[:] = 0
        for x in range(0, width, step):
            histogram[row[x]] += 1
        lower, upper, below = -1, -1, 0  # the two values in the middle, equal if n is odd
        for level in range(256):
            below += histogram[level]
            if lower < 0 and below > (n - 1) // 2:
                lower = level
            if below > n // 2:
                upper = level
                break
        for level in range(256):
            if abs(2 * level - lower - upper) <= 2 * near:
                counts[y] += histogram[level]
    return counts, n


@njit(cache=True, nogil=True)
def count_levels(tiles: Grey) -> NDArray[np.int64]:
    """Count the pixels of each of 256 grey levels in every row of (n, pixels); (n, 256)."""
    n, size = tiles.shape
    result = np.zeros((n, 256), np.int64)
    # Neighbours are often alike: a counter that was just written makes the next one wait.
    parts = np.empty((4, 256), np.int32)
    for i in range(n):
        tile = tiles[i]
        parts[:] = 0
        whole = size - size % 4
        for x in range(0, whole, 4):
            parts[0, tile[x]] += 1
            parts[1, tile[x + 1]] += 1
            parts[2, tile[x + 2]] += 1
            parts[3, tile[x + 3]] += 1
        for x in range(whole, size):
            parts[0, tile[x]] += 1
        for part in range(4):
            for level in range(256):
                result[i, level] += parts[part, level]
    return result


@njit(cache=True, nogil=True)
def measure_levels(
    tiles: Grey, percentiles: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return moments, (n, 2): mean and spread, and percentiles of (n, pixels), (n, n_percentiles).

    A percentile is the lowest level at or below which so many percent of the pixels lie.
    """
    counts = count_levels(tiles)
    n, size = tiles.shape
    moments, ends = np.empty((n, 2)), np.empty((n, len(percentiles)))
    for i in range(n):
        total, squares = np.int64(0), np.int64(0)
        for level in range(256):
            total += counts[i, level] * level
            squares += counts[i, level] * level * level
        mean = total / size
        moments[i, 0] = mean
        moments[i, 1] = np.sqrt(max(squares / size - mean * mean, 0.0))
        for k in range(len(percentiles)):
            level, below = 0, counts[i, 0]
            while 100 * below < percentiles[k] * size:
                level += 1
                below += counts[i, level]
            ends[i, k] = level
    return moments, ends


@njit(cache=True, nogil=True)
def sum_differences(
    planes: Grey, lags_px: NDArray[np.int64], every: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compare neighbours along every ``every``-th row and column of (n, height, width) pictures.

    Returns
    -------
    squares : (n, 2 × number of lags) array
        Mean squared difference of pixels so far apart, along rows, then along columns; lags are
        held within the picture.
    variance : (n,) array
        Of the pixels in these rows.
    """
    n, height, width = planes.shape
    n_lags = len(lags_px)
    squares, variance = np.empty((n, 2 * n_lags)), np.empty(n)
    for i in range(n):
        plane = planes[i]
        total, total_squares, count = np.int64(0), np.int64(0), 0
        for y in range(0, height, every):
            row = plane[y]
            level, square = np.int32(0), np.int32(0)
            for x in range(width):
                value = np.int32(row[x])
                level += value
                square += value * value
            total += level
            total_squares += square
            count += width
        mean = total / count
        variance[i] = total_squares / count - mean * mean
        for k in range(n_lags):
            step = min(lags_px[k], width - 1)
            along, pairs = np.int64(0), 0
            for y in range(0, height, every):
                row = plane[y]
                own = np.int32(0)
                for x in range(width - step):
                    apart = np.int32(row[x + step]) - np.int32(row[x])
                    own += apart * apart
                along += own
                pairs += width - step
            squares[i, k] = along / pairs
            step = min(lags_px[k], height - 1)
            along, pairs = np.int64(0), 0
            for y in range(height - step):
                first, second = plane[y], plane[y + step]
                own = np.int32(0)
                for x in range(0, width, every):
                    apart = np.int32(second[x]) - np.int32(first[x])
                    own += apart * apart
                along += own
                pairs += (width + every - 1) // every
            squares[i, n_lags + k] = along / pairs
    return squares, variance


# The sums may be taken in another order, which vector instructions need.
@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def summarise_channels(maps: NDArray[np.float32], smallest_variance: float) -> NDArray[np.float32]:
    """Return mean and spread of every channel of (n, pixels, channels) maps, (n, 2 channels).

    ``smallest_variance`` is added to every variance. Numbers are summed as differences to the first
    pixel, so that little is lost where a map is nearly flat, and in single precision over short
    stretches alone.
    """
    n, size, channels = maps.shape
    result = np.empty((n, 2 * channels), np.float32)
    sums, squares = np.empty(channels, np.float32), np.empty(channels, np.float32)
    totals, total_squares = np.empty(channels), np.empty(channels)
    for i in range(n):
        first = maps[i, 0]
        totals[:] = 0
        total_squares[:] = 0
        for start in range(0, size, STRETCH_PX):
            end = min(start + STRETCH_PX, size)
            whole = end - (end - start) % 4
            sums[:] = 0
            squares[:] = 0
            for y in range(start, whole, 4):  # four at once: sums are read and written less often
                a, b, c, d = maps[i, y], maps[i, y + 1], maps[i, y + 2], maps[i, y + 3]
                for j in range(channels):
                    p, q = a[j] - first[j], b[j] - first[j]
                    r, s = c[j] - first[j], d[j] - first[j]
                    sums[j] += (p + q) + (r + s)
                    squares[j] += (p * p + q * q) + (r * r + s * s)
            for y in range(whole, end):
                a = maps[i, y]
                for j in range(channels):
                    p = a[j] - first[j]
                    sums[j] += p
                    squares[j] += p * p
            for j in range(channels):
                totals[j] += sums[j]
                total_squares[j] += squares[j]
        for j in range(channels):
            mean = totals[j] / size
            variance = max(total_squares[j] / size - mean * mean, 0.0)
            result[i, j] = first[j] + mean
            result[i, channels + j] = np.sqrt(variance + smallest_variance)
    return result
