"""Where tiles lie in a frame, and how they get the size of the network's input."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batteryscope.core.pixel_kernels import WEIGHT_BITS, mix_rows, transpose

CUBIC_SLOPE = -0.5  # of the kernel at distance 1 (Keys 1981), Pillow's choice


def draw_random_tiles(
    height_px: int, width_px: int, crop_px: int, count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw upper left corners, all positions inside the frame being equally likely.

    Parameters
    ----------
    height_px, width_px
        Usable part of the frame, at least ``crop_px`` each.
    crop_px
        Edge of a tile.
    count
        Number of tiles.
    rng
        Source of the positions.

    Returns
    -------
    ndarray of int64
        (count, 2): y, x in pixels.
    """
    highest = np.array([height_px - crop_px, width_px - crop_px])
    return rng.integers(0, highest + 1, size=(count, 2), dtype=np.int64)


def place_grid_tiles(height_px: int, width_px: int, crop_px: int, count: int) -> NDArray[np.int64]:
    """Place evenly spaced tiles that reach the edges of the frame.

    Of all grids with at most ``count`` tiles the one with the smallest distances between
    neighbours is taken, so that its shape follows that of the frame. A direction with a
    single row of tiles has it in the middle.

    Parameters
    ----------
    height_px, width_px
        Usable part of the frame, at least ``crop_px`` each.
    crop_px
        Edge of a tile.
    count
        Largest number of tiles; it may be less where tiles would coincide.

    Returns
    -------
    ndarray of int64
        (n, 2): y, x in pixels of the upper left corners, row after row.
    """
    free_y, free_x = height_px - crop_px, width_px - crop_px

    def measure_step(free: int, n: int) -> float:
        return free / (n - 1) if n > 1 else free and free + float(crop_px)

    best = (np.inf, np.inf, 1, 1)
    for n_rows in range(1, min(count, free_y + 1) + 1):
        n_columns = min(count // n_rows, free_x + 1)
        steps = measure_step(free_y, n_rows), measure_step(free_x, n_columns)
        best = min(best, (max(steps), sum(steps), n_rows, n_columns))
    rows, columns = _spread(free_y, best[2]), _spread(free_x, best[3])
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)


def _spread(free: int, n: int) -> NDArray[np.int64]:
    if n == 1:
        return np.array([free // 2], dtype=np.int64)
    return np.round(np.linspace(0, free, n)).astype(np.int64)


def resize_tile(tile: NDArray[np.uint8], input_px: int) -> NDArray[np.uint8]:
    """Resize a tile to (input_px, input_px) by bicubic interpolation.

    The grey levels are exactly Pillow's, which widens the kernel when it shrinks, so that fine
    texture is averaged instead of turned into patterns that are not there. Square tiles take a
    third of Pillow's time.
    """
    if tile.shape == (input_px, input_px):
        return tile
    if tile.shape[0] != tile.shape[1]:  # Pillow's order of directions depends on the shape
        picture = Image.fromarray(np.ascontiguousarray(tile))
        return np.asarray(picture.resize((input_px, input_px), Image.Resampling.BICUBIC))
    first, weights = _find_weights(len(tile), input_px)
    narrow = mix_rows(transpose(tile), first, weights)
    return mix_rows(transpose(narrow), first, weights)


@lru_cache(maxsize=64)
def _find_weights(old_px: int, new_px: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """First pixel and integer weights of every new one: Pillow's ``precompute_coeffs``."""
    scale = old_px / new_px
    width = max(scale, 1.0)
    reach = 2.0 * width  # of Keys's cubic kernel
    n_taps = int(np.ceil(reach)) * 2 + 1
    centres = (np.arange(new_px) + 0.5) * scale
    first = np.maximum((centres - reach + 0.5).astype(np.int32), 0)
    end = np.minimum((centres + reach + 0.5).astype(np.int32), old_px)
    taps = np.arange(n_taps)
    distance = np.abs((taps + first[:, None] - centres[:, None] + 0.5) / width)
    near = ((CUBIC_SLOPE + 2) * distance - (CUBIC_SLOPE + 3)) * distance * distance + 1
    far = (((distance - 5) * distance + 8) * distance - 4) * CUBIC_SLOPE
    weights = np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
    weights[taps >= (end - first)[:, None]] = 0.0
    weights = weights / weights.sum(axis=1, keepdims=True) * (1 << WEIGHT_BITS)
    return first, np.trunc(weights + np.copysign(0.5, weights)).astype(np.int32)
