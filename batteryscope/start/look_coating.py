"""Whether pictures show coatings in cross-section, and how much of it can be cropped."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.config.preprocess import CoatingCropSettings
from batteryscope.preprocess.coating_crop import cut_mosaic, locate_coating
from batteryscope.preprocess.tile_batch import UnusablePictureError
from batteryscope.readers.picture import PictureError
from batteryscope.readers.registry import read_picture

MOST_PICTURES = 10
FOIL_SHARE = 0.7  # of the pictures that are looked at
MAX_PIXELS = 200_000_000


def measure_coatings(folder: Path, manifest: pd.DataFrame) -> Mapping[str, Any]:
    """Look for foil and coating in some pictures, spread over all classes.

    Returns
    -------
    dict
        ``pictures`` that were looked at, ``with_foil``, and of these ``thickness_px`` (lowest and
        highest), ``height_px`` and ``width_px`` of the smallest usable rectangle, and
        ``piece_px``, the narrowest picture.
    """
    order = manifest.sort_values(["class", "path"])
    step = max(1, len(order) // MOST_PICTURES)
    paths = order["path"].iloc[::step][:MOST_PICTURES]
    smallest = CoatingCropSettings(crop_height_px=16, crop_width_px=16)
    found: list[tuple[float, int, int, int]] = []
    for path in paths:
        try:
            pixels = read_picture(folder / path, max_pixels=MAX_PIXELS).pixels_8bit
            left, right = cut_mosaic(pixels.shape[1], smallest.mosaic_width_px)[0]
            located = locate_coating(np.ascontiguousarray(pixels[:, left:right]), smallest)
        except (UnusablePictureError, PictureError):
            continue
        rectangle = located.rectangle
        found.append(
            (located.coating.thickness_px, rectangle.height, rectangle.width, right - left)
        )
    told: dict[str, Any] = {"pictures": len(paths), "with_foil": len(found)}
    if found:
        thickness, heights, widths, pieces = zip(*found, strict=True)
        told |= {
            "thickness_px": [round(min(thickness)), round(max(thickness))],
            "height_px": min(heights), "width_px": min(widths), "piece_px": min(pieces),
        }  # fmt: skip
    return told


def shows_coatings(found: Mapping[str, Any]) -> bool:
    """Whether most of the pictures that were looked at show a foil with coating."""
    return bool(found["with_foil"] >= FOIL_SHARE * found["pictures"] > 0)
