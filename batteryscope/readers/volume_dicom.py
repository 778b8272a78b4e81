"""DICOM series: one file per slice in a folder, or one file with many frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batteryscope.readers.dicom_rescale import (
    GROUPS,
    TAGS,
    Rescale,
    choose_type,
    read_rescale,
)
from batteryscope.readers.picture import PictureError
from batteryscope.readers.volume import Volume, check_type
from batteryscope.readers.volume_folder import find_gaps

_SAME_DIRECTION = 1e-3  # of direction cosines; scanners write six digits
_TAGS = [
    "SeriesInstanceUID", "Rows", "Columns", "ImageOrientationPatient", "ImagePositionPatient",
    "InstanceNumber", "PixelSpacing", "SliceThickness", "NumberOfFrames", "ManufacturerModelName",
    "Manufacturer", *TAGS, *GROUPS,
]  # fmt: skip


@dataclass(frozen=True)
class _Header:
    file: Path
    tags: Any

    def numbers(self, name: str) -> list[float]:
        value = self.tags.get(name)
        return [] if value is None else [float(v) for v in value]


def is_dicom(path: Path) -> bool:
    """Tell by the mark after the preamble whether a file is DICOM."""
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def has_several_frames(path: Path) -> bool:
    """Tell whether a DICOM file is a scan by itself."""
    try:
        return int(_read_header(path).tags.get("NumberOfFrames") or 1) > 1
    except PictureError:  # opening it will tell
        return False


def open_dicom(path: Path, names: Sequence[str] | None = None) -> Volume:
    """Open a DICOM series, in the order of the slices' positions.

    Grey levels are those after rescale slope and intercept, which may differ from slice to slice.

    Parameters
    ----------
    path
        Folder of the series, or a file with several frames.
    names
        File names within the folder; looked up if not given.

    Raises
    ------
    PictureError
        A file is damaged or states an impossible rescaling; the folder holds several series,
        orientations or sizes.
    """
    if path.is_file():
        return _open_frames(_read_header(path))
    found = [path / n for n in names] if names is not None else sorted(path.iterdir())
    headers = [_read_header(file) for file in found if names is not None or is_dicom(file)]
    _check_alike(path, headers)
    ordered, positions = _sort(headers)
    steps = [_read_rescale(header)[0] for header in ordered]
    first = _read_pixels(ordered[0].file)
    dtype = choose_type(first.dtype, ordered[0].tags, steps)

    def load(z: int) -> NDArray[Any]:
        stored = _read_pixels(ordered[z].file)
        # A slice that is stored otherwise is left as it is: read_slice refuses it.
        return steps[z].apply(stored, dtype) if stored.dtype == first.dtype else stored

    return Volume(
        path,
        (len(ordered), *first.shape),
        check_type(path, dtype),
        load,
        _find_voxel_size(ordered[0]),
        _find_spacing(positions, ordered[0]),
        _find_instrument(ordered[0]),
        _find_gaps(positions) if positions is not None else _find_number_gaps(ordered),
    )


def _open_frames(header: _Header) -> Volume:
    n_frames = int(header.tags.get("NumberOfFrames") or 1)
    steps = _read_rescale(header, n_frames)
    first = _read_pixels(header.file, 0 if n_frames > 1 else None)
    dtype = choose_type(first.dtype, header.tags, steps)
    return Volume(
        header.file,
        (n_frames, *first.shape),
        check_type(header.file, dtype),
        lambda z: steps[z].apply(_read_pixels(header.file, z if n_frames > 1 else None), dtype),
        _find_voxel_size(header),
        instrument=_find_instrument(header),
    )


def _read_header(file: Path) -> _Header:
    import pydicom

    try:
        return _Header(file, pydicom.dcmread(file, stop_before_pixels=True, specific_tags=_TAGS))
    except Exception as error:  # pydicom raises errors of many kinds
        detail = f"this DICOM file cannot be read ({error}); copy it again."
        raise PictureError(file, "unreadable", detail) from None


def _read_rescale(header: _Header, n_frames: int = 1) -> list[Rescale]:
    try:
        return read_rescale(header.tags, n_frames)
    except (TypeError, ValueError) as error:
        detail = f"this DICOM file {error}; correct its header or export the series again."
        raise PictureError(header.file, "unsupported", detail) from None


def _read_pixels(file: Path, frame: int | None = None) -> NDArray[Any]:
    from pydicom.pixels import pixel_array

    try:
        values = pixel_array(file) if frame is None else pixel_array(file, index=frame)
    except Exception as error:
        detail = f"the pixels of this DICOM file cannot be decoded ({error}); export it again."
        raise PictureError(file, "unreadable", detail) from None
    return np.asarray(values)


def _check_alike(path: Path, headers: Sequence[_Header]) -> None:
    series = {str(h.tags.get("SeriesInstanceUID")) for h in headers}
    if len(series) > 1:
        detail = f"holds {len(series)} DICOM series; put each into a folder of its own."
        raise PictureError(path, "unsupported", detail)
    first = headers[0]
    for header in headers[1:]:
        here, there = (h.numbers("ImageOrientationPatient") for h in (header, first))
        if len(here) != len(there) or not np.allclose(here, there, atol=_SAME_DIRECTION):
            detail = (
                f"its slices have mixed orientations: {first.file.name} {_name(there)}, "
                f"{header.file.name} {_name(here)}; put slices of one orientation into a folder "
                "of their own."
            )
            raise PictureError(path, "unsupported", detail)
        sizes = [
            (int(h.tags.get("Columns", 0)), int(h.tags.get("Rows", 0))) for h in (header, first)
        ]
        if sizes[0] != sizes[1]:
            detail = (
                f"the slice {header.file.name} has {sizes[0][0]} × {sizes[0][1]} pixels, "
                f"{first.file.name} has {sizes[1][0]} × {sizes[1][1]}; export all in one size."
            )
            raise PictureError(path, "wrong_size", detail)


def _sort(headers: Sequence[_Header]) -> tuple[list[_Header], NDArray[np.float64] | None]:
    """Sort along the normal of the slices; without positions, by number."""
    orientation = headers[0].numbers("ImageOrientationPatient")
    places = [h.numbers("ImagePositionPatient") for h in headers]
    if len(orientation) == 6 and all(len(place) == 3 for place in places):
        normal = np.cross(orientation[:3], orientation[3:])
        positions = np.asarray(places) @ normal
        order = np.argsort(positions, kind="stable")
        return [headers[i] for i in order], positions[order]
    numbered = sorted(headers, key=lambda h: (int(h.tags.get("InstanceNumber") or 0), h.file.name))
    return numbered, None


def _find_number_gaps(ordered: Sequence[_Header]) -> tuple[str, ...]:
    numbers = [h.tags.get("InstanceNumber") for h in ordered]
    return () if None in numbers else find_gaps([f"number {int(n)}" for n in numbers])


def _find_gaps(positions: NDArray[np.float64]) -> tuple[str, ...]:
    if len(positions) < 3:
        return ()
    steps = np.diff(positions)
    usual = float(np.median(steps))
    wide = np.flatnonzero(steps > 1.5 * usual)
    if not len(wide):
        return ()
    n_missing = int(np.round(steps[wide] / usual - 1).sum())
    return (
        f"about {n_missing} slices are missing (the first gap is between {positions[wide[0]]:g} "
        f"and {positions[wide[0] + 1]:g} mm); the slices on both sides count as neighbours. "
        "Export the whole series, if it exists.",
    )


def _find_voxel_size(header: _Header) -> float | None:
    spacing = header.numbers("PixelSpacing")
    return 1000 * spacing[0] if spacing and spacing[0] > 0 else None


def _find_spacing(positions: NDArray[np.float64] | None, header: _Header) -> float | None:
    if positions is not None and len(positions) > 1:
        return 1000 * float(np.median(np.diff(positions))) or None
    thickness = header.tags.get("SliceThickness")
    return None if not thickness else 1000 * float(thickness)


def _find_instrument(header: _Header) -> str | None:
    names = (header.tags.get("Manufacturer"), header.tags.get("ManufacturerModelName"))
    return " ".join(str(name) for name in names if name) or None


def _name(orientation: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in orientation) + ")" if orientation else "(none)"
