"""What every reader returns: grey pixels, what the microscope wrote, and why a file fails."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from batteryscope.errors import InputError
from batteryscope.readers.grey_scale import GreyLevels, look_at_levels, to_uint8
from batteryscope.readers.number_text import DecimalSign
from batteryscope.readers.written_values import DateOrder

# No picture of something is packed tighter; a damaged width asks for gigabytes.
MOST_PACKED, SMALL_BYTES = 5000, 64_000_000

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


class WritingStyle(NamedTuple):
    """How numbers and dates are written, as far as it was decided beyond a single file.

    ``stated`` goes before what the file itself lets one think.
    """

    decimal: DecimalSign | None = None
    dates: DateOrder | None = None
    stated: bool = False


UNKNOWN_STYLE = WritingStyle()


@dataclass(frozen=True)
class WritingEvidence:
    """What a file says about how it writes numbers and dates.

    Attributes
    ----------
    decimals
        Decimal signs that some of its values prove.
    orders
        Orders of day and month that some of its dates prove.
    unclear
        Field → text of values that were left out since they could be read in two ways.
    """

    decimals: frozenset[DecimalSign] = frozenset()
    orders: frozenset[DateOrder] = frozenset()
    unclear: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AcquisitionMetadata:
    """How a picture was taken; None is "not stated".

    ``acquired_at`` is naive local time of the microscope. ``data_bar_px`` is the height
    of the text strip at the lower edge. ``brightness`` and ``contrast`` are detector
    settings in the vendor's own units. ``original`` keeps every entry as it was written.
    ``unread_sidecar`` names a text file beside the picture in which nothing was understood,
    ``unequal_edges_um`` width and height of a pixel that is no square, ``writing`` how numbers and
    dates are written and which were left out.
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
    unread_sidecar: str | None = None
    unequal_edges_um: tuple[float, float] | None = None
    writing: WritingEvidence = WritingEvidence()

    def complete_with(self, other: "AcquisitionMetadata") -> "AcquisitionMetadata":
        """Fill what is not stated here from ``other``; entries of both are kept in ``original``."""
        gaps: dict[str, Any] = {
            f.name: getattr(other, f.name) for f in fields(self) if getattr(self, f.name) is None
        }
        both = replace(self, **gaps, original={**other.original, **self.original})
        unclear = {**other.writing.unclear, **self.writing.unclear}
        writing = WritingEvidence(
            self.writing.decimals | other.writing.decimals,
            self.writing.orders | other.writing.orders,
            {name: text for name, text in unclear.items() if getattr(both, name) is None},
        )
        return replace(both, writing=writing)


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes
    ----------
    pixels
        Grey levels, shape (height, width), uint8 or uint16.
    bit_depth
        Bits that the grey levels use: 8 with uint8, otherwise 8 to 16.
    metadata
        How it was taken.
    n_pages
        Pages in the file; only one of them is in ``pixels``.
    is_coloured
        Whether the file showed colours, not only grey written in three channels.
    stated_bit_depth
        Bits in use after the file itself, None if it says nothing.
    curve
        What the file says about how a screen should bend its grey levels, which is not done:
        ``gamma 1``, ``a transfer function``; "" if nothing.
    colours
        Red, green and blue, (height, width, 3), of the same type, if they were asked for and the
        file has them.
    """

    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    bit_depth: int
    metadata: AcquisitionMetadata
    n_pages: int = 1
    is_coloured: bool = False
    stated_bit_depth: int | None = None
    curve: str = ""
    colours: npt.NDArray[Any] | None = None

    @property
    def levels(self) -> GreyLevels:
        """What the picture itself proves about its bits in use."""
        return look_at_levels(self.pixels, self.stated_bit_depth)

    @property
    def pixels_8bit(self) -> npt.NDArray[np.uint8]:
        """The grey levels in 0 to 255, scaled by the picture's bit depth."""
        return to_uint8(self.pixels, self.bit_depth)

    def show(self, colours: bool) -> npt.NDArray[np.uint8]:
        """Return grey levels, or with ``colours`` (height, width, 3); both 0 to 255.

        A grey picture has three equal channels.
        """
        if not colours:
            return self.pixels_8bit
        if self.colours is None:
            return np.repeat(self.pixels_8bit[..., None], 3, axis=2)
        return to_uint8(self.colours, self.bit_depth)


@dataclass(frozen=True)
class DecodedPage:
    """What a format's decoder returns: (H, W) or (H, W, 3) uint8 or uint16, before any scaling.

    ``stated_bit_depth`` is what the file says about the bits in use, None if nothing; ``curve``
    as of :class:`Picture`.
    """

    array: npt.NDArray[Any]
    n_pages: int = 1
    stated_bit_depth: int | None = None
    curve: str = ""


@dataclass(frozen=True)
class PictureFormat:
    """One entry of the registry.

    ``signatures`` are the first bytes of a file. ``read_size`` returns (width, height)
    of a page from the header alone, ``decode`` its pixels, ``read_metadata`` what the
    file itself says about the acquisition. All three take the path and the page number (the
    last one also how the instrument writes numbers), and raise :class:`PictureError`.
    """

    name: str
    suffixes: tuple[str, ...]
    signatures: tuple[bytes, ...]
    read_size: Callable[[Path, int], tuple[int, int]]
    decode: Callable[[Path, int], DecodedPage]
    read_metadata: Callable[[Path, int, WritingStyle], AcquisitionMetadata]


def check_packing(path: Path, size: tuple[int, int], bytes_per_pixel: int) -> None:
    """Refuse a picture that announces more than its file can hold.

    Raises
    ------
    PictureError
        ``truncated``: nothing that shows something is packed that tight.
    """
    announced, present = size[0] * size[1] * bytes_per_pixel, path.stat().st_size
    if announced > max(SMALL_BYTES, MOST_PACKED * present):
        detail = f"announces {size[0]} × {size[1]} pixels in {present} bytes; copy it again."
        raise PictureError(path, "truncated", detail)
