"""Thumbnails of all images of a data set, and the pairs that show the same place."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.command_line import show_progress
from batteryscope.ordered_threads import map_in_order
from batteryscope.preprocess.data_bar import find_data_bar
from batteryscope.readers.picture import PictureError
from batteryscope.readers.registry import read_picture
from batteryscope.splits.near_duplicates import find_overlaps, make_thumbnail

log = logging.getLogger("batteryscope")


def compare_images(
    manifest: pd.DataFrame, root: Path, max_pixels: int
) -> tuple[pd.DataFrame, list[str]]:
    """Find the images of a data set that show the same place.

    Parameters
    ----------
    manifest
        Sample table: ``sample_id``, ``path``, ``data_bar_px``.
    root
        Folder of the data set.
    max_pixels
        Larger images are not compared.

    Returns
    -------
    pairs
        From :func:`~batteryscope.splits.near_duplicates.find_overlaps`.
    not_compared
        Paths of images that could not be read.
    """
    records = manifest.sort_values("sample_id").to_dict("records")

    def read(record: dict[Any, Any]) -> NDArray[np.uint8] | PictureError:
        try:
            pixels = read_picture(root / record["path"], max_pixels=max_pixels).pixels_8bit
        except PictureError as error:
            return error
        stated = record["data_bar_px"]
        bar_px = find_data_bar(pixels, None if pd.isna(stated) else int(stated))
        return make_thumbnail(pixels, bar_px)

    thumbnails: list[NDArray[np.uint8]] = []
    sample_ids: list[str] = []
    not_compared: list[str] = []
    results = show_progress(map_in_order(read, records), "Comparing images", len(records), "image")
    for record, result in zip(records, results, strict=True):
        if isinstance(result, PictureError):
            log.warning("%s (not compared with the other images)", result)
            not_compared.append(record["path"])
        else:
            thumbnails.append(result)
            sample_ids.append(record["sample_id"])
    return find_overlaps(thumbnails, sample_ids), not_compared
