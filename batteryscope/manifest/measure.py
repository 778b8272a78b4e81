"""Measurements on one decoded frame: data bar, grey levels, thumbnail."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batteryscope.errors import InputError
from batteryscope.manifest.frames import (
    DATA_BAR_PX,
    GREY_LEVEL_COLUMNS,
    HISTOGRAM_BINS,
    PERCENTILES,
    THUMBNAIL_PX,
)
from batteryscope.readers.data_bar import find_data_bar

NO_BAR = np.zeros(DATA_BAR_PX, np.uint8)


def measure_frame(
    pixels: NDArray[np.uint8], stated_data_bar_px: int | None = None
) -> dict[str, Any]:
    """Measure what later steps need of a frame beside its tiles.

    Parameters
    ----------
    pixels
        Grey levels, (height, width), data bar included.
    stated_data_bar_px
        Height of the data bar that labels or metadata state; see
        :func:`~batteryscope.readers.data_bar.find_data_bar`.

    Returns
    -------
    dict
        ``data_bar_px`` (found height), ``mean, sd, skewness, kurtosis`` (excess; 0 for a
        uniform frame), ``percentile_01`` … ``percentile_99``, ``thumbnail`` and ``histogram``
        (bytes), all of the frame without its data bar, and ``data_bar`` (bytes), the bar alone.

    Raises
    ------
    InputError
        If there are no pixels beside the bar.
    """
    return _measure(pixels, find_data_bar(pixels, stated_data_bar_px))


def measure_slice(pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """Measure a slice of a scan, (height, width), as :func:`measure_frame` does; it has no bar."""
    return _measure(pixels, 0)


def _measure(pixels: NDArray[np.uint8], bar_px: int) -> dict[str, Any]:
    frame, bar = np.split(pixels, [len(pixels) - bar_px])
    if frame.size == 0:
        raise InputError("A frame without pixels has no grey levels; check its data bar height.")
    counts = np.bincount(frame.ravel(), minlength=256)
    shares = counts.reshape(HISTOGRAM_BINS, -1).sum(1) / counts.sum()
    return {
        "data_bar_px": bar_px,
        **_describe_levels(counts),
        "thumbnail": make_thumbnail(frame).tobytes(),
        "data_bar": (_shrink(bar, DATA_BAR_PX) if bar_px else NO_BAR).tobytes(),
        "histogram": shares.astype(np.float32).tobytes(),
    }


def make_thumbnail(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrink a frame to the size in which frames are compared.

    Parameters
    ----------
    frame
        (height, width), without the data bar, which would make all frames of one
        microscope alike.
    """
    return _shrink(frame, THUMBNAIL_PX)


def _shrink(frame: NDArray[np.uint8], size_px: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = size_px
    picture = Image.fromarray(np.ascontiguousarray(frame))
    return np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS))


def _describe_levels(counts: NDArray[np.intp]) -> dict[str, float]:
    levels = np.arange(256, dtype=np.float64)
    shares = counts / counts.sum()
    mean = float(shares @ levels)
    sd = float(np.sqrt(shares @ (levels - mean) ** 2))
    scores = (levels - mean) / sd if sd > 0 else np.zeros_like(levels)
    skewness = float(shares @ scores**3)
    kurtosis = float(shares @ scores**4) - 3.0 if sd > 0 else 0.0
    cumulated = np.cumsum(counts)
    # The smallest level that at least this share of the pixels does not exceed.
    ranks = np.ceil(np.asarray(PERCENTILES) / 100 * cumulated[-1])
    percentiles = levels[np.searchsorted(cumulated, ranks)].tolist()
    numbers = [mean, sd, skewness, kurtosis, *percentiles]
    return dict(zip(GREY_LEVEL_COLUMNS, numbers, strict=True))
