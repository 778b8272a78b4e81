"""Looking at every image once: does it decode, what is in it, how was it taken."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.command_line import show_progress
from batteryscope.manifest.frames import FRAME_DTYPES, validate_frames
from batteryscope.manifest.measure import measure_frame
from batteryscope.manifest.schema import Reject
from batteryscope.provenance import digest_file
from batteryscope.readers.picture import AcquisitionMetadata, Picture, PictureError
from batteryscope.readers.registry import read_picture

_WORKERS = 4  # decoders release Python's lock; more workers would hold more pictures in memory


@dataclass(frozen=True)
class ImageRecord:
    """What one usable file holds.

    ``sha256`` is of the file, ``pixel_digest`` of the decoded 8-bit grey levels, which is
    the same for the same picture in another file format. ``measured`` is from
    :func:`batteryscope.manifest.measure.measure_frame`. The pixels themselves are not kept,
    so that memory stays small.
    """

    path: str
    sha256: str
    pixel_digest: str
    width_px: int
    height_px: int
    bit_depth: int
    n_pages: int
    metadata: AcquisitionMetadata
    measured: dict[str, Any]


def inspect_images(
    root: Path,
    paths: Sequence[str],
    *,
    max_pixels: int,
    expected_size_px: tuple[int, int] | None = None,
    stated_bars_px: Mapping[str, int] | None = None,
) -> list[ImageRecord | Reject]:
    """Read images in parallel; the answers have the order of ``paths``.

    Parameters
    ----------
    root
        Folder of the data set.
    paths
        POSIX paths relative to it.
    max_pixels
        Largest width × height that is decoded.
    expected_size_px
        (width, height) that every image must have; None accepts all.
    stated_bars_px
        Path → height of the data bar that the labels state; goes before what the file says.
    """
    bars_px = stated_bars_px or {}

    def inspect(path: str) -> ImageRecord | Reject:
        return _inspect_image(root, path, max_pixels, expected_size_px, bars_px.get(path))

    with ThreadPoolExecutor(_WORKERS) as pool:
        answers = pool.map(inspect, paths)
        try:
            return list(show_progress(answers, "Reading images", total=len(paths), unit="image"))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # so that Ctrl-C does not wait for the rest
            raise


def digest_pixels(picture: Picture) -> str:
    """Return a SHA-256 over size and 8-bit grey levels."""
    pixels = picture.pixels_8bit
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).reshape(-1))
    return digest.hexdigest()


def tabulate_frames(records: Iterable[ImageRecord], manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the table of frames (``frames.parquet``) of the samples of a manifest.

    Parameters
    ----------
    records
        At least one for every path of the manifest.
    manifest
        Sample table: ``sample_id`` and ``path``, sorted by ``sample_id``.
    """
    found = {record.path: record for record in records}
    rows = [
        {"sample_id": sample_id, "pixel_digest": found[path].pixel_digest} | found[path].measured
        for sample_id, path in zip(manifest["sample_id"], manifest["path"], strict=True)
    ]
    return validate_frames(pd.DataFrame(rows, columns=list(FRAME_DTYPES)).astype(FRAME_DTYPES))


def _inspect_image(
    root: Path,
    path: str,
    max_pixels: int,
    expected_size_px: tuple[int, int] | None,
    stated_bar_px: int | None,
) -> ImageRecord | Reject:
    file = root / path
    if file.exists() and not file.is_file():
        return Reject(path, "unreadable", "is no ordinary file; take it out.")
    try:
        picture = read_picture(file, max_pixels=max_pixels)
        sha256 = digest_file(file)
    except PictureError as error:
        return Reject(path, error.reason, error.detail)
    height, width = picture.pixels.shape
    if expected_size_px is not None and (width, height) != tuple(expected_size_px):
        detail = (
            f"has {width} × {height} pixels, expected_size_px says "
            f"{expected_size_px[0]} × {expected_size_px[1]}; export it again in that size."
        )
        return Reject(path, "wrong_size", detail)
    if stated_bar_px is None:
        stated_bar_px = picture.metadata.data_bar_px
    return ImageRecord(
        path=path,
        sha256=sha256,
        pixel_digest=digest_pixels(picture),
        width_px=width,
        height_px=height,
        bit_depth=picture.bit_depth,
        n_pages=picture.n_pages,
        metadata=picture.metadata,
        measured=measure_frame(picture.pixels_8bit, stated_bar_px),
    )
