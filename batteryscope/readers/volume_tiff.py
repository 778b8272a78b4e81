"""Multi-page TIFF and BigTIFF volumes, and single TIFF slices, page by page."""

import struct
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from batteryscope.readers.picture import PictureError, to_luminance
from batteryscope.readers.volume import Volume, check_type, make_raw_volume

_UM_PER_UNIT = {"micron": 1.0, "um": 1.0, "µm": 1.0, "\\u00B5m": 1.0, "mm": 1000.0, "nm": 1e-3}
_SEPARATE = 2  # TIFF tag 284: colours in planes
_UM_PER_RESOLUTION_UNIT = {2: 25400.0, 3: 10000.0}  # TIFF tag 296: inch, centimetre


def has_several_pages(path: Path) -> bool:
    """Tell whether a TIFF file is a volume by itself, from its start alone.

    The second page need not be there: a stack that is cut off is still a stack.
    """
    try:
        with path.open("rb") as stream:
            if _find_second_directory(stream):
                return True
        with tifffile.TiffFile(path) as file:
            # ImageJ stores large stacks behind a single page; some programs write three or four
            # slices as the colour planes of one page.
            stack = file.is_imagej and (file.imagej_metadata or {}).get("images", 1) > 1
            return bool(stack) or _has_planes(file.pages.first)
    except Exception:  # no TIFF at all; opening it will tell
        return False


def _find_second_directory(stream: IO[bytes]) -> int:
    """Return where the second page's directory is said to be, 0 if there is none."""
    start = stream.read(16)
    order = "<" if start[:2] == b"II" else ">"
    is_big = 43 in start[2:4]
    word, count, entry_bytes = ("Q", "Q", 20) if is_big else ("I", "H", 12)
    (offset,) = struct.unpack_from(order + word, start, 8 if is_big else 4)
    stream.seek(offset)
    (entries,) = struct.unpack(order + count, stream.read(struct.calcsize(count)))
    stream.seek(entries * entry_bytes, 1)
    return int(struct.unpack(order + word, stream.read(struct.calcsize(word)))[0])


def open_tiff_stack(path: Path) -> Volume:
    """Open a multi-page TIFF of which every page is a slice.

    Raises
    ------
    PictureError
        The file is damaged or cut off, its pages differ in size, or it is no grey picture.
    """
    with path.open("rb") as stream:
        if _find_second_directory(stream) >= path.stat().st_size:
            raise _cut_off(path)
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series
            first = file.pages.first
            if len(series) > 1:
                sizes = {" × ".join(str(n) for n in reversed(s.shape[-2:])) for s in series}
                detail = (
                    f"its pages differ (sizes {', '.join(sorted(sizes))}); "
                    "export all slices in one size and type."
                )
                raise PictureError(path, "wrong_size", detail)
            shape, voxel_um, spacing_um = series[0].shape, *find_voxel_size(file)
            offset, byteorder = series[0].dataoffset, file.byteorder
            dtype = np.dtype(series[0].dtype)
            n_pages = len(file.pages)
    except PictureError:
        raise
    except Exception as error:  # tifffile raises errors of many kinds
        detail = f"this TIFF file is damaged or ends too early ({error}); copy it again."
        raise PictureError(path, "truncated", detail) from None
    if _has_planes(first):
        raise PictureError(path, "unsupported", _describe_planes(first))
    if len(shape) != 3 or first.samplesperpixel != 1:
        detail = f"has the shape {tuple(shape)}; expected grey slices, one after the other."
        raise PictureError(path, "unsupported", detail)
    depth, height, width = (int(n) for n in shape)
    if offset is not None:
        stored = dtype.newbyteorder(byteorder)
        return make_raw_volume(
            path, offset, (depth, height, width), stored, "TIFF", voxel_um, spacing_um
        )
    if n_pages < depth:
        detail = f"announces {depth} slices but holds {n_pages} pages; copy it again."
        raise PictureError(path, "truncated", detail)
    file = tifffile.TiffFile(path)  # kept open: finding page z from the start would cost z steps

    lock = Lock()

    def load(z: int) -> NDArray[Any]:
        with lock:
            return _decode(path, file.pages[z])

    return Volume(path, (depth, height, width), check_type(path, dtype), load, voxel_um, spacing_um)


def _has_planes(page: Any) -> bool:
    """Tell whether the colours of a page lie one after the other, as slices would."""
    return int(page.planarconfig) == _SEPARATE and page.samplesperpixel > 1


def _describe_planes(page: Any) -> str:
    return (
        f"holds {page.samplesperpixel} colour planes of {page.imagewidth} × {page.imagelength} "
        "pixels in one page; expected grey slices. If the planes are slices, write each as a page "
        "of its own (in Python tifffile.imwrite(…, photometric='minisblack')), else export the "
        "picture in grey."
    )


def _cut_off(path: Path) -> PictureError:
    detail = (
        f"this TIFF stack ends in the middle: its second page lies beyond the end of the file "
        f"({path.stat().st_size} bytes); copy it again."
    )
    return PictureError(path, "truncated", detail)


def read_tiff_slice(path: Path) -> NDArray[Any]:
    """Read the first page of a TIFF file as (rows, columns), floats included."""
    try:
        with tifffile.TiffFile(path) as file:
            return _decode(path, file.pages.first)
    except PictureError:
        raise
    except Exception as error:
        detail = f"this TIFF file is damaged or ends too early ({error}); copy it again."
        raise PictureError(path, "truncated", detail) from None


def find_voxel_size(file: tifffile.TiffFile) -> tuple[float | None, float | None]:
    """Return voxel edge and slice spacing in µm, None where the file does not say.

    ImageJ gives pixels per unit in the resolution tag and the spacing in its description.
    A resolution without a unit is no size.
    """
    tags = file.pages.first.tags
    resolution = tags.valueof("XResolution")
    if not resolution or not resolution[0] or not resolution[1]:
        return None, None
    per_unit = resolution[0] / resolution[1]
    imagej = file.imagej_metadata or {}
    um = _UM_PER_UNIT.get(str(imagej.get("unit", "")))
    if um is not None:
        spacing = imagej.get("spacing")
        return um / per_unit, None if spacing is None else float(spacing) * um
    if file.is_imagej:
        return None, None
    um = _UM_PER_RESOLUTION_UNIT.get(int(tags.valueof("ResolutionUnit", 1)))
    # Screen resolutions such as 72 or 300 dots per inch are written by default, not measured.
    if um is None or um / per_unit > 80:
        return None, None
    return um / per_unit, None


def _decode(path: Path, page: Any) -> NDArray[Any]:
    try:
        values = np.asarray(page.asarray())
    except Exception as error:
        detail = f"page {page.index} cannot be decoded ({error}); copy the file again."
        raise PictureError(path, "truncated", detail) from None
    if values.ndim == 3 and values.shape[-1] in (3, 4) and values.dtype in (np.uint8, np.uint16):
        values = to_luminance(values[..., :3])
    if values.ndim != 2:
        detail = (
            f"page {page.index} has the shape {values.shape}; expected grey rows and columns; "
            "export the slices in grey."
        )
        raise PictureError(path, "unsupported", detail)
    return values.astype(check_type(path, values.dtype), copy=False)
