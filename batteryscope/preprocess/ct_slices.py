"""Slices of a scanned cell become network inputs: crop around the core, contrast, stack, unroll."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batteryscope.config.preprocess import CtSlicesSettings, find_tile_shape
from batteryscope.preprocess.can_circle import find_can
from batteryscope.preprocess.quality import measure_local_sd
from batteryscope.preprocess.tile_batch import TileBatch, UnusablePictureError
from batteryscope.preprocess.tiling import resize_tile
from batteryscope.preprocess.unroll import unroll
from batteryscope.preprocess.winding_core import find_core
from batteryscope.preprocess.winding_descriptors import measure_windings

BLOCK_PX = 16  # for the local standard deviation that the index of tiles lists
CLAHE_CLIP, CLAHE_REGIONS = 0.01, 8  # Zuiderveld 1994, defaults of scikit-image


def make_tile(
    slices: Sequence[NDArray[Any]],
    x_px: float,
    y_px: float,
    radius_px: float,
    settings: CtSlicesSettings,
    grey_range: tuple[float, float] = (0.0, 255.0),
) -> NDArray[np.uint8]:
    """Crop the same place from all slices of a stack and make it a network input.

    Parameters
    ----------
    slices
        Grey levels, each (rows, columns): z−s, z, z+s, or z alone.
    x_px, y_px, radius_px
        Centre of the windings and radius of the can in slice z.
    settings
        Size of the crop in radii of the can, contrast, unrolling.
    grey_range
        What becomes 0 and 255 with ``contrast: none``.

    Returns
    -------
    uint8 array
        (input_px, input_px) of a single slice, else (slices, input_px, input_px); with
        ``unroll_angles`` that many columns. All slices of a stack have the contrast of slice z,
        so that a change from one to the next shows.
    """
    half = settings.half_edge_radii * radius_px
    if settings.unroll:
        n_radii, n_angles = find_tile_shape(settings)
        crops = [unroll(s, x_px, y_px, 0.0, half, n_angles, n_radii) for s in slices]
    else:
        crops = [crop_square(s, x_px, y_px, half).astype(np.float32) for s in slices]
    middle = crops[len(crops) // 2]
    low, high = grey_range
    if settings.contrast != "none":
        low, high = (float(v) for v in np.percentile(middle, settings.percentiles))
    tiles = [_scale(crop, low, max(high, low + 1e-6), settings) for crop in crops]
    if not settings.unroll:
        tiles = [resize_tile(tile, settings.input_px) for tile in tiles]
    return tiles[0] if len(tiles) == 1 else np.stack(tiles)


def crop_square(pixels: NDArray[Any], x_px: float, y_px: float, half_px: float) -> NDArray[Any]:
    """Cut a square around a centre; beyond the border of the slice its edge is repeated.

    Returns
    -------
    ndarray
        Edge 2·round(half_px) + 1 (at least 3), the centre rounded to a whole pixel in the middle.
    """
    half = max(1, round(half_px))
    rows = np.clip(np.arange(-half, half + 1) + round(y_px), 0, pixels.shape[0] - 1)
    columns = np.clip(np.arange(-half, half + 1) + round(x_px), 0, pixels.shape[1] - 1)
    if rows[-1] - rows[0] == 2 * half and columns[-1] - columns[0] == 2 * half:
        return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return pixels[np.ix_(rows, columns)]


def list_stack(z: int, n_slices: int, step: int) -> list[int]:
    """Return the slices of a stack: z − step, z, z + step, or z alone with step 0.

    At the ends of the scan the nearest existing slice takes the place of a missing one.
    """
    if step == 0:
        return [z]
    return [max(0, z - step), z, min(n_slices - 1, z + step)]


def cut_ct_slice(
    pixels: NDArray[np.uint8],
    record: Mapping[str, Any],
    settings: CtSlicesSettings,
    n_random: int = 0,
    rng: np.random.Generator | None = None,
) -> TileBatch:
    """Make the tile of a single slice, whose neighbours are unknown: a scan of one slice.

    A :class:`~batteryscope.preprocess.tile_batch.Preprocessor` that does not use ``record``,
    ``n_random`` and ``rng``, since one tile serves training and judging. All slices of a stack are
    this one.

    Raises
    ------
    UnusablePictureError
        No cell is found, or no windings are seen.
    """
    can = find_can(pixels)
    if can is None:
        raise UnusablePictureError("no_cell", NO_CELL)
    core = find_core(pixels, can)
    windings = measure_windings(pixels, can)
    if windings.regularity < settings.min_regularity:
        raise UnusablePictureError("no_winding", explain_no_winding(windings.regularity, settings))
    x, y = (can.x_px, can.y_px) if core is None else (core.x_px, core.y_px)
    stack = [pixels] * len(list_stack(0, 1, settings.stack_step))
    tile = make_tile(stack, x, y, can.radius_px, settings)
    row = describe_tile(tile, x, y, can.radius_px, settings)
    return TileBatch(tile[None], {name: [value] for name, value in row.items()}, 0)


def describe_tile(
    tile: NDArray[np.uint8], x_px: float, y_px: float, radius_px: float, settings: CtSlicesSettings
) -> dict[str, Any]:
    """Return the row of a used tile for the index of the tile store."""
    half = max(1, round(settings.half_edge_radii * radius_px))
    middle = tile if tile.ndim == 2 else tile[len(tile) // 2]
    return {
        "kind": "whole",
        "x_px": round(x_px) - half,
        "y_px": round(y_px) - half,
        "crop_px": 2 * half + 1,
        "local_sd": measure_local_sd(middle, BLOCK_PX),
        "used": True,
    }


NO_CELL = (
    "no cell is found in it: nothing round that is brighter than its surroundings; "
    "choose other slices, or check that the whole can is in the picture."
)


def explain_no_winding(regularity: float, settings: CtSlicesSettings) -> str:
    """Say why a slice without visible windings is left out."""
    return (
        "no windings are seen (an end cap, or heavy damage?): their regularity is "
        f"{regularity:.3f}, below preprocess.min_regularity {settings.min_regularity:g}."
    )


def _scale(
    crop: NDArray[np.float32], low: float, high: float, settings: CtSlicesSettings
) -> NDArray[np.uint8]:
    scaled = np.clip((crop - low) / (high - low), 0.0, 1.0)
    if settings.contrast == "clahe":
        from skimage.exposure import equalize_adapthist

        region = max(8, scaled.shape[0] // CLAHE_REGIONS)
        scaled = equalize_adapthist(scaled, kernel_size=region, clip_limit=CLAHE_CLIP)
    return (scaled * 255.0 + 0.5).astype(np.uint8)
