"""What every reader returns: grey pixels, what the microscope wrote, and why a file fails."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from batteryscope.errors import InputError

_BLOCK_ROWS = 256
_COLOUR_SHARE = 0.06  # of the highest grey level, between the channels, on average

Reason = Literal["unreadable", "truncated", "empty", "too_large", "unsupported", "wrong_size"]


class PictureError(InputError):
    """A picture file that cannot be used.

    Attributes
    ----------
    path
        The file.
    reason
        Why, as one of the manifest's reject reasons.
    detail
        The same in words, without the file name.
    """

    def __init__(self, path: Path, reason: Reason, detail: str):
        super().__init__(f"{path}: {detail}")
        self.path = path
        self.reason: Reason = reason
        self.detail = detail


@dataclass(frozen=True)
class AcquisitionMetadata:
    """How a picture was taken; None is "not stated".

    ``acquired_at`` is naive local time of the microscope. ``data_bar_px`` is the height
    of the text strip at the lower edge. ``brightness`` and ``contrast`` are detector
    settings in the vendor's own units. ``original`` keeps every entry as it was written.
    """

    pixel_size_um: float | None = None
    magnification: float | None = None
    voltage_kv: float | None = None
    working_distance_mm: float | None = None
    brightness: float | None = None
    contrast: float | None = None
    detector: str | None = None
    acquired_at: datetime | None = None
    data_bar_px: int | None = None
    instrument: str | None = None
    original: dict[str, str] = field(default_factory=dict)

    def complete_with(self, other: "AcquisitionMetadata") -> "AcquisitionMetadata":
        """Fill what is not stated here from ``other``; entries of both are kept in ``original``."""
        gaps: dict[str, Any] = {
            f.name: getattr(other, f.name) for f in fields(self) if getattr(self, f.name) is None
        }
        return replace(self, **gaps, original={**other.original, **self.original})


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes
    ----------
    pixels
        Grey levels, shape (height, width), uint8 or uint16.
    bit_depth
        Bits that the grey levels use: 8 with uint8, otherwise 9 to 16.
    metadata
        How it was taken.
    n_pages
        Pages in the file; only one of them is in ``pixels``.
    is_coloured
        Whether the file showed colours, not only grey written in three channels.
    """

    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    bit_depth: int
    metadata: AcquisitionMetadata
    n_pages: int = 1
    is_coloured: bool = False

    @property
    def pixels_8bit(self) -> npt.NDArray[np.uint8]:
        """The grey levels in 0 to 255, scaled by the picture's bit depth; see :func:`to_uint8`."""
        return to_uint8(self.pixels, self.bit_depth)


@dataclass(frozen=True)
class DecodedPage:
    """What a format's decoder returns: (H, W) or (H, W, 3) uint8 or uint16, before any scaling.

    ``stated_bit_depth`` is what the file says about the bits in use, None if nothing.
    """

    array: npt.NDArray[Any]
    n_pages: int = 1
    stated_bit_depth: int | None = None


@dataclass(frozen=True)
class PictureFormat:
    """One entry of the registry.

    ``signatures`` are the first bytes of a file. ``read_size`` returns (width, height)
    of a page from the header alone, ``decode`` its pixels, ``read_metadata`` what the
    file itself says about the acquisition. All three take the path and the page number,
    and raise :class:`PictureError`.
    """

    name: str
    suffixes: tuple[str, ...]
    signatures: tuple[bytes, ...]
    read_size: Callable[[Path, int], tuple[int, int]]
    decode: Callable[[Path, int], DecodedPage]
    read_metadata: Callable[[Path, int], AcquisitionMetadata]


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


def find_bit_depth(pixels: npt.NDArray[Any]) -> int:
    """Guess how many bits of a uint16 picture are in use: 8, 12 or 16.

    Cameras and scan generators write 8, 12 or 16 bits into 16-bit files without saying
    so. The answer depends on the range alone: up to 255 is 8 bit, up to 4095 is 12 bit,
    else 16 bit. A dark 8-bit picture that was multiplied by 256 or 257 would look like
    12 bit; its regular grey levels give it away.
    """
    if pixels.dtype == np.uint8:
        return 8
    highest = int(pixels.max(initial=0))
    if highest <= 255:
        return 8
    if highest > 4095 or not np.any(pixels % 256) or not np.any(pixels % 257):
        return 16
    return 12


def to_uint8(pixels: npt.NDArray[Any], bit_depth: int | None = None) -> npt.NDArray[np.uint8]:
    """Scale grey levels to 8 bit by a fixed rule: the highest 8 of ``bit_depth`` bits.

    The same 8-bit picture gives the same result whether it was saved with 8 bits, in
    16 bits unchanged, times 256, or times 257 (full range). Nothing depends on the
    lowest and highest grey level of the single picture, so that pictures stay comparable.

    Parameters
    ----------
    pixels
        Any shape, uint8 or uint16.
    bit_depth
        Bits in use; without it, :func:`find_bit_depth` looks.

    Returns
    -------
    ndarray of uint8
        Same shape; the array itself if it was uint8.
    """
    if pixels.dtype == np.uint8:
        return pixels
    shift = max((bit_depth or find_bit_depth(pixels)) - 8, 0)
    return np.minimum(pixels >> shift, 255).astype(np.uint8)
