"""Scans instead of pictures: every chosen slice becomes a sample."""

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.config.dataset import DatasetSettings, VolumeSettings
from batteryscope.core.plural import count_of
from batteryscope.core.progress import show_progress
from batteryscope.manifest.grey_scale import ScanLevels, decide_grey_ranges
from batteryscope.manifest.inspect import ImageRecord, reject_unexpected
from batteryscope.manifest.measure import measure_slice
from batteryscope.manifest.schema import Reject
from batteryscope.readers.picture import AcquisitionMetadata, PictureError
from batteryscope.readers.pixel_size import describe_unequal
from batteryscope.readers.volume import Volume, find_extremes, show_with_8_bits
from batteryscope.readers.volumes import open_volume

log = logging.getLogger("batteryscope")

SEPARATOR = "#"  # between the path of a scan and the number of a slice


def name_slice(volume: str, z: int) -> str:
    """Return the path by which a slice is known, for example ``cell_01.tif#12``."""
    return f"{volume}{SEPARATOR}{z}"


def digest_slice(pixels: NDArray[Any]) -> str:
    """Return a SHA-256 over size, type and grey levels of a slice.

    It is the same in every file format that keeps the grey levels.
    """
    digest = hashlib.sha256(f"{pixels.shape} {pixels.dtype.name}".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def inspect_volumes(
    root: Path, paths: Sequence[str], settings: DatasetSettings
) -> list[ImageRecord | Reject]:
    """Read the chosen slices of all scans once, one slice in memory at a time.

    Parameters
    ----------
    root
        Folder of the data set.
    paths
        Scans, as POSIX paths relative to it.
    settings
        Which slices; the largest size of one.

    Returns
    -------
    list
        A record per slice, its path being that of :func:`name_slice`; of a scan that cannot be
        used a Reject; and a Reject with the reason ``missing_slices`` for a scan with gaps,
        whose slices are used, or ``left_out`` for files of it that are not.
    """
    chosen = settings.slices
    answers: list[ImageRecord | Reject] = []
    seen: dict[str, ScanLevels] = {}
    orders: Counter[str] = Counter()
    # Twice over all scans, since only all of them tell the grey range of each.
    for path in show_progress(paths, "Looking at scans", total=len(paths), unit="scan"):
        try:
            volume = open_volume(root / path)
            _check_size(volume, settings.max_pixels)
            low, high = find_extremes(volume)
        except Exception as error:
            answers.append(_reject(path, error))
            continue
        instrument, bits = volume.instrument or "", volume.stated_bits
        seen[path] = ScanLevels(path, instrument, volume.dtype, low, high, bits)
        orders[volume.order] += 1
        answers += [Reject(path, "missing_slices", gap) for gap in volume.missing]
        answers += [Reject(path, "left_out", words) for words in volume.left_out]
        if edges_um := volume.size.unequal_um:
            answers.append(Reject(path, "unclear_metadata", describe_unequal(edges_um)))
    for order, n_scans in sorted(orders.items()):
        if order:
            log.info("Slices of %s are sorted by %s.", count_of(n_scans, "scan"), order)
    ranges = decide_grey_ranges(list(seen.values()), settings.bit_depth, chosen.grey_range)
    for path in show_progress(seen, "Reading scans", total=len(seen), unit="scan"):
        try:
            # All at once: half a scan, up to where it is damaged, is not what was measured.
            answers += list(_inspect_slices(open_volume(root / path), path, chosen, ranges[path]))
        except Exception as error:
            answers = [a for a in answers if a.path != path] + [_reject(path, error)]
    return answers


def _reject(path: str, error: Exception) -> Reject:
    if isinstance(error, PictureError):
        return Reject(path, error.reason, error.detail)
    return reject_unexpected(path, error)


def _check_size(volume: Volume, max_pixels: int) -> None:
    _, height, width = volume.shape
    if height * width > max_pixels:
        detail = f"its slices have {width} × {height} pixels, more than max_pixels {max_pixels}."
        raise PictureError(volume.path, "too_large", detail)


def expand_labels(labels: pd.DataFrame, records: Sequence[ImageRecord]) -> pd.DataFrame:
    """Give every slice the labels of its scan.

    Parameters
    ----------
    labels
        Labels by path of the scan.
    records
        Slices.

    Returns
    -------
    DataFrame
        Labels by path of the slice, with ``volume`` and ``slice`` (as text), and with the path of
        the scan where no ``specimen_id`` is given.
    """
    paths = [record.path for record in records]
    volumes = [path.rpartition(SEPARATOR)[0] for path in paths]
    table = labels.loc[volumes].set_axis(pd.Index(paths, name="path", dtype=object))
    known: Any = table["specimen_id"] if "specimen_id" in table else [None] * len(table)
    table["specimen_id"] = [
        name if isinstance(name, str) else volume
        for name, volume in zip(known, volumes, strict=True)
    ]
    table["volume"] = volumes
    table["slice"] = [path.rpartition(SEPARATOR)[2] for path in paths]
    return table


def _inspect_slices(
    volume: Volume, path: str, chosen: VolumeSettings, grey_range: tuple[float, float]
) -> Iterator[ImageRecord]:
    n_slices, height, width = volume.shape
    numbers = chosen.choose(n_slices)
    if not numbers:
        detail = f"has {n_slices} slices; dataset.volumes asks for those from {chosen.first} on."
        raise PictureError(volume.path, "empty", detail)
    metadata = AcquisitionMetadata(pixel_size_um=volume.voxel_size_um, instrument=volume.instrument)
    for z in numbers:
        pixels = volume.read_slice(z)
        digest = digest_slice(pixels)
        shown = show_with_8_bits(pixels, grey_range)
        yield ImageRecord(
            path=name_slice(path, z),
            sha256=digest,
            pixel_digest=digest,
            width_px=width,
            height_px=height,
            bit_depth=8 * volume.dtype.itemsize,
            n_pages=1,
            metadata=metadata,
            measured=measure_slice(shown),
            grey_range=grey_range,
            stored_type=volume.dtype.name,
        )
