"""Whole SEM top views without their data bar, one tile each."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batteryscope.config.preprocess import SemWholeSettings
from batteryscope.preprocess.quality import measure_local_sd
from batteryscope.preprocess.tile_batch import TileBatch, UnusablePictureError
from batteryscope.preprocess.tiling import place_grid_tiles, resize_tile
from batteryscope.readers.data_bar import measure_data_bar

# Windows in which coating is looked for: a quarter of the shorter edge, side by side.
WINDOWS_PER_EDGE, MOST_WINDOWS = 4, 64


def shrink_sem_frame(
    pixels: NDArray[np.uint8],
    record: Mapping[str, Any],
    settings: SemWholeSettings,
    n_random: int = 0,
    rng: np.random.Generator | None = None,
) -> TileBatch:
    """Resize what a frame shows above its data bar to a square tile that trains and judges.

    A :class:`~batteryscope.preprocess.tile_batch.Preprocessor`. Of the record ``data_bar_px`` is
    taken as a hint if present; ``n_random`` and ``rng`` are not used. ``local_sd`` is that of the
    window of the frame that shows most.

    Raises
    ------
    UnusablePictureError
        ``wrong_size``: the data bar leaves nothing of the frame. ``empty``: no window of it shows
        coating.
    """
    bar_px = measure_data_bar(pixels, record, settings.data_bar)
    height, width = pixels.shape[0] - bar_px, pixels.shape[1]
    if height < 1:
        raise UnusablePictureError(
            "wrong_size",
            f"its data bar of {bar_px} rows leaves nothing of {width}×{pixels.shape[0]} px; lower "
            "preprocess.data_bar or leave the picture out.",
        )
    shown = pixels[:height]
    local_sd = measure_richest_window(shown, settings.block_px)
    if local_sd < settings.min_local_sd:
        raise UnusablePictureError(
            "empty",
            f"no part of the frame shows coating: the highest local standard deviation is "
            f"{local_sd:.1f} grey levels, below preprocess.min_local_sd "
            f"{settings.min_local_sd:g}.",
        )
    size = {"crop_px": width, "crop_height_px": height}
    row = {"kind": "whole", "x_px": 0, "y_px": 0, **size, "local_sd": local_sd, "used": True}
    columns = {name: [value] for name, value in row.items()}
    return TileBatch(resize_tile(shown, settings.input_px)[None], columns, bar_px)


def measure_richest_window(pixels: NDArray[np.uint8], block_px: int) -> float:
    """Return the highest median local standard deviation of square windows, in grey levels of 255.

    A window is a quarter of the shorter edge, but no less than a block.
    """
    height, width = pixels.shape
    edge = min(height, width, max(block_px, min(height, width) // WINDOWS_PER_EDGE))
    corners = place_grid_tiles(height, width, edge, MOST_WINDOWS)
    return max(
        measure_local_sd(pixels[y : y + edge, x : x + edge], block_px) for y, x in corners.tolist()
    )
