"""From stored numbers to the grey levels that a viewer shows: one set of rules for all formats.

Pictures and slices of scans, whether TIFF, DICOM or what Pillow decodes, pass through
:func:`show_as_viewer`. What a format says about its numbers is put into :class:`PixelRules`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

_BLOCK_ROWS = 256
_COLOUR_SHARE = 0.06  # of the highest grey level, between the channels, on average


@dataclass(frozen=True)
class PixelRules:
    """What the stored numbers of a picture mean.

    Attributes
    ----------
    white_is_zero
        0 is white (TIFF WhiteIsZero, DICOM MONOCHROME1).
    bits_stored
        Bits that a number can use; None: all bits of its type.
    palette
        Colours of shape (n, 3), uint8, of which the numbers are rows; None without.
    orientation
        1 to 8, as TIFF 6.0 (tag 274) and EXIF count: where the first row and column belong.
    first_index
        The number that stands for row 0 of the palette.
    """

    white_is_zero: bool = False
    bits_stored: int | None = None
    palette: npt.NDArray[np.uint8] | None = None
    orientation: int = 1
    first_index: int = 0


def show_as_viewer(stored: npt.NDArray[Any], rules: PixelRules) -> npt.NDArray[Any]:
    """Return the picture that a viewer shows.

    Parameters
    ----------
    stored
        Shape (H, W) or (H, W, 3), as decoded.
    rules
        What the file says about it.

    Returns
    -------
    ndarray
        Shape (H, W) or (H, W, 3), or (W, H, …) if the picture lay on its side. Black is 0. Grey
        levels of fewer than 8 bits are spread over 0 to 255.

    Raises
    ------
    ValueError
        A number has no colour in the palette, or floats that have no highest value are inverted.
    """
    array = stored
    if rules.palette is not None:
        array = _look_up(array, rules.palette, rules.first_index)
    elif array.dtype == bool or (rules.bits_stored or 8) < 8:
        array = _spread(array, rules.bits_stored or 1)
        if rules.white_is_zero:
            array = np.uint8(255) - array
    elif rules.white_is_zero:
        array = invert(array, rules.bits_stored)
    return turn_upright(array, rules.orientation)


def invert(array: npt.NDArray[Any], bits_stored: int | None = None) -> npt.NDArray[Any]:
    """Exchange black and white within the bits in use: v → 2^bits − 1 − v, signed v → −1 − v.

    Numbers above 2^bits − 1 would come out negative; then all bits of the type are in use.

    Raises
    ------
    ValueError
        Floats: nobody knows which one is white.
    """
    if array.dtype.kind == "i":
        return np.invert(array)
    if array.dtype.kind != "u":
        raise ValueError("stores 0 as white in floating-point numbers, whose black nobody knows")
    whole = int(np.iinfo(array.dtype).max)
    highest = whole if bits_stored is None else min(2**bits_stored - 1, whole)
    if highest < whole and int(array.max(initial=0)) > highest:
        highest = whole
    return np.subtract(array.dtype.type(highest), array)


def turn_upright(array: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Turn and mirror so that row 0 is the top and column 0 the left (EXIF orientation 1 to 8).

    Anything but 2 to 8 leaves the picture as it is, as viewers do.
    """
    if not 2 <= orientation <= 8:
        return array
    if orientation >= 5:
        array = np.swapaxes(array, 0, 1)
    # After the exchange of axes: mirrored along columns (2, 6), both (3, 7), rows (4, 8).
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.ascontiguousarray(array)


def turn_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return (width, height), or whichever pair, as it is after :func:`turn_upright`."""
    return (size[1], size[0]) if 5 <= orientation <= 8 else size


def to_luminance(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Turn colour into grey by ITU-R BT.601 weights (0.299, 0.587, 0.114).

    Parameters
    ----------
    array
        Shape (H, W) or (H, W, 3), uint8 or uint16.

    Returns
    -------
    ndarray
        Shape (H, W), same dtype. Equal channels keep their value exactly. 16 bits use
        the integer weights that Pillow uses for 8, so that all formats agree.
    """
    if array.ndim == 2:
        return array
    if array.dtype == np.uint8:
        return np.asarray(Image.fromarray(np.ascontiguousarray(array)).convert("L"))
    grey = np.empty(array.shape[:2], array.dtype)
    for top in range(0, len(array), _BLOCK_ROWS):  # in blocks: sums of large pictures are large
        block = array[top : top + _BLOCK_ROWS].astype(np.uint32)
        weighted = block[..., 0] * 19595 + block[..., 1] * 38470 + block[..., 2] * 7471
        grey[top : top + _BLOCK_ROWS] = (weighted + 0x8000) >> 16
    return grey


def shows_colour(array: npt.NDArray[Any]) -> bool:
    """Whether the channels of a picture differ by more than a white balance that is a bit off.

    Parameters
    ----------
    array
        Shape (H, W) or (H, W, 3), uint8 or uint16; every eighth row and column is looked at.
    """
    if array.ndim == 2:
        return False
    sample = array[::8, ::8].astype(np.int64)
    span = sample.max(axis=2) - sample.min(axis=2)
    return bool(span.mean() > _COLOUR_SHARE * max(1, int(sample.max())))


def keep_axes(shape: tuple[int, ...], n: int) -> tuple[int, ...]:
    """Drop axes of length one, first those in front, until ``n`` are left (or none can go).

    >>> keep_axes((1, 1, 5, 12, 9), 3), keep_axes((1, 1, 1, 12, 9), 3), keep_axes((5, 12, 9, 1), 3)
    ((5, 12, 9), (1, 12, 9), (5, 12, 9))
    """
    kept = list(shape)
    while len(kept) > n and 1 in kept:
        kept.remove(1)
    return tuple(kept)


def _look_up(
    indices: npt.NDArray[Any], palette: npt.NDArray[np.uint8], first: int
) -> npt.NDArray[np.uint8]:
    """Replace palette indices by their colours; numbers below the first one have its colour."""
    places = np.maximum(indices.astype(np.int64) - first, 0) if first else indices
    if int(places.max(initial=0)) >= len(palette):
        raise ValueError(
            f"holds the number {int(places.max())}, but its palette has {len(palette)} colours"
        )
    return palette[places.astype(np.intp)]


def _spread(array: npt.NDArray[Any], bits: int) -> npt.NDArray[np.uint8]:
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    return (array.astype(np.uint16) * 255 // (2**bits - 1)).astype(np.uint8)
