"""Volumes that programs saved as arrays: NumPy files and zarr stores, axes (slice, row, column)."""

from pathlib import Path
from typing import Any

import numpy as np

from batteryscope.readers.picture import PictureError
from batteryscope.readers.volume import Volume, check_type, make_raw_volume

NPY_SIGNATURE = b"\x93NUMPY"
ZARR_MARKS = (".zarray", "zarr.json", ".zgroup")


def open_npy(path: Path) -> Volume:
    """Open a three-dimensional array in a ``.npy`` file.

    Raises
    ------
    PictureError
        The array is not three-dimensional, of an unknown type, in Fortran order or cut off.
    """
    try:
        with path.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, is_fortran, dtype = read(stream)
            offset = stream.tell()
    except (ValueError, EOFError) as error:
        detail = f"its NumPy header cannot be read ({error}); save it again."
        raise PictureError(path, "unreadable", detail) from None
    if is_fortran:
        detail = "is stored column by column; save it with numpy.ascontiguousarray."
        raise PictureError(path, "unsupported", detail)
    return make_raw_volume(path, offset, _check_axes(path, shape), dtype, "NumPy")


def open_zarr(path: Path) -> Volume:
    """Open a three-dimensional zarr array.

    Raises
    ------
    PictureError
        The store is damaged, holds a group or an array that is not three-dimensional.
    """
    import zarr

    try:
        array: Any = zarr.open(path, mode="r")
    except Exception as error:  # stores and codecs raise errors of many kinds
        detail = f"this zarr store cannot be opened ({error}); write it again."
        raise PictureError(path, "unreadable", detail) from None
    if not hasattr(array, "shape"):
        detail = "is a zarr group; name the folder of the array inside it."
        raise PictureError(path, "unsupported", detail)
    shape, native = _check_axes(path, array.shape), check_type(path, array.dtype)
    return Volume(path, shape, native, lambda z: np.asarray(array[z]).astype(native, copy=False))


def _check_axes(path: Path, shape: tuple[int, ...]) -> tuple[int, int, int]:
    if len(shape) != 3 or min(shape) < 1:
        detail = f"has the shape {tuple(shape)}; expected three axes: slice, row, column."
        raise PictureError(path, "unsupported", detail)
    return shape[0], shape[1], shape[2]
