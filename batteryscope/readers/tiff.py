"""TIFF pictures with 1 to 16 bits, one or many pages, and the vendor tags inside them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import tifffile

from batteryscope.readers.fei_tags import read_fei_tags
from batteryscope.readers.picture import (
    AcquisitionMetadata,
    DecodedPage,
    PictureError,
    PictureFormat,
)
from batteryscope.readers.pixels import turn_size
from batteryscope.readers.tiff_page import (
    TIFF_SIGNATURES,
    choose_page,
    decode_page,
    open_tiff,
    read_orientation,
)
from batteryscope.readers.tiff_units import find_voxel_size
from batteryscope.readers.zeiss_tags import read_zeiss_tags


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
        return replace(decode_page(path, file, page), n_pages=n_pages)


def _read_metadata(path: Path, number: int) -> AcquisitionMetadata:
    with _open(path, number) as (file, page, _):
        try:
            if file.is_sem and file.sem_metadata:
                return read_zeiss_tags(file.sem_metadata)
            if file.is_fei and file.fei_metadata:
                return read_fei_tags(file.fei_metadata, page.imagelength)
            # A plain resolution tag is a print setting; only these two state a measured scale.
            measured = file.is_imagej or file.is_ome
            pixel_um = find_voxel_size(file)[0] if measured else None
        except Exception as error:  # a broken vendor tag must not cost the picture
            return AcquisitionMetadata(original={"vendor tag": f"not readable: {error}"})
        texts = {tag.name: tag.value for tag in page.tags if isinstance(tag.value, str)}
        return AcquisitionMetadata(pixel_size_um=pixel_um, original=texts)


TIFF = PictureFormat(
    name="TIFF",
    suffixes=(".tif", ".tiff"),
    signatures=TIFF_SIGNATURES,
    read_size=_read_size,
    decode=_decode,
    read_metadata=_read_metadata,
)
