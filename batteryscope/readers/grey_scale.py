"""How many bits the grey levels of 16-bit files use, and how they become 8 bits."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FEW_PIXELS = 4096


@dataclass(frozen=True)
class GreyLevels:
    """What a 16-bit picture says about the bits in use.

    Attributes
    ----------
    highest
        Its highest grey level.
    own_bits
        Bits in use as far as the picture itself proves them: stated in the file, or its levels
        lie 256 or 257 apart, or 16 apart and beyond 4095, so that they fill 16 bits. None: a dark
        picture and one of fewer bits look alike, and only others of the instrument can tell.
    """

    highest: int
    own_bits: int | None

    @property
    def bits_alone(self) -> int:
        """Bits in use if nothing else were known: 8, 12 or 16 by the highest grey level."""
        return self.own_bits or choose_bits(self.highest)


def look_at_levels(pixels: npt.NDArray[Any], stated_bits: int | None = None) -> GreyLevels:
    """Look for what a picture proves about its bits in use.

    Parameters
    ----------
    pixels
        Any shape, uint8 or uint16.
    stated_bits
        What the file says; not believed if a grey level is higher.
    """
    highest = int(pixels.max(initial=0))
    if pixels.dtype == np.uint8:
        return GreyLevels(highest, 8)
    if stated_bits is not None and highest < 2**stated_bits:
        return GreyLevels(highest, stated_bits)
    if highest > 255 and _fills_16_bits(pixels, highest):
        return GreyLevels(highest, 16)
    return GreyLevels(highest, None)


def choose_bits(highest: int) -> int:
    """Return the bits in use of an instrument whose brightest pixel is ``highest``: 8, 12 or 16.

    Cameras and scan generators write 8, 12 or 16 bits into 16-bit files without saying so.
    """
    return 8 if highest <= 255 else 12 if highest <= 4095 else 16


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
        Bits in use; without it, :func:`look_at_levels` looks at this picture alone.

    Returns
    -------
    ndarray of uint8
        Same shape; the array itself if it was uint8.
    """
    if pixels.dtype == np.uint8:
        return pixels
    shift = max((bit_depth or look_at_levels(pixels).bits_alone) - 8, 0)
    return np.minimum(pixels >> shift, 255).astype(np.uint8)


def _fills_16_bits(pixels: npt.NDArray[Any], highest: int) -> bool:
    """Whether the levels are those of fewer bits, scaled up to 16: their lowest bits never change.

    Levels 16 apart up to 4095 may as well be 8 bits scaled up to 12.
    """
    flat = pixels.reshape(-1)
    step = 16 if highest > 4095 else 256
    # Of a picture that uses its lowest bits, a few thousand pixels tell it.
    few = flat[:: flat.size // FEW_PIXELS + 1]
    if _find_changing_bits(few, flat[0]) % step and np.any(few % 257):
        return False
    changing = _find_changing_bits(flat, flat[0])
    return (changing > 0 and changing % step == 0) or not np.any(flat % 257)


def _find_changing_bits(levels: npt.NDArray[Any], first: Any) -> int:
    return int(np.bitwise_or.reduce(levels ^ first))
