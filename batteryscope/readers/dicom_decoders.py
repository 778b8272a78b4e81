"""Compressions of DICOM that pydicom decodes by packages of its own only; here imagecodecs does.

:func:`add_decoders` registers :func:`decode_frame` with pydicom (``Decoder.add_plugin`` of 3.0),
which finds :data:`DECODER_DEPENDENCIES` and :func:`is_available` in this module by their names.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.pixels import get_decoder

_JPEG = (uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1)
_JPEG_LS = (uid.JPEGLSLossless, uid.JPEGLSNearLossless)
_JPEG_2000 = (
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
)
DECODER_DEPENDENCIES = dict.fromkeys((*_JPEG, *_JPEG_LS, *_JPEG_2000), ("imagecodecs",))


@cache
def add_decoders() -> None:
    """Let pydicom ask imagecodecs too, after the packages that it knows itself."""
    for syntax in DECODER_DEPENDENCIES:
        get_decoder(syntax).add_plugin("imagecodecs", (__name__, decode_frame.__name__))


def is_available(syntax: str) -> bool:
    """Tell whether frames of a transfer syntax can be decoded here."""
    return syntax in DECODER_DEPENDENCIES


def decode_frame(source: bytes, runner: Any) -> bytes:
    """Decode one frame.

    Parameters
    ----------
    source
        The compressed frame.
    runner
        pydicom's ``DecodeRunner``: what the header states. Told of it is how the frame comes back,
        colours by pixel in their stored model, which pydicom converts.

    Raises
    ------
    ValueError
        The frame is not of the size that the header states.
    """
    decode = _choose(runner.transfer_syntax)
    shape: tuple[int, ...] = runner.rows, runner.columns
    if runner.samples_per_pixel > 1:
        shape = (*shape, runner.samples_per_pixel)
        runner.set_option("planar_configuration", 0)
    precision = runner.get_option("j2k_precision") or runner.get_option("jls_precision")
    is_signed = bool(runner.get_option("j2k_is_signed", False))
    wide = (precision or runner.bits_stored) > 8
    # The room is given, so that a damaged frame cannot ask for gigabytes.
    pixels = np.empty(shape, f"{'i' if is_signed else 'u'}{2 if wide else 1}")
    decode(source, pixels)
    runner.set_option("bits_allocated", 8 * pixels.dtype.itemsize)
    if runner.photometric_interpretation in ("YBR_ICT", "YBR_RCT"):  # JPEG 2000 has undone these
        runner.set_option("photometric_interpretation", "RGB")
    return pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()


def _choose(syntax: str) -> Callable[[bytes, NDArray[Any]], object]:
    import imagecodecs

    if syntax in _JPEG_LS:
        return lambda source, out: imagecodecs.jpegls_decode(source, out=out)
    if syntax in _JPEG_2000:
        return lambda source, out: imagecodecs.jpeg2k_decode(source, out=out)

    def decode_jpeg(source: bytes, out: NDArray[Any]) -> object:
        # Named alike, the components stay as they are stored.
        model = "RGB" if out.ndim == 3 else None
        return imagecodecs.jpeg8_decode(source, colorspace=model, outcolorspace=model, out=out)

    return decode_jpeg
