"""TIFF pictures with 1 to 16 bits, one or many pages, and the vendor tags inside them."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import tifffile

from batteryscope.readers.fei_tags import read_fei_tags, split_fei_text
from batteryscope.readers.picture import (
    UNKNOWN_STYLE,
    AcquisitionMetadata,
    DecodedPage,
    PictureError,
    PictureFormat,
    WritingStyle,
)
from batteryscope.readers.pixel_size import UNKNOWN_SIZE
from batteryscope.readers.pixels import turn_size
from batteryscope.readers.text_sidecar import LONGEST_TEXT_BYTES, decode_text
from batteryscope.readers.tiff_page import (
    TIFF_SIGNATURES,
    choose_page,
    decode_page,
    open_tiff,
    read_calibration,
    read_orientation,
)
from batteryscope.readers.tiff_units import find_voxel_size
from batteryscope.readers.vendor_sidecars import interpret_vendor
from batteryscope.readers.zeiss_tags import read_zeiss_tags, split_zeiss_text

TESCAN_TAG = 50431
_LAST = 0
# Kinds of blocks with lines ``Key=value``: the sections of TESCAN's text files. 1 is a thumbnail.
_SECTIONS = {2: "MAIN", 3: "SEM", 4: "GAMA", 5: "FIB"}


def find_tescan_text(content: bytes, byte_order: Literal["<", ">"] = "<") -> str:
    """Return the text of the tag as TESCAN writes it into ``.hdr`` files.

    Parameters
    ----------
    content
        The tag's bytes. A damaged or cut block ends the search.
    byte_order
        That of the file.

    Returns
    -------
    str
        Sections, ``[MAIN]`` first; empty if there is no such block.
    """
    texts: dict[str, str] = {}
    place = 0
    while place + 6 <= len(content):
        size, kind = struct.unpack_from(f"{byte_order}IH", content, place)
        end = place + 4 + size
        if size < 2 or end > len(content) or kind == _LAST:
            break
        if section := _SECTIONS.get(kind):
            lines = content[place + 6 : end].rstrip(b"\0").decode("cp1252", errors="replace")
            texts.setdefault(section, lines)
        place = end
    if "MAIN" not in texts:
        return ""
    return "\n".join(f"[{name}]\n{texts[name]}" for name in _SECTIONS.values() if name in texts)


_SIGN_OFFSET = 32_768  # by which ImageJ stores numbers with a sign too high
_ZEISS_TAGS, _FEI_TAGS = (34118,), (34680, 34682)


@contextmanager
def _open(path: Path, number: int) -> Iterator[tuple[tifffile.TiffFile, tifffile.TiffPage, int]]:
    """Open one page; give the file, the page and the number of pages that are pictures."""
    with open_tiff(path) as file:
        try:
            page, n_pages = choose_page(file, number)
        except IndexError as error:
            raise PictureError(path, "unreadable", str(error)) from None
        yield file, page, n_pages


def _read_size(path: Path, number: int) -> tuple[int, int]:
    with _open(path, number) as (_, page, _):
        size = int(page.imagewidth), int(page.imagelength)
        return turn_size(size, read_orientation(page))


def _decode(path: Path, number: int) -> DecodedPage:
    with _open(path, number) as (file, page, n_pages):
        if page.dtype is None or page.dtype.kind not in "bu" or page.dtype.itemsize > 2:
            detail = (
                f"holds numbers of type {page.dtype}; save it as grey or RGB with 8 or 16 bits."
            )
            raise PictureError(path, "unsupported", detail)
        if read_calibration(page).intercept <= -_SIGN_OFFSET:
            detail = (
                "holds numbers with a sign, as ImageJ stores them; save it as grey with 8 or 16 "
                "bits."
            )
            raise PictureError(path, "unsupported", detail)
        return replace(decode_page(path, file, page), n_pages=n_pages)


def _read_metadata(
    path: Path, number: int, style: WritingStyle = UNKNOWN_STYLE
) -> AcquisitionMetadata:
    with _open(path, number) as (file, page, _):
        try:
            if text := _read_text_tag(file, _ZEISS_TAGS):
                return read_zeiss_tags(split_zeiss_text(text), style)
            if text := _read_text_tag(file, _FEI_TAGS):
                return read_fei_tags(split_fei_text(text), page.imagelength, style)
            if content := _read_tag(file, (TESCAN_TAG,)):
                text = find_tescan_text(content, file.byteorder)
                if found := interpret_vendor(text, int(page.imagewidth), style):
                    return found
            # A plain resolution tag is a print setting; only these two state a measured scale.
            measured = file.is_imagej or file.is_ome
            size = find_voxel_size(file) if measured else UNKNOWN_SIZE
        except Exception as error:  # a broken vendor tag must not cost the picture
            return AcquisitionMetadata(original={"vendor tag": f"not readable: {error}"})
        texts = {tag.name: tag.value for tag in page.tags if isinstance(tag.value, str)}
        return AcquisitionMetadata(
            pixel_size_um=size.edge_um, unequal_edges_um=size.unequal_um, original=texts
        )


def _read_text_tag(file: tifffile.TiffFile, codes: tuple[int, ...]) -> str:
    """Return the text of a vendor's tag; tifffile would make 10.0 of ``10.000`` in it."""
    return decode_text(_read_tag(file, codes).rstrip(b"\0"))


def _read_tag(file: tifffile.TiffFile, codes: tuple[int, ...]) -> bytes:
    """Return the first of these tags as it is stored, cut if it is far too long."""
    tags = file.pages.first.tags
    tag = next((tags[code] for code in codes if code in tags), None)
    if tag is None:
        return b""
    handle = file.filehandle
    handle.seek(tag.valueoffset)
    return bytes(handle.read(min(tag.valuebytecount, LONGEST_TEXT_BYTES)))


TIFF = PictureFormat(
    name="TIFF",
    suffixes=(".tif", ".tiff"),
    signatures=TIFF_SIGNATURES,
    read_size=_read_size,
    decode=_decode,
    read_metadata=_read_metadata,
)
