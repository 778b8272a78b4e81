"""One page of a TIFF file as a viewer shows it, for pictures and for slices of scans alike.

tifffile reads tags and decodes; here is said which page is the picture, whether its strips are
whole, and what its numbers mean.
"""

import logging
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from batteryscope.core.safe_text import first_line
from batteryscope.readers.dicom_rescale import Rescale
from batteryscope.readers.picture import MOST_PACKED, SMALL_BYTES, DecodedPage, PictureError
from batteryscope.readers.pixels import PixelRules, show_as_viewer
from batteryscope.readers.written_values import as_number

# tifffile logs what it finds wrong with a file; here that becomes a reason to reject it.
logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MAX_SAMPLE_VALUE, _ORIENTATION, _PHOTOMETRIC = 281, 274, 262
_CURVES = (291, 301)  # GrayResponseCurve, TransferFunction
_SUBFILE_TYPE, _OLD_SUBFILE_TYPE = 254, 255
_BYTE_COUNTS = (279, 325, 514)  # of strips, tiles, old JPEG
_JPEG_COMPRESSIONS = (6, 7)
_NO_COMPRESSION = 1
_TYPE_BYTES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_MOST_LOOKED_AT = 64  # pages that are asked whether they are thumbnails


@contextmanager
def open_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a file and turn whatever goes wrong inside into a PictureError."""
    with explain_errors(path), tifffile.TiffFile(path) as file:
        yield file


@contextmanager
def explain_errors(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong with a file inside into a PictureError."""
    try:
        yield
    except PictureError:
        raise
    except MemoryError:
        raise PictureError(path, "too_large", "does not fit into memory; shrink it.") from None
    except Exception as error:  # tifffile and its codecs raise errors of many kinds
        if isinstance(error, OSError) and error.errno is not None:
            detail = f"cannot be opened ({error.strerror}); check the file's permissions."
            raise PictureError(path, "unreadable", detail) from None
        if _directory_is_missing(path):
            raise cut_off(path) from None
        detail = f"this TIFF file is damaged ({first_line(error)}); replace it."
        raise PictureError(path, "unreadable", detail) from None


def cut_off(path: Path) -> PictureError:
    """Return the error of a file whose end is missing."""
    size = path.stat().st_size
    detail = f"this TIFF file ends too early ({size} bytes); copy it again."
    return PictureError(path, "truncated", detail)


def list_full_pages(file: tifffile.TiffFile) -> list[int]:
    """Return the pages that are pictures, without thumbnails, reduced copies and masks.

    These are told by NewSubfileType (bits 0 and 2) or the older SubfileType (2). A file all of
    whose pages are marked so keeps them all.
    """
    n_pages = len(file.pages)
    marked = {i for i in range(min(n_pages, _MOST_LOOKED_AT)) if _is_reduced(file.pages[i])}
    return [i for i in range(n_pages) if i not in marked] or list(range(n_pages))


def choose_page(file: tifffile.TiffFile, number: int = 0) -> tuple[tifffile.TiffPage, int]:
    """Return the page that is the picture, and how many pictures the file holds.

    Page 0 is the first full page, unless a later one is at least twice as wide and high: then the
    first is a thumbnail that nobody has marked.

    Raises
    ------
    IndexError
        There is no such page.
    """
    full = list_full_pages(file)
    if not 0 <= number < len(full):
        raise IndexError(f"has {len(full)} pages; page {number} (counted from 0) is not there.")
    page = as_page(file, full[number])
    if number == 0:
        for other in full[1:_MOST_LOOKED_AT]:
            larger = as_page(file, other)
            if larger.imagewidth >= 2 * page.imagewidth and (
                larger.imagelength >= 2 * page.imagelength
            ):
                return larger, len(full) - 1
    return page, len(full)


def as_page(file: tifffile.TiffFile, index: int) -> tifffile.TiffPage:
    """Return a page with tags of its own."""
    page = file.pages[index]
    return page if isinstance(page, tifffile.TiffPage) else page.aspage()


def read_orientation(page: tifffile.TiffPage) -> int:
    """Return the orientation tag, 1 if there is none or it is no number."""
    value = page.tags.valueof(_ORIENTATION, 1)
    return value if isinstance(value, int) else 1


def decode_page(path: Path, file: tifffile.TiffFile, page: tifffile.TiffPage) -> DecodedPage:
    """Decode a page to what a viewer shows: grey or colours, upright, black is 0.

    Raises
    ------
    PictureError
        The page is cut off, damaged or of a kind that cannot be interpreted.
    """
    rules = read_rules(path, page)
    size = int(page.imagelength), int(page.imagewidth)
    if min(size) < 1:
        detail = f"has {size[1]} × {size[0]} pixels; replace it."
        raise PictureError(path, "empty", detail)
    check_segments(path, file, page)
    try:
        array = np.asarray(page.asarray())
    except MemoryError:
        raise PictureError(path, "too_large", "does not fit into memory; shrink it.") from None
    except Exception as error:
        where = f"page {page.index} of " if page.index else ""
        detail = f"{where}this TIFF file is damaged ({first_line(error)}); copy it again."
        raise PictureError(path, "truncated", detail) from None
    array = pick_samples(array, page)
    if array.shape[:2] != size or array.ndim > 3:
        raise _damaged(
            path, f"decodes to the shape {array.shape}, not {size[1]} × {size[0]} pixels"
        )
    shown = apply_rules(path, array, rules)
    return DecodedPage(shown, stated_bit_depth=find_stated_bits(page), curve=find_curve(page))


def read_rules(path: Path, page: tifffile.TiffPage) -> PixelRules:
    """Return what the numbers of a page mean.

    Raises
    ------
    PictureError
        ``unsupported``: nobody knows, or not this reader.
    """
    if problem := _find_unsupported(page):
        detail = f"{problem}; save it as grey or RGB with 8 or 16 bits."
        raise PictureError(path, "unsupported", detail)
    photometric = page.photometric
    stated = find_stated_bits(page)
    palette = None
    if photometric == tifffile.PHOTOMETRIC.PALETTE:
        palette = _read_palette(page)
    return PixelRules(
        white_is_zero=photometric == tifffile.PHOTOMETRIC.MINISWHITE,
        bits_stored=min(int(page.bitspersample), stated or 16),
        palette=palette,
        orientation=read_orientation(page),
    )


def read_calibration(page: tifffile.TiffPage) -> Rescale:
    """Return by which line ImageJ turns the numbers of a page into those that it shows.

    TIFF files of ImageJ hold numbers with a sign 32768 too high, and the line says so.
    """
    file = page.parent
    described = file.imagej_metadata if file.is_imagej else None
    grey = page.photometric == tifffile.PHOTOMETRIC.MINISBLACK and page.bitspersample == 16
    if not described or not grey or page.dtype is None or page.dtype.kind != "u":
        return Rescale()
    intercept, slope = (as_number(described.get(name)) for name in ("c0", "c1"))
    if described.get("cf") != 0 or intercept is None or not slope or slope < 0:
        return Rescale()
    return Rescale(slope, intercept)


def apply_rules(path: Path, array: NDArray[Any], rules: PixelRules) -> NDArray[Any]:
    """Apply rules to decoded numbers; what they do not fit is a PictureError."""
    try:
        return show_as_viewer(array, rules)
    except ValueError as error:
        raise PictureError(path, "unsupported", f"{error}; export it in grey.") from None


def pick_samples(array: NDArray[Any], page: tifffile.TiffPage) -> NDArray[Any]:
    """Keep grey or the three colours of a decoded page; extra samples are transparency."""
    if page.axes == "SYX":
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 3:
        array = array[..., :3] if _has_colour(page) else array[..., 0]
    return array


def find_stated_bits(page: tifffile.TiffPage) -> int | None:
    """Bits in use after BitsPerSample or MaxSampleValue; None if the file does not say."""
    if 8 < page.bitspersample < 16:
        return int(page.bitspersample)
    if page.bitspersample != 16:
        return None
    value = page.tags.valueof(_MAX_SAMPLE_VALUE)
    if value is None:
        return None
    try:
        highest = int(max(value) if isinstance(value, tuple) else value)
    except (TypeError, ValueError):
        return None
    # Some programs write the highest value of the picture instead; that says nothing.
    is_limit = 255 <= highest < 2**16 and highest & (highest + 1) == 0
    return highest.bit_length() if is_limit else None


def find_curve(page: tifffile.TiffPage) -> str:
    """Say by what a screen should bend the grey levels; "" if by nothing."""
    return "a transfer function" if any(tag in page.tags for tag in _CURVES) else ""


def check_segments(path: Path, file: tifffile.TiffFile, page: tifffile.TiffPage) -> None:
    """Check that all strips or tiles are there and whole; correct byte counts that are not.

    Without compression their sizes follow from the size of the picture, and with it from where
    the next one begins, as libtiff computes them.

    Raises
    ------
    PictureError
        ``truncated``: data are missing, or there are too few for a picture of this size.
    """
    size = int(file.filehandle.size)
    offsets, counts = [int(o) for o in page.dataoffsets], [int(c) for c in page.databytecounts]
    n_expected = _count_segments(page)
    if len(offsets) != n_expected or any(not 0 < offset < size for offset in offsets):
        raise _damaged(path, f"has {len(offsets)} strips or tiles, its size needs {n_expected}")
    expected = _expect_bytes(page)
    stated = any(tag in page.tags and page.tags[tag].count == len(offsets) for tag in _BYTE_COUNTS)
    if page.compression == _NO_COMPRESSION:
        short = not stated or any(c < e for c, e in zip(counts, expected, strict=True))
        places = sorted(zip(offsets, expected, strict=True))
        if short and any(a + n > b for (a, n), (b, _) in pairwise(places)):
            raise _damaged(path, "holds strips that are shorter than its size needs")
        counts = expected
    elif not stated:
        ends = sorted({*offsets, size})
        following = dict(pairwise(ends))
        counts = [following[offset] - offset for offset in offsets]
    if any(offset + count > size for offset, count in zip(offsets, counts, strict=True)):
        raise cut_off(path)
    if any(count == 0 for count in counts):
        raise _damaged(path, "holds strips or tiles without data")
    if sum(expected) > max(SMALL_BYTES, MOST_PACKED * sum(counts)):
        raise _damaged(
            path, f"announces {sum(expected)} bytes of grey levels in {sum(counts)} bytes"
        )
    if counts != list(page.databytecounts):
        page.databytecounts = tuple(counts)


def _damaged(path: Path, problem: str) -> PictureError:
    return PictureError(path, "truncated", f"this TIFF file {problem}; copy it again.")


def _count_segments(page: tifffile.TiffPage) -> int:
    """Strips or tiles that a picture of this size consists of."""
    width, length, depth = int(page.imagewidth), int(page.imagelength), int(page.imagedepth)
    planes = 1 if int(page.planarconfig) == 1 else int(page.samplesperpixel)
    if not page.is_tiled:
        return math.ceil(length / _find_strip_rows(page)) * planes * depth
    across, down, deep = (max(int(n), 1) for n in (page.tilewidth, page.tilelength, page.tiledepth))
    per_plane = math.ceil(width / across) * math.ceil(length / down) * math.ceil(depth / deep)
    return per_plane * planes


def _expect_bytes(page: tifffile.TiffPage) -> list[int]:
    """Bytes that every strip or tile has without compression."""
    together = int(page.samplesperpixel) if int(page.planarconfig) == 1 else 1
    bits = int(page.bitspersample) * together
    n_segments = _count_segments(page)
    if page.is_tiled:
        row_bytes = math.ceil(int(page.tilewidth) * bits / 8)
        return [int(page.tilelength) * row_bytes * int(page.tiledepth)] * n_segments
    length, rows = int(page.imagelength), _find_strip_rows(page)
    row_bytes = math.ceil(int(page.imagewidth) * bits / 8)
    n_strips = math.ceil(length / rows)
    last = length - rows * (n_strips - 1)
    one_plane = [rows * row_bytes] * (n_strips - 1) + [last * row_bytes]
    return one_plane * (n_segments // n_strips)


def _find_strip_rows(page: tifffile.TiffPage) -> int:
    length = max(int(page.imagelength), 1)
    return min(int(page.rowsperstrip), length) or length


def _is_reduced(page: Any) -> bool:
    if not isinstance(page, tifffile.TiffPage):
        page = page.aspage()
    kind = page.tags.valueof(_SUBFILE_TYPE, 0)
    old = page.tags.valueof(_OLD_SUBFILE_TYPE, 1)
    return bool(isinstance(kind, int) and kind & 0b101) or old == 2


def _has_colour(page: tifffile.TiffPage) -> bool:
    return page.photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)


def _find_unsupported(page: tifffile.TiffPage) -> str:
    """Say what this reader cannot interpret; "" if it can."""
    if page.dtype is None or page.dtype.kind not in "buif":
        return f"holds numbers of type {page.dtype}"
    if page.axes not in ("YX", "YXS", "SYX"):
        return f"has the axes {page.axes or 'none'} within one page"
    if _PHOTOMETRIC not in page.tags:
        return "does not say whether 0 is black or white (PhotometricInterpretation)"
    grey = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.MINISWHITE)
    known = (*grey, tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.PALETTE)
    is_jpeg = page.compression in _JPEG_COMPRESSIONS  # tifffile converts these to RGB
    if page.photometric not in known and not (
        page.photometric == tifffile.PHOTOMETRIC.YCBCR and is_jpeg
    ):
        return f"has the colour model {getattr(page.photometric, 'name', page.photometric)}"
    needed = 3 if _has_colour(page) else 1
    extra = page.samplesperpixel - needed
    if extra not in (0, 1):  # one more is transparency
        words = "grey" if needed == 1 else "colour"
        return f"holds {page.samplesperpixel} values per pixel of a picture in {words}"
    if needed == 3 and (page.dtype.kind != "u" or page.dtype.itemsize > 2):
        return f"holds colours as numbers of type {page.dtype}"
    if needed == 3 and page.bitspersample < 8:
        return f"holds colours of {page.bitspersample} bits"
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE and (
        page.colormap is None or page.dtype.kind != "u"
    ):
        return "is said to have a palette, but holds none"
    return ""


def _read_palette(page: tifffile.TiffPage) -> NDArray[np.uint8]:
    """Return the colours as (n, 3) with 8 bits; some programs wrote 8 bits into the 16."""
    colours = np.asarray(page.colormap)
    if colours.max(initial=0) > 255:
        colours = colours >> 8
    return np.ascontiguousarray(colours.astype(np.uint8).T)


def _directory_is_missing(path: Path) -> bool:
    """Tell whether the first image directory, or values it refers to, lie beyond the end.

    Layout after the TIFF 6.0 specification and its 64-bit extension (BigTIFF).
    """
    size = path.stat().st_size
    if size == 0:
        return True
    with path.open("rb") as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as content:
        return _refers_beyond(content, size)


def _refers_beyond(content: mmap, size: int) -> bool:
    order = "<" if content[:2] == b"II" else ">"
    is_big = content[2:3] == b"\x2b" or content[3:4] == b"\x2b"
    start, count, entry = ("8xQ", "Q", "HHQ8s") if is_big else ("4xI", "H", "HHI4s")
    try:
        (offset,) = struct.unpack_from(order + start, content)
        (entries,) = struct.unpack_from(order + count, content, offset)
        offset += struct.calcsize(order + count)
        for index in range(entries):
            place = offset + index * struct.calcsize(order + entry)
            _, kind, values, inline = struct.unpack_from(order + entry, content, place)
            length = values * _TYPE_BYTES.get(kind, 1)
            if length > len(inline):
                (place,) = struct.unpack(order + ("Q" if is_big else "I"), inline)
                if place + length > size:
                    return True
    except struct.error:  # beyond the end
        return True
    return False
