"""Volumes that programs saved as arrays: NumPy files and zarr stores, axes (slice, row, column)."""

import math
import os
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from batteryscope.core.plural import count_of
from batteryscope.readers.picture import PictureError
from batteryscope.readers.pixel_size import UNKNOWN_SIZE, PixelSize, measure_pixel
from batteryscope.readers.pixels import keep_axes
from batteryscope.readers.volume import Volume, check_type, make_raw_volume
from batteryscope.readers.written_values import as_positive, find_um_per_unit

NPY_SIGNATURE = b"\x93NUMPY"
ZARR_MARKS = (".zarray", "zarr.json", ".zgroup")


def open_npy(path: Path) -> Volume:
    """Open an array in a ``.npy`` file: three axes, and any number of axes of length one.

    Raises
    ------
    PictureError
        The array has other axes, is of an unknown type, in Fortran order or cut off.
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
    except Exception as error:  # the header is Python text, so damage may be any error
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        detail = f"its NumPy header cannot be read ({reason}); save it again."
        raise PictureError(path, "unreadable", detail) from None
    if is_fortran:
        detail = "is stored column by column; save it with numpy.ascontiguousarray."
        raise PictureError(path, "unsupported", detail)
    return make_raw_volume(path, offset, _check_axes(path, shape), dtype, "NumPy")


def open_zarr(path: Path) -> Volume:
    """Open a zarr array, or the finest picture of an OME-Zarr group (NGFF 0.4 and 0.5).

    Raises
    ------
    PictureError
        The store is damaged, holds a group without pictures, or an array without three axes.
    """
    import zarr

    try:
        store: Any = zarr.open(path, mode="r")
        size = UNKNOWN_SIZE
        names: Sequence[str] | None = None
        if not hasattr(store, "shape"):
            store, names, size = _open_finest(path, store)
        full = tuple(int(n) for n in store.shape)
        chunks = tuple(int(n) for n in store.chunks)
    except PictureError:
        raise
    except Exception as error:  # stores and codecs raise errors of many kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        detail = f"this zarr store cannot be opened ({reason}); write it again."
        raise PictureError(path, "unreadable", detail) from None
    many = [n for n, length in zip(names or (), full, strict=False) if n in "ct" and length > 1]
    if many:
        words = {"c": "channels", "t": "times"}[many[0]]
        count = full[list(names or ()).index(many[0])]
        detail = f"has {count} {words}; expected grey slices; export one of them."
        raise PictureError(path, "unsupported", detail)
    shape, native = _check_axes(path, full), check_type(path, store.dtype)
    axis = _find_slice_axis(full, shape)
    lost = _count_lost_chunks(path / store.path, store, axis)
    if lost.chunks == lost.of:
        detail = f"holds none of its {lost.of} chunks; copy it again."
        raise PictureError(path, "truncated", detail)
    if np.prod([min(c, n) for c, n in zip(chunks, full, strict=True)]) > 2**28:
        detail = f"is written in chunks of {chunks} numbers; write it with one slice per chunk."
        raise PictureError(path, "too_large", detail)

    def load(z: int) -> Any:
        place = tuple(z if i == axis else slice(None) for i in range(len(full)))
        try:
            values = np.asarray(store[place])
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            detail = f"slice {z} of this zarr store cannot be read ({reason}); write it again."
            raise PictureError(path, "truncated", detail) from None
        return values.reshape(shape[1:]).astype(native, copy=False)

    missing = (lost.describe(store.fill_value),) if lost.chunks else ()
    return Volume(path, shape, native, load, size, missing=missing)


class _LostChunks(NamedTuple):
    """How many chunks of a store have no file, of how many, and the first slice that lacks some."""

    chunks: int
    of: int
    first: int

    def describe(self, level: Any) -> str:
        return (
            f"of its {count_of(self.of, 'chunk')} {self.chunks} are not there, the first in slice "
            f"{self.first}; their grey levels count as {level}. Copy the store again, unless "
            "nothing was measured there (programs leave out chunks without any content)."
        )


def _count_lost_chunks(folder: Path, store: Any, axis: int) -> _LostChunks:
    """Look for the file of every chunk; without one zarr answers with its fill value."""
    edges = store.shards or store.chunks
    grid = [range(-(-length // edge)) for length, edge in zip(store.shape, edges, strict=True)]
    lost = [
        place
        for place in product(*grid)
        if not os.path.exists(f"{folder}/{store.metadata.encode_chunk_key(place)}")  # noqa: PTH110
    ]
    first = min((place[axis] * edges[axis] for place in lost), default=0)
    return _LostChunks(len(lost), math.prod(map(len, grid)), first)


def _open_finest(path: Path, group: Any) -> tuple[Any, Sequence[str], PixelSize]:
    """Return the first array of an OME-Zarr group, its axes, and pixel and slice size."""
    attributes = dict(group.attrs)
    described = attributes.get("ome", attributes)
    scales = described.get("multiscales") if isinstance(described, Mapping) else None
    try:
        first = scales[0]  # type: ignore[index]
        finest = first["datasets"][0]
        array = group[str(finest["path"])]
        array.shape  # noqa: B018 (a group in its place has none)
    except (KeyError, IndexError, TypeError, AttributeError):
        detail = "is a zarr group; name the folder of the array inside it."
        raise PictureError(path, "unsupported", detail) from None
    axes = first.get("axes") or ["t", "c", "z", "y", "x"][-len(array.shape) :]
    names = [str(a["name"] if isinstance(a, Mapping) else a).lower() for a in axes]
    if len(names) != len(array.shape):
        detail = f"names {len(names)} axes, but its array has {len(array.shape)}; write it again."
        raise PictureError(path, "unsupported", detail)
    in_space = "".join(name for name in names if name in ("x", "y", "z"))
    if in_space not in ("zyx", "yx"):
        detail = f"has its axes in the order {', '.join(names)}; write it with z, y, x last."
        raise PictureError(path, "unsupported", detail)
    sizes = [1.0] * len(names)
    known = False
    for steps in (finest, first):
        for step in steps.get("coordinateTransformations") or []:
            if step.get("type") == "scale" and len(step.get("scale", ())) == len(names):
                sizes = [a * float(b) for a, b in zip(sizes, step["scale"], strict=True)]
                known = True
    units = [str(a.get("unit", "")) if isinstance(a, Mapping) else "" for a in axes]

    def find(axis: str) -> float | None:
        if not known or axis not in names:
            return None
        place = names.index(axis)
        um = find_um_per_unit(units[place])
        return None if um is None else as_positive(sizes[place] * um)

    return array, names, measure_pixel(find("x"), find("y"), find("z"))


def _find_slice_axis(full: tuple[int, ...], shape: tuple[int, int, int]) -> int:
    """Return which axis counts the slices; with a single slice any of length one serves."""
    return 0 if len(full) == 3 else full.index(shape[0])


def _check_axes(path: Path, shape: tuple[int, ...]) -> tuple[int, int, int]:
    kept = keep_axes(tuple(shape), 3)
    if len(kept) != 3 or min(kept) < 1:
        detail = f"has the shape {tuple(shape)}; expected three axes: slice, row, column."
        raise PictureError(path, "unsupported", detail)
    return kept[0], kept[1], kept[2]
