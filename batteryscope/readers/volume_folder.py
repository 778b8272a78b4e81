"""A folder whose pictures are the slices of one scan."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batteryscope.readers.picture import PictureError, to_luminance
from batteryscope.readers.registry import is_picture_name, read_page, read_size
from batteryscope.readers.volume import Volume, check_type
from batteryscope.readers.volume_tiff import find_voxel_size, read_tiff_slice

_LAST_NUMBER = re.compile(r"^(.*?)([0-9]+)([^0-9]*)$")
_TIFF_SUFFIXES = (".tif", ".tiff")
_MAX_LISTED = 5


def open_slice_folder(path: Path, names: Sequence[str] | None = None) -> Volume:
    """Open a folder of TIFF, PNG or other pictures in natural number order.

    Parameters
    ----------
    path
        The folder.
    names
        File names of its pictures; looked up if not given.

    Raises
    ------
    PictureError
        The pictures belong to several series or differ in size.
    """
    from batteryscope.manifest.scan import natural_key

    if names is None:
        names = [f.name for f in path.iterdir() if is_picture_name(f.name) and f.name[0] != "."]
    ordered = sorted(names, key=natural_key)
    files = [path / name for name in ordered]
    _check_one_series(path, ordered)
    sizes = [read_size(file) for file in files]
    for file, size in zip(files, sizes, strict=True):
        if size != sizes[0]:
            detail = (
                f"the slice {file.name} has {size[0]} × {size[1]} pixels, {files[0].name} has "
                f"{sizes[0][0]} × {sizes[0][1]}; export all slices in one size."
            )
            raise PictureError(path, "wrong_size", detail)
    first = _read(files[0])
    voxel_um = _read_voxel_size(files[0])
    return Volume(
        path,
        (len(files), *first.shape),
        first.dtype,
        lambda z: _read(files[z]),
        voxel_um,
        missing=find_gaps(ordered),
    )


def find_gaps(names: Sequence[str]) -> tuple[str, ...]:
    """Say which numbers are missing in a numbered series of file names.

    The most frequent step between neighbours counts as no gap, so that every second slice of a
    scan is a complete series.

    Parameters
    ----------
    names
        In natural order.
    """
    matches = [_LAST_NUMBER.match(Path(name).stem) for name in names]
    numbers = [int(m[2]) for m in matches if m is not None]
    if len(numbers) < max(3, len(names)):
        return ()
    steps = np.diff(numbers)
    if steps.min() < 1:
        return ()
    sizes, counts = np.unique(steps, return_counts=True)
    usual = int(sizes[counts.argmax()])  # the smallest of the most frequent
    gaps = [
        (numbers[i] + usual, numbers[i + 1] - usual) for i in np.flatnonzero(steps > usual).tolist()
    ]
    listed = ", ".join(f"{a}" if a >= b else f"{a} to {b}" for a, b in gaps[:_MAX_LISTED])
    if not gaps:
        return ()
    more = f" and {len(gaps) - _MAX_LISTED} more gaps" if len(gaps) > _MAX_LISTED else ""
    return (
        f"slice numbers are missing between {names[0]} and {names[-1]}: {listed}{more}; the "
        "slices on both sides of a gap count as neighbours. Copy the missing files, if they exist.",
    )


def _check_one_series(path: Path, names: Sequence[str]) -> None:
    """Refuse a mixture of series, such as pictures and their masks."""
    prefixes: dict[str, str] = {}
    for name in names:
        match = _LAST_NUMBER.match(Path(name).stem)
        prefixes.setdefault(match[1] if match else name, name)
    if len(prefixes) > 1:
        first, second = list(prefixes.values())[:2]
        detail = (
            f"holds pictures of several series, such as {first} and {second}; "
            "put the slices of each scan into a folder of their own."
        )
        raise PictureError(path, "unsupported", detail)


def _read(file: Path) -> NDArray[Any]:
    if file.suffix.lower() in _TIFF_SUFFIXES:
        return read_tiff_slice(file)
    values = to_luminance(read_page(file).array)
    return values.astype(check_type(file, values.dtype), copy=False)


def _read_voxel_size(file: Path) -> float | None:
    if file.suffix.lower() not in _TIFF_SUFFIXES:
        return None
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        return find_voxel_size(tiff)[0]
