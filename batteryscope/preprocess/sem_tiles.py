"""Square tiles of SEM top views: at random for training, on a grid for judging."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batteryscope.config.preprocess import SemTilesSettings, SemWholeSettings
from batteryscope.preprocess.quality import measure_local_sd
from batteryscope.preprocess.tile_batch import TileBatch, UnusablePictureError
from batteryscope.preprocess.tiling import draw_random_tiles, place_grid_tiles, resize_tile
from batteryscope.readers.data_bar import measure_data_bar

MAX_ATTEMPTS = 10  # per random tile; then this picture is taken to be mostly empty
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


def cut_sem_tiles(
    pixels: NDArray[np.uint8],
    record: Mapping[str, Any],
    settings: SemTilesSettings,
    n_random: int = 0,
    rng: np.random.Generator | None = None,
) -> TileBatch:
    """Cut tiles that do not touch the data bar and show some coating.

    A :class:`~batteryscope.preprocess.tile_batch.Preprocessor`. Of the record ``data_bar_px`` is
    taken as a hint if present; the settings that count training tiles are not used here.
    A random tile without coating is drawn again, at most ten times.

    Raises
    ------
    UnusablePictureError
        ``wrong_size``: the frame without its data bar is smaller than a tile.
        ``empty``: no tile of the grid shows coating.
    """
    bar_px = measure_data_bar(pixels, record, settings.data_bar)
    height, width = pixels.shape[0] - bar_px, pixels.shape[1]
    largest = settings.largest_crop_px
    if min(height, width) < largest:
        key = "crop_px" if largest == settings.crop_px else "grid_crops_px"
        raise UnusablePictureError(
            "wrong_size",
            f"without its data bar of {bar_px} rows it has {width}×{height} px, smaller than "
            f"preprocess.{key} {largest}; choose a smaller {key} or leave the picture out.",
        )
    rows: list[tuple[str, int, int, int, float, bool]] = []
    tiles: list[NDArray[np.uint8]] = []

    def judge(y: int, x: int, crop: int) -> tuple[NDArray[np.uint8], float, bool]:
        tile = pixels[y : y + crop, x : x + crop]
        local_sd = measure_local_sd(tile, settings.block_px)
        return tile, local_sd, local_sd >= settings.min_local_sd

    def keep(kind: str, y: int, x: int, tile: Any, local_sd: float, used: bool) -> None:
        rows.append((kind, x, y, len(tile), local_sd, used))
        if used:
            tiles.append(resize_tile(tile, settings.input_px))

    for _ in range(n_random):
        if rng is None:
            raise ValueError("random tiles need a random generator")
        for _attempt in range(MAX_ATTEMPTS):
            y, x = map(int, draw_random_tiles(height, width, settings.crop_px, 1, rng)[0])
            tile, local_sd, used = judge(y, x, settings.crop_px)
            if used:
                break
        keep("random", y, x, tile, local_sd, used)
    for crop in settings.judging_crops_px:
        for y, x in place_grid_tiles(height, width, crop, settings.grid_tiles).tolist():
            keep("grid", y, x, *judge(y, x, crop))
    judged = rows[n_random:]
    if not any(used for *_, used in judged):
        raise UnusablePictureError(
            "empty",
            f"none of the {len(judged)} grid tiles shows coating: the highest local standard "
            f"deviation is {max(local_sd for *_, local_sd, _ in judged):.1f} grey levels, below "
            f"preprocess.min_local_sd {settings.min_local_sd:g}.",
        )
    columns = ("kind", "x_px", "y_px", "crop_px", "local_sd", "used")
    places = dict(zip(columns, zip(*rows, strict=True), strict=True))
    return TileBatch(np.stack(tiles), places, bar_px)
