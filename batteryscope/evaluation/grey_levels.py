"""Grey-level statistics of whole frames: what a picture tells without any shape."""

from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.command_line import show_progress
from batteryscope.errors import InputError
from batteryscope.preprocess.data_bar import find_data_bar
from batteryscope.readers.registry import read_picture

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


def measure_grey_levels(pixels: NDArray[np.generic]) -> dict[str, float]:
    """Describe the grey levels of a frame, ignoring where they are.

    Parameters
    ----------
    pixels
        (height, width), data bar removed, any grey scale.

    Returns
    -------
    dict
        ``mean, sd, skewness, kurtosis`` (excess) and ``percentile_01`` … ``percentile_99``.
        Skewness and kurtosis of a uniform frame are 0.

    Raises
    ------
    InputError
        If there are no pixels.
    """
    values = np.asarray(pixels)
    if values.size == 0:
        raise InputError("A frame without pixels has no grey levels; check its data bar height.")
    if values.dtype == np.uint8:
        # 256 levels with counts hold all that is asked for, at a twentieth of the time.
        counts = np.bincount(values.ravel(), minlength=256)
        levels = np.arange(256, dtype=np.float64)
    else:
        levels, counts = np.unique(values.astype(np.float64), return_counts=True)
    shares = counts / counts.sum()
    mean = float(shares @ levels)
    sd = float(np.sqrt(shares @ (levels - mean) ** 2))
    scores = (levels - mean) / sd if sd > 0 else np.zeros_like(levels)
    cumulated = np.cumsum(counts)
    # The smallest level that at least this share of the pixels does not exceed.
    ranks = np.ceil(np.asarray(PERCENTILES) / 100 * cumulated[-1])
    percentiles = levels[np.searchsorted(cumulated, ranks)]
    return {
        "mean": mean,
        "sd": sd,
        "skewness": float(shares @ scores**3),
        "kurtosis": float(shares @ scores**4) - 3.0 if sd > 0 else 0.0,
        **{f"percentile_{p:02d}": float(v) for p, v in zip(PERCENTILES, percentiles, strict=True)},
    }


def measure_frames(
    manifest: pd.DataFrame, dataset: Path, max_pixels: int, threads: int = 2
) -> pd.DataFrame:
    """Measure the grey levels of every image of a manifest, data bars removed.

    Parameters
    ----------
    manifest
        Manifest with ``sample_id, path, data_bar_px``.
    dataset
        Folder that the paths are relative to.
    max_pixels
        Limit for the size of an image.
    threads
        Images that are decoded at a time; every image is decoded once.

    Returns
    -------
    DataFrame
        One row per sample in the order of the manifest, indexed by ``sample_id``.

    Raises
    ------
    InputError
        If an image of the manifest cannot be read any more.
    """
    columns = ["sample_id", "path", *[c for c in ["data_bar_px"] if c in manifest.columns]]
    records: list[dict[Hashable, Any]] = manifest[columns].to_dict("records")

    def measure(record: dict[Hashable, Any]) -> dict[str, float]:
        stated = record.get("data_bar_px")
        pixels = read_picture(dataset / str(record["path"]), max_pixels=max_pixels).pixels_8bit
        bar_px = find_data_bar(pixels, None if pd.isna(stated) else int(stated))
        return measure_grey_levels(pixels[: len(pixels) - bar_px])

    with ThreadPoolExecutor(max_workers=threads) as pool:
        rows = list(
            show_progress(
                pool.map(measure, records), "measuring grey levels", len(records), unit="image"
            )
        )
    index = pd.Index([record["sample_id"] for record in records], name="sample_id")
    return pd.DataFrame(rows, index=index)
