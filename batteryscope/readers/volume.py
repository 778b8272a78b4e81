"""A scan of many slices, of which never more than the asked-for one is in memory."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from batteryscope.core.plural import count_of
from batteryscope.readers.grey_scale import choose_bits
from batteryscope.readers.picture import PictureError
from batteryscope.readers.pixel_size import UNKNOWN_SIZE, PixelSize

# Grey levels that CT reconstructions are written with; Scanco and DICOM files are signed.
KNOWN_TYPES = ("uint8", "uint16", "int16", "float32")
SAMPLED_SLICES = 5  # from which the range of grey levels of a volume is taken


@dataclass(frozen=True)
class Volume:
    """A scan that is read slice by slice.

    Attributes
    ----------
    path
        File or folder.
    shape
        (slices, rows, columns).
    dtype
        Of the grey levels, one of :data:`KNOWN_TYPES`.
    load
        Reads slice z, counted from 0; use :meth:`read_slice`, which checks what comes.
    size
        Edge of a voxel within the slice, and distance of neighbouring slices, as the file says.
    instrument
        Scanner, if stated.
    missing
        Sentences about slices that seem to be missing in the series.
    left_out
        Sentences about files that are left out, such as copies of a slice.
    order
        By what the slices are sorted: position, instance number, file name; "" if they lie in
        order in one file.
    stated_bits
        Bits in use after the file itself; None if it says nothing.
    """

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    load: Callable[[int], NDArray[Any]]
    size: PixelSize = UNKNOWN_SIZE
    instrument: str | None = None
    missing: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    order: str = ""
    stated_bits: int | None = None

    @property
    def voxel_size_um(self) -> float | None:
        """Edge of a voxel within the slice; None if the file does not say, or it is no square."""
        return self.size.edge_um

    @property
    def slice_spacing_um(self) -> float | None:
        """Distance of neighbouring slices; None if the file does not say."""
        return self.size.spacing_um

    def read_slice(self, z: int) -> NDArray[Any]:
        """Return slice ``z`` as (rows, columns).

        Raises
        ------
        PictureError
            The slice is not there, cannot be read, has another size or type than the others,
            or holds values that are no numbers.
        """
        if not 0 <= z < self.shape[0]:
            detail = f"has {self.shape[0]} slices; slice {z} (counted from 0) is not there."
            raise PictureError(self.path, "unreadable", detail)
        values = self.load(z)
        if values.shape != self.shape[1:]:
            found, expected = _name_size(values.shape), _name_size(self.shape[1:])
            detail = (
                f"slice {z} has {found} pixels, the first slice {expected}; "
                "export all slices in one size."
            )
            raise PictureError(self.path, "wrong_size", detail)
        if values.dtype != self.dtype:
            detail = (
                f"slice {z} holds numbers of type {values.dtype}, the first slice {self.dtype}; "
                "export all slices alike."
            )
            raise PictureError(self.path, "unsupported", detail)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            n_bad = int((~np.isfinite(values)).sum())
            are = "is no number" if n_bad == 1 else "are no numbers"
            detail = (
                f"slice {z} holds {count_of(n_bad, 'value')} that {are} (NaN or infinite); "
                "fill them (with the grey level of air, say) or export as 16-bit integers."
            )
            raise PictureError(self.path, "unsupported", detail)
        return values


def describe_curve(curve: str) -> tuple[str, ...]:
    """Say that what a screen should do to grey levels is not done; nothing if it is nothing."""
    return (
        (f"{curve}, which its slices state, is left out: levels count as stored.",) if curve else ()
    )


def check_type(path: Path, dtype: DTypeLike) -> np.dtype[Any]:
    """Return the type of grey levels in the byte order of this machine.

    Raises
    ------
    PictureError
        The type is none of :data:`KNOWN_TYPES`.
    """
    native = np.dtype(dtype).newbyteorder("=")
    if native.name not in KNOWN_TYPES:
        detail = (
            f"holds numbers of type {native.name}; expected one of {', '.join(KNOWN_TYPES)}; "
            "export it as 8- or 16-bit grey levels."
        )
        raise PictureError(path, "unsupported", detail)
    return native


def make_raw_volume(
    path: Path,
    offset: int,
    shape: tuple[int, int, int],
    dtype: DTypeLike,
    kind: str,
    convert: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
    size: PixelSize = UNKNOWN_SIZE,
    instrument: str | None = None,
) -> Volume:
    """Describe slices that lie one after the other in a file.

    They are read, not memory-mapped: mapped slices would count as resident memory until the
    system takes them back.

    Parameters
    ----------
    path
        The file.
    offset
        Bytes before the first slice.
    shape
        (slices, rows, columns).
    dtype
        As stored, byte order included.
    kind
        Name of the format, for messages.
    convert
        What is done to the numbers of a slice.
    size, instrument
        As in :class:`Volume`.

    Raises
    ------
    PictureError
        ``truncated``: the file is smaller than its header says.
    """
    stored, native = np.dtype(dtype), check_type(path, dtype)
    n_pixels = shape[1] * shape[2]
    slice_bytes = n_pixels * stored.itemsize
    present = path.stat().st_size
    if present < offset + shape[0] * slice_bytes:
        whole = max(0, present - offset) // max(1, slice_bytes)
        detail = (
            f"this {kind} file ends in the middle: its header announces {shape[0]} slices, "
            f"{whole} are complete ({present} of {offset + shape[0] * slice_bytes} bytes); "
            "copy it again."
        )
        raise PictureError(path, "truncated", detail)

    def load(z: int) -> NDArray[Any]:
        with path.open("rb") as stream:
            stream.seek(offset + z * slice_bytes)
            values = np.fromfile(stream, stored, n_pixels)
        if values.size < n_pixels:  # shorter than when it was opened
            detail = f"slice {z} of this {kind} file is not there any more; copy it again."
            raise PictureError(path, "truncated", detail)
        values = values.reshape(shape[1:]).astype(native, copy=False)
        return values if convert is None else convert(values)

    return Volume(path, shape, native, load, size, instrument)


def find_extremes(volume: Volume) -> tuple[float, float]:
    """Return the lowest and highest grey level of a few slices; 0 and 255 of 8-bit volumes."""
    if volume.dtype == np.uint8:
        return 0.0, 255.0
    chosen = np.unique(np.linspace(0, volume.shape[0] - 1, SAMPLED_SLICES).astype(int))
    extremes = [(float(s.min()), float(s.max())) for s in map(volume.read_slice, chosen.tolist())]
    return min(e[0] for e in extremes), max(e[1] for e in extremes)


def find_grey_range(volume: Volume) -> tuple[float, float]:
    """Return the grey levels of a volume that become 0 and 255 if nothing else is known of it.

    Volumes of one data set share what :mod:`batteryscope.manifest.grey_scale` decides. Integer
    types without sign are scaled by the bits in use, others by the lowest and highest value.
    """
    low, high = find_extremes(volume)
    if volume.dtype == np.uint16:
        return 0.0, 2.0 ** (volume.stated_bits or choose_bits(int(high))) - 1
    return low, high if high > low else low + 1.0


def show_with_8_bits(values: NDArray[Any], grey_range: tuple[float, float]) -> NDArray[np.uint8]:
    """Scale grey levels of :func:`find_grey_range` to 0 to 255."""
    low, high = grey_range
    if values.dtype == np.uint8 and (low, high) == (0.0, 255.0):
        return values
    scaled = (values.astype(np.float32) - low) * (255.0 / (high - low))
    return np.clip(scaled + 0.5, 0, 255).astype(np.uint8)


def _name_size(shape: tuple[int, ...]) -> str:
    return " × ".join(str(edge) for edge in reversed(shape))
