"""The same test images under every arm: where each looks, and how much of it is on a mask."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from batteryscope.config.evaluate import ExplainSettings
from batteryscope.explain.arm import attribute_chosen
from batteryscope.explain.attribution import measure_share
from batteryscope.explain.overlay import blend
from batteryscope.explain.select import PLACE
from batteryscope.readers.mask import read_mask


def cut_coverage(
    mask: NDArray[np.bool_], x_px: int, y_px: int, crop_px: int, crop_height_px: int, input_px: int
) -> NDArray[np.float32]:
    """Cut the part of a mask that a tile shows, at the tile's resolution.

    Parameters
    ----------
    mask : (height, width) bool array
        Mask of the whole image.
    x_px, y_px, crop_px, crop_height_px
        The tile's upper left corner, width and height in the image.
    input_px
        Edge of the tile as the network sees it.

    Returns
    -------
    (input_px, input_px) float32 array
        Share of every pixel that the mask covers, in [0, 1].
    """
    part = mask[y_px : y_px + crop_height_px, x_px : x_px + crop_px].astype(np.float32)
    picture = Image.fromarray(part).resize((input_px, input_px), Image.Resampling.BOX)
    return np.asarray(picture, dtype=np.float32)


def compare_with_mask(
    attribution: NDArray[np.floating], coverage: NDArray[np.floating]
) -> dict[str, float]:
    """Relate the attribution on a mask to the mask's size.

    Returns
    -------
    dict
        ``share`` of the attribution on the mask, ``area`` of the mask (both in [0, 1]) and
        ``preference``, their ratio: 1 is indifference. NaN where the map is zero, or where
        the tile shows nothing of the mask or nothing else.
    """
    area = float(np.mean(coverage))
    share = measure_share(attribution, coverage) if 0 < area < 1 else float("nan")
    return {"share": share, "area": area, "preference": share / area if area > 0 else float("nan")}


SAME_TILES_NAME = "same_tiles.csv"
COLUMNS = [
    "sample_id", "tile", "repeat", "fold", "y_true", "y_pred", "confidence", *PLACE,
    "share", "area", "preference", "file",
]  # fmt: skip


def explain_same_tiles(
    chosen: pd.DataFrame,
    fits: Mapping[tuple[int, int], Path],
    tiles: NDArray[np.uint8],
    manifest: pd.DataFrame,
    settings: ExplainSettings,
    masks: Path | None = None,
) -> tuple[pd.DataFrame, dict[str, bytes]]:
    """Attribute the predicted class of chosen tiles and measure the maps on the masks.

    Parameters
    ----------
    chosen
        Table of :func:`batteryscope.explain.select.choose_same_tiles`.
    fits
        Folder of each fit by (repeat, fold).
    tiles : (n, H, W) uint8 array
        The tile store.
    manifest
        ``path, width_px, height_px`` by ``sample_id``.
    settings
        ``same_images`` pictures are drawn, one tile of each; ``method`` decides the map.
    masks
        Folder of the masks; an image may lack one.

    Returns
    -------
    table : DataFrame
        One row per tile in the order of ``chosen`` with ``share, area, preference`` (see
        :func:`compare_with_mask`; NaN without a mask) and ``file``, the name of its picture
        ("" if it is measured only).
    pictures : dict
        File name → PNG of (H, W, 3): the tile with the map over it.

    Raises
    ------
    InputError
        A mask cannot be read or has another size than its image, or a fit is missing.
    """
    shown = dict.fromkeys(chosen["sample_id"])
    shown = {name: f"same_{i:02d}.png" for i, name in enumerate(shown) if i < settings.same_images}
    known: dict[str, NDArray[np.bool_] | None] = {}
    rows: dict[int, dict[str, Any]] = {}
    pictures: dict[str, bytes] = {}
    first_tiles = set(chosen.drop_duplicates("sample_id")["tile"])
    for row, tile, maps in attribute_chosen(chosen, fits, tiles, settings):
        name = row["sample_id"]
        if masks is not None and name not in known:
            record = manifest.loc[name]
            shape = int(record["height_px"]), int(record["width_px"])
            known[name] = read_mask(masks, str(record["path"]), shape)
        fine = maps.grad_cam if maps.guided_grad_cam is None else maps.guided_grad_cam
        values = dict.fromkeys(("share", "area", "preference"), float("nan"))
        if (mask := known.get(name)) is not None:
            place = {key: int(row[key]) for key in PLACE}
            part = cut_coverage(mask, **place, input_px=tile.shape[-1])
            values = compare_with_mask(fine[0], part)
        file = shown.get(name, "") if row["tile"] in first_tiles else ""
        if file:
            pictures[file] = _encode(blend(tile, fine[0]))
        rows[int(row["tile"])] = {**{str(k): v for k, v in row.items()}, **values, "file": file}
    table = pd.DataFrame([rows[tile] for tile in chosen["tile"]], columns=COLUMNS)
    return table, pictures


def _encode(picture: NDArray[np.float64]) -> bytes:
    """PNG of an (H, W, 3) picture in [0, 1]; equal pictures give equal bytes."""
    png = io.BytesIO()
    Image.fromarray(np.round(255 * picture).astype(np.uint8)).save(png, format="PNG")
    return png.getvalue()
