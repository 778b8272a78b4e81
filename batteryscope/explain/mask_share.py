"""How much of a model's attention falls on what a mask marks, against mere chance."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batteryscope.explain.attribution import measure_share


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
