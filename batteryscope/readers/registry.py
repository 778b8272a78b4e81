"""The entrance to all picture formats: by suffix a file is a picture, by content it is read."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from batteryscope.readers.grey_scale import look_at_levels
from batteryscope.readers.picture import (
    UNKNOWN_STYLE,
    AcquisitionMetadata,
    DecodedPage,
    Picture,
    PictureError,
    PictureFormat,
    WritingStyle,
)
from batteryscope.readers.pixels import shows_colour, to_luminance
from batteryscope.readers.raster import BMP, JPEG, PNG
from batteryscope.readers.text_sidecar import read_sidecar
from batteryscope.readers.tiff import TIFF

FORMATS: tuple[PictureFormat, ...] = (JPEG, PNG, BMP, TIFF)
FORMAT_OF_SUFFIX = {suffix: entry for entry in FORMATS for suffix in entry.suffixes}
# What people rename: where in the first 16 bytes a mark stands, and the kind that it tells.
_OTHER_KINDS = (
    (0, b"GIF8", "a GIF"), (8, b"WEBP", "a WebP"), (4, b"ftypavi", "an AVIF"),
    (4, b"ftyp", "a HEIC"), (4, b"JXL ", "a JPEG XL"), (0, b"\xff\x0a", "a JPEG XL"),
    (4, b"jP  ", "a JPEG 2000"), (0, b"%PDF", "a PDF"),
)  # fmt: skip
SUFFIXES = tuple(sorted(FORMAT_OF_SUFFIX))


def is_picture_name(name: str) -> bool:
    """Tell whether a file name ends like a picture that can be read, ignoring case."""
    return os.path.splitext(name)[1].lower() in FORMAT_OF_SUFFIX  # noqa: PTH122 (asked for every file)


def read_size(path: Path, *, page: int = 0) -> tuple[int, int]:
    """Read (width, height) in pixels from the header, without decoding.

    Raises
    ------
    PictureError
        The file cannot be read, is cut off, empty or no picture.
    """
    return _recognise(path).read_size(path, page)


def read_metadata(
    path: Path, *, page: int = 0, style: WritingStyle = UNKNOWN_STYLE
) -> AcquisitionMetadata:
    """Read how a picture was taken: its own tags first, then the text file beside it.

    ``style`` is how its instrument writes numbers and dates, as was decided for its data set.

    Raises
    ------
    PictureError
        As :func:`read_size`.
    """
    file_format = _recognise(path)
    width, _ = file_format.read_size(path, page)
    return _read_both(file_format, path, page, width, style)


def read_picture(
    path: Path,
    *,
    max_pixels: int,
    page: int = 0,
    bit_depth: int | None = None,
    style: WritingStyle = UNKNOWN_STYLE,
    keep_colours: bool = False,
) -> Picture:
    """Decode one picture to grey levels as a viewer shows it, with its acquisition metadata.

    Colour becomes luminance, alpha is dropped, orientation tags are applied.

    Parameters
    ----------
    path
        A file with one of the known :data:`SUFFIXES`. A picture of another known format
        under a wrong suffix is read by its content.
    max_pixels
        Largest width × height; the header is asked before anything is decoded.
    page
        Page of a multi-page TIFF, from 0; other formats have one page.
    bit_depth
        Bits that the grey levels of a 16-bit file use, as was decided for its data set; without
        it, what this file alone lets one think.
    style
        How its instrument writes numbers and dates, likewise.
    keep_colours
        Return red, green and blue as well.

    Raises
    ------
    PictureError
        With ``reason`` unreadable, truncated, empty, too_large or unsupported.
    """
    file_format = _recognise(path)
    width, height = file_format.read_size(path, page)
    if width * height > max_pixels:
        detail = (
            f"has {width} × {height} pixels, more than max_pixels {max_pixels}; "
            "shrink it, or raise max_pixels if it is meant to be so large."
        )
        raise PictureError(path, "too_large", detail)
    if width < 1 or height < 1:
        raise PictureError(path, "empty", f"has {width} × {height} pixels; replace it.")
    decoded = file_format.decode(path, page)
    pixels = to_luminance(decoded.array)
    lowest, highest = int(pixels.min()), int(pixels.max())
    if lowest == highest:
        detail = f"all pixels have the same grey level {lowest}; replace it or take it out."
        raise PictureError(path, "empty", detail)
    metadata = _read_both(file_format, path, page, width, style)
    picture = Picture(
        np.ascontiguousarray(pixels),
        look_at_levels(pixels, decoded.stated_bit_depth).bits_alone,
        metadata,
        decoded.n_pages,
        shows_colour(decoded.array),
        decoded.stated_bit_depth,
        decoded.curve,
        decoded.array if keep_colours and decoded.array.ndim == 3 else None,
    )
    return picture if bit_depth is None else use_bit_depth(path, picture, bit_depth)


def use_bit_depth(path: Path, picture: Picture, bit_depth: int) -> Picture:
    """Return a picture of a 16-bit file with the bits in use that were decided for all.

    Raises
    ------
    PictureError
        ``unsupported``: it has grey levels that so many bits cannot hold.
    """
    if picture.pixels.dtype == np.uint8:
        return picture
    highest = int(picture.pixels.max())
    if highest >= 2**bit_depth:
        detail = (
            f"reaches grey level {highest}, but {bit_depth} bits, which the pictures of this "
            f"instrument use, end at {2**bit_depth - 1}; state dataset.bit_depth if it is wrong, "
            "or take the picture out."
        )
        raise PictureError(path, "unsupported", detail)
    return replace(picture, bit_depth=bit_depth)


def read_page(path: Path, page: int = 0) -> DecodedPage:
    """Decode one page as it is stored: no check for emptiness, no guess of the bits in use.

    Raises
    ------
    PictureError
        As :func:`read_size`.
    """
    return _recognise(path).decode(path, page)


def _read_both(
    file_format: PictureFormat, path: Path, page: int, width_px: int, style: WritingStyle
) -> AcquisitionMetadata:
    own = file_format.read_metadata(path, page, style)
    return own.complete_with(read_sidecar(path, width_px, style))


def _recognise(path: Path) -> PictureFormat:
    """Find the format by the first bytes of the file."""
    if path.suffix.lower() not in FORMAT_OF_SUFFIX:
        detail = f"the suffix '{path.suffix}' is none of {', '.join(SUFFIXES)}; convert it."
        raise PictureError(path, "unsupported", detail)
    # Unlike those of Path, these say no where a folder may not be searched or a name is too long.
    if os.path.exists(path) and not os.path.isfile(path):  # noqa: PTH110, PTH113 (a fifo waits)
        raise PictureError(path, "unreadable", "is no ordinary file; take it out.")
    try:
        with path.open("rb") as stream:
            start = stream.read(16)
    except OSError as error:
        if os.path.islink(path) and not os.path.exists(path):  # noqa: PTH110, PTH114
            detail = "is a link to a file that is missing; fetch the data again (dvc checkout)."
        else:
            detail = f"cannot be opened ({error.strerror}); check path and permissions."
        raise PictureError(path, "unreadable", detail) from None
    if not start:
        raise PictureError(path, "empty", "has no content (0 bytes); copy it again.")
    for file_format in FORMATS:
        if start.startswith(file_format.signatures):
            return file_format
    suffix_format = FORMAT_OF_SUFFIX[path.suffix.lower()]
    if any(signature.startswith(start) for signature in suffix_format.signatures):
        detail = (
            f"this {suffix_format.name} file ends too early ({len(start)} bytes); copy it again."
        )
        raise PictureError(path, "truncated", detail)
    other = next((name for place, mark, name in _OTHER_KINDS if start[place:].startswith(mark)), "")
    if other:
        detail = f"is {other} file, no {suffix_format.name} picture; save it as PNG or TIFF."
        raise PictureError(path, "unsupported", detail)
    raise PictureError(path, "unreadable", f"is no {suffix_format.name} picture; replace it.")
