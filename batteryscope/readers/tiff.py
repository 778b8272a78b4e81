"""TIFF pictures with 1 to 16 bits, one or many pages, and the vendor tags inside them."""

import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np
import tifffile

from batteryscope.readers.fei_tags import read_fei_tags
from batteryscope.readers.picture import (
    AcquisitionMetadata,
    DecodedPage,
    PictureError,
    PictureFormat,
)
from batteryscope.readers.zeiss_tags import read_zeiss_tags

# tifffile logs what it finds wrong with a file; here that becomes a reason to reject it.
logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)

_MAX_SAMPLE_VALUE = 281
_JPEG_COMPRESSIONS = (6, 7)
_TYPE_BYTES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


@contextmanager
def _open(path: Path, number: int) -> Iterator[tuple[tifffile.TiffFile, tifffile.TiffPage]]:
    """Open one page and turn whatever goes wrong inside into a PictureError."""
    try:
        with tifffile.TiffFile(path) as file:
            if number > 0 and number >= len(file.pages):
                detail = (
                    f"has {len(file.pages)} pages; page {number} (counted from 0) is not there."
                )
                raise PictureError(path, "unreadable", detail)
            page = file.pages[number]
            if not isinstance(page, tifffile.TiffPage):
                page = page.aspage()
            yield file, page
    except PictureError:
        raise
    except MemoryError:
        raise PictureError(path, "too_large", "does not fit into memory; shrink it.") from None
    except Exception as error:  # tifffile and its codecs raise errors of many kinds
        if isinstance(error, OSError) and error.errno is not None:
            detail = f"cannot be opened ({error.strerror}); check the file's permissions."
            raise PictureError(path, "unreadable", detail) from None
        if _directory_is_missing(path):
            raise _cut_off(path) from None
        detail = f"this TIFF file is damaged ({error}); replace it."
        raise PictureError(path, "unreadable", detail) from None


def _cut_off(path: Path) -> PictureError:
    size = path.stat().st_size
    detail = f"this TIFF file ends too early ({size} bytes); copy it again."
    return PictureError(path, "truncated", detail)


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


def _read_size(path: Path, number: int) -> tuple[int, int]:
    with _open(path, number) as (_, page):
        return int(page.imagewidth), int(page.imagelength)


def _decode(path: Path, number: int) -> DecodedPage:
    with _open(path, number) as (file, page):
        if any(
            offset + count > file.filehandle.size
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)
        ):
            raise _cut_off(path)
        if problem := _find_unsupported(page):
            detail = f"{problem}; save it as grey or RGB with 8 or 16 bits."
            raise PictureError(path, "unsupported", detail)
        array = np.asarray(page.asarray())
        if page.axes == "SYX":
            array = np.moveaxis(array, 0, -1)
        if array.ndim == 3:  # extra samples are alpha
            array = array[..., :3] if _has_colour(page) else array[..., 0]
        array = _to_full_range(array, page.bitspersample)
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
            array = _look_up(array, page)
        if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
            array = np.iinfo(array.dtype).max - array
        return DecodedPage(array, len(file.pages), _stated_bit_depth(page))


def _has_colour(page: tifffile.TiffPage) -> bool:
    return page.photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)


def _find_unsupported(page: tifffile.TiffPage) -> str:
    """Say what this reader cannot interpret; "" if it can."""
    if page.dtype is None or page.dtype.kind not in "bu" or page.dtype.itemsize > 2:
        return f"holds numbers of type {page.dtype}"
    if page.axes not in ("YX", "YXS", "SYX"):
        return f"has the axes {page.axes} within one page"
    known = (
        tifffile.PHOTOMETRIC.MINISBLACK,
        tifffile.PHOTOMETRIC.MINISWHITE,
        tifffile.PHOTOMETRIC.RGB,
        tifffile.PHOTOMETRIC.PALETTE,
    )
    is_jpeg = page.compression in _JPEG_COMPRESSIONS  # tifffile converts these to RGB
    if page.photometric not in known and not (
        page.photometric == tifffile.PHOTOMETRIC.YCBCR and is_jpeg
    ):
        return f"has the colour model {getattr(page.photometric, 'name', page.photometric)}"
    return ""


def _to_full_range(array: np.ndarray, bits: int) -> np.ndarray:
    """Spread 1-, 2- and 4-bit grey levels over 0 to 255; leave 8 bits and more alone."""
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    if bits < 8:
        return (array.astype(np.uint16) * 255 // (2**bits - 1)).astype(np.uint8)
    return array


def _look_up(array: np.ndarray, page: tifffile.TiffPage) -> np.ndarray:
    """Replace palette indices by their 8-bit colours."""
    colours = np.asarray(page.colormap)
    if colours.max(initial=0) > 255:
        colours = colours >> 8
    if page.bitspersample < 8:  # indices were spread over 0 to 255
        array = array // (255 // (2**page.bitspersample - 1))
    return np.moveaxis(colours.astype(np.uint8)[:, array], 0, -1)


def _stated_bit_depth(page: tifffile.TiffPage) -> int | None:
    """Bits in use after BitsPerSample or MaxSampleValue; None if the file does not say."""
    if 8 < page.bitspersample < 16:
        return page.bitspersample
    tag = page.tags.get(_MAX_SAMPLE_VALUE)
    if tag is None:
        return None
    highest = int(max(tag.value) if isinstance(tag.value, tuple) else tag.value)
    # Some programs write the highest value of the picture instead; that says nothing.
    return highest.bit_length() if highest > 0 and highest & (highest + 1) == 0 else None


def _read_metadata(path: Path, number: int) -> AcquisitionMetadata:
    with _open(path, number) as (file, page):
        try:
            if file.is_sem and file.sem_metadata:
                return read_zeiss_tags(file.sem_metadata)
            if file.is_fei and file.fei_metadata:
                return read_fei_tags(file.fei_metadata, page.imagelength)
        except Exception as error:  # a broken vendor tag must not cost the picture
            return AcquisitionMetadata(original={"vendor tag": f"not readable: {error}"})
        texts = {tag.name: tag.value for tag in page.tags if isinstance(tag.value, str)}
        return AcquisitionMetadata(original=texts)


TIFF = PictureFormat(
    name="TIFF",
    suffixes=(".tif", ".tiff"),
    signatures=(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    read_size=_read_size,
    decode=_decode,
    read_metadata=_read_metadata,
)
