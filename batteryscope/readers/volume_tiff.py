"""Multi-page TIFF and BigTIFF volumes, and single TIFF slices, page by page."""

import struct
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import IO, Any, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray

from batteryscope.readers.dicom_rescale import choose_type
from batteryscope.readers.picture import PictureError
from batteryscope.readers.pixel_size import UNKNOWN_SIZE, PixelSize
from batteryscope.readers.pixels import to_luminance, turn_size
from batteryscope.readers.tiff_page import (
    apply_rules,
    as_page,
    choose_page,
    decode_page,
    explain_errors,
    find_curve,
    find_stated_bits,
    list_full_pages,
    open_tiff,
    read_calibration,
    read_rules,
)
from batteryscope.readers.tiff_units import find_voxel_size
from batteryscope.readers.volume import Volume, check_type, describe_curve, make_raw_volume

_SEPARATE = 2  # TIFF tag 284: colours in planes
_COLOURS = (2, 6)  # TIFF tag 262: RGB, YCbCr
_SLICE_AXES = "ZTIQ"  # of tifffile: depth, time, pages, unknown; some programs mix up the first two


def has_several_pages(path: Path) -> bool:
    """Tell whether a TIFF file is a volume by itself, from its start alone.

    The second page need not be there: a stack that is cut off is still a stack. Thumbnails and
    reduced copies of a picture are no slices.
    """
    try:
        with path.open("rb") as stream:
            second = _find_second_directory(stream)
        if second >= path.stat().st_size:
            return True
        with tifffile.TiffFile(path) as file:
            if second and len(file.pages) > 1:
                return len(list_full_pages(file)) > 1
            # ImageJ stores large stacks behind a single page; some programs write three or four
            # slices as the colour planes of one page.
            stack = file.is_imagej and (file.imagej_metadata or {}).get("images", 1) > 1
            return bool(stack) or bool(second) or _has_planes(file.pages.first)
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
    try:
        with path.open("rb") as stream:
            second = _find_second_directory(stream)
    except struct.error:
        second = 0  # opening it will tell
    if second >= path.stat().st_size:
        raise _second_page_missing(path)
    with open_tiff(path) as file:
        return _describe_stack(path, file)


def _describe_stack(path: Path, file: tifffile.TiffFile) -> Volume:
    first = as_page(file, 0)
    size = find_voxel_size(file)
    if _has_planes(first):
        raise PictureError(path, "unsupported", _describe_planes(first))
    full = list_full_pages(file)
    series = file.series
    if len(full) < len(file.pages):  # with thumbnails or reduced copies, which are no slices
        shape, offset = (len(full), *_check_one_size(path, file, full)), None
    else:
        if len(series) != 1:
            _check_one_size(path, file, full)
            detail = f"holds {len(series)} series of pages; export each into a file of its own."
            raise PictureError(path, "unsupported", detail)
        full = _list_ome_pages(path, file, series[0]) if file.is_ome else full
        is_coloured = int(first.photometric) in _COLOURS
        shape = _find_slice_shape(path, series[0], is_coloured)
        offset = None if is_coloured else series[0].dataoffset
    page = as_page(file, full[0])
    rules = read_rules(path, page)
    narrow = rules.palette is not None or page.bitspersample < 8
    stored: Any = np.uint8 if narrow else page.dtype
    step = read_calibration(page)
    dtype = choose_type(check_type(path, stored), {}, [step])
    depth, height, width = shape
    turned = (depth, *turn_size((height, width), rules.orientation))
    bits, curve = find_stated_bits(page), describe_curve(find_curve(page))
    if offset is not None:
        stored = np.dtype(page.dtype).newbyteorder(file.byteorder)

        def convert(values: NDArray[Any]) -> NDArray[Any]:
            return step.apply(to_luminance(apply_rules(path, values, rules)), dtype)

        raw = make_raw_volume(path, int(offset), shape, stored, "TIFF", convert)
        # The numbers of a palette have another type than its colours.
        return Volume(path, turned, dtype, raw.load, size, left_out=curve, stated_bits=bits)
    if len(full) < depth:
        detail = f"announces {depth} slices but holds {len(full)} pages; copy it again."
        raise PictureError(path, "truncated", detail)
    kept = tifffile.TiffFile(path)  # open: finding page z from the start would cost z steps
    lock = Lock()

    def load(z: int) -> NDArray[Any]:
        with lock, explain_errors(path):
            return _decode(path, kept, as_page(kept, full[z]))

    return Volume(path, turned, dtype, load, size, left_out=curve, stated_bits=bits)


def _find_slice_shape(path: Path, series: Any, is_coloured: bool) -> tuple[int, int, int]:
    """Return (slices, rows, columns) of a series; every other axis must have the length one."""
    axes = list(zip(series.get_axes(squeeze=False), series.get_shape(squeeze=False), strict=True))
    rows, columns = (dict(axes).get(axis, 0) for axis in "YX")
    # A list, since one letter may stand for several axes; the colours of a slice become grey.
    many = [(axis, n) for axis, n in axes if axis not in "YX" and n != 1]
    many = [(axis, n) for axis, n in many if not (is_coloured and axis == "S")]
    if rows and columns and not many:
        return 1, rows, columns
    if rows and columns and len(many) == 1 and many[0][0] in _SLICE_AXES:
        return many[0][1], rows, columns
    names = {"C": "channels", "S": "values per pixel", "T": "times", "Z": "slices"}
    words = ", ".join(f"{n} {names.get(axis, f'along axis {axis}')}" for axis, n in many)
    detail = (
        f"has {words or 'no rows and columns'}; expected grey slices, one after the other; export "
        "one channel of one time."
    )
    raise PictureError(path, "unsupported", detail)


def _list_ome_pages(path: Path, file: tifffile.TiffFile, series: Any) -> list[int]:
    """Return the pages in the order of the slices, which OME-XML may say (TiffData)."""
    numbers = []
    for z, page in enumerate(series.pages):
        if page is None:
            detail = (
                f"announces {len(series.pages)} slices, but number {z} is not there; copy it again."
            )
            raise PictureError(path, "truncated", detail)
        if page.parent is not file:
            other = page.parent.filehandle.name
            detail = f"has slices in another file ({other}); export them into one file."
            raise PictureError(path, "unsupported", detail)
        numbers.append(int(page.index))
    return numbers


def _check_one_size(path: Path, file: tifffile.TiffFile, numbers: Sequence[int]) -> tuple[int, int]:
    """Return (rows, columns) of the pages, which must be the same for all."""
    sizes: dict[tuple[int, int], int] = {}
    for number in numbers:
        page = as_page(file, number)
        sizes.setdefault((int(page.imagelength), int(page.imagewidth)), number)
    if len(sizes) > 1:
        listed = ", ".join(sorted(f"{w} × {h}" for h, w in sizes))
        detail = f"its pages differ (sizes {listed}); export all slices in one size and type."
        raise PictureError(path, "wrong_size", detail)
    return next(iter(sizes))


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


def _second_page_missing(path: Path) -> PictureError:
    detail = (
        f"this TIFF stack ends in the middle: its second page lies beyond the end of the file "
        f"({path.stat().st_size} bytes); copy it again."
    )
    return PictureError(path, "truncated", detail)


def read_tiff_slice(path: Path) -> NDArray[Any]:
    """Read the picture of a TIFF file as (rows, columns), floats included."""
    with open_tiff(path) as file:
        return _decode(path, file, choose_page(file)[0])


class SliceFacts(NamedTuple):
    """What a slice says of itself: its size, the bits in use, how a screen should bend levels."""

    size: PixelSize = UNKNOWN_SIZE
    stated_bits: int | None = None
    curve: str = ""


def read_slice_facts(path: Path) -> SliceFacts:
    """Return what a TIFF slice states."""
    with open_tiff(path) as file:
        page = choose_page(file)[0]
        return SliceFacts(find_voxel_size(file), find_stated_bits(page), find_curve(page))


def _decode(path: Path, file: tifffile.TiffFile, page: tifffile.TiffPage) -> NDArray[Any]:
    values = to_luminance(decode_page(path, file, page).array)
    step = read_calibration(page)
    return step.apply(values, choose_type(check_type(path, values.dtype), {}, [step]))
