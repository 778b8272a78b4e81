"""Scans instead of pictures: every chosen slice becomes a sample."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.command_line import show_progress
from batteryscope.config.dataset import DatasetSettings, VolumeSettings
from batteryscope.manifest.inspect import ImageRecord
from batteryscope.manifest.measure import make_thumbnail, measure_grey_levels
from batteryscope.manifest.schema import Reject
from batteryscope.readers.picture import AcquisitionMetadata, PictureError
from batteryscope.readers.volume import Volume, find_grey_range, show_with_8_bits
from batteryscope.readers.volumes import open_volume

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
        whose slices are used.
    """
    chosen = settings.volumes or VolumeSettings()
    answers: list[ImageRecord | Reject] = []
    for path in show_progress(paths, "Reading scans", total=len(paths), unit="scan"):
        try:
            volume = open_volume(root / path)
            answers += _inspect_slices(volume, path, chosen, settings.max_pixels)
        except PictureError as error:
            # Slices before the damage are left out too: half a scan is not what was measured.
            answers = [a for a in answers if not a.path.startswith(f"{path}{SEPARATOR}")]
            answers.append(Reject(path, error.reason, error.detail))
            continue
        for gap in volume.missing:
            answers.append(Reject(path, "missing_slices", gap))
    return answers


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
    volume: Volume, path: str, chosen: VolumeSettings, max_pixels: int
) -> Iterator[ImageRecord]:
    n_slices, height, width = volume.shape
    if height * width > max_pixels:
        detail = f"its slices have {width} × {height} pixels, more than max_pixels {max_pixels}."
        raise PictureError(volume.path, "too_large", detail)
    numbers = chosen.choose(n_slices)
    if not numbers:
        detail = f"has {n_slices} slices; dataset.volumes asks for those from {chosen.first} on."
        raise PictureError(volume.path, "empty", detail)
    grey_range = find_grey_range(volume)
    metadata = AcquisitionMetadata(pixel_size_um=volume.voxel_size_um, instrument=volume.instrument)
    for z in numbers:
        pixels = volume.read_slice(z)
        digest = digest_slice(pixels)
        shown = show_with_8_bits(pixels, grey_range)
        measured = {
            "data_bar_px": 0,
            **measure_grey_levels(shown),
            "thumbnail": make_thumbnail(shown).tobytes(),
        }
        yield ImageRecord(
            path=name_slice(path, z),
            sha256=digest,
            pixel_digest=digest,
            width_px=width,
            height_px=height,
            bit_depth=8 * volume.dtype.itemsize,
            n_pages=1,
            metadata=metadata,
            measured=measured,
        )
