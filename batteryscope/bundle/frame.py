"""One picture on its way into the models: read, recognised, compared with the training data."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from batteryscope.core.progress import note_traceback
from batteryscope.manifest.inspect import digest_pixels
from batteryscope.provenance import digest_file
from batteryscope.readers.picture import AcquisitionMetadata, Picture, PictureError
from batteryscope.readers.registry import read_picture, use_bit_depth

FAR_FACTOR = 1.25  # a quarter outside the training range: structures look a class bigger or smaller
_RANGE_WORDS = {
    "width_px": ("width", "px"),
    "height_px": ("height", "px"),
    "magnification": ("magnification", "x"),
    "pixel_size_um": ("pixel size", "µm"),
}


@dataclass(frozen=True)
class Frame:
    """A decoded picture.

    ``sha256`` is of the file ("" if there is none), ``pixel_digest`` of the grey levels,
    which is the same in every file format. ``note`` says what had to be guessed;
    ``undecided`` is a 16-bit picture whose bits in use other pictures have to tell.
    """

    file: str
    pixels: NDArray[np.uint8]
    metadata: AcquisitionMetadata
    sha256: str
    pixel_digest: str
    is_coloured: bool = False
    note: str = ""
    undecided: Picture | None = None


@dataclass(frozen=True)
class UnusableFrame:
    """A file that cannot be judged, and why in one phrase."""

    file: str
    reason: str


def read_frame(path: Path, file: str, max_pixels: int) -> Frame | UnusableFrame:
    """Read a picture; a file that cannot be used is an answer, not an error.

    Parameters
    ----------
    path
        The file.
    file
        How the predictions name it.
    max_pixels
        Largest width × height that is decoded.
    """
    try:
        picture = read_picture(path, max_pixels=max_pixels)
        sha256 = digest_file(path)
    except PictureError as error:
        return UnusableFrame(file, f"{error.reason}: {error.detail}")
    except Exception as error:  # decoders of damaged files may raise anything; one row is lost
        note_traceback(error)
        return UnusableFrame(file, f"unreadable: {type(error).__name__}, {error}")
    pixels = picture.pixels_8bit
    digest, coloured = digest_pixels(picture), picture.is_coloured
    frame = Frame(file, pixels, picture.metadata, sha256, digest, coloured)
    is_open = picture.pixels.dtype != np.uint8 and picture.levels.own_bits is None
    return replace(frame, undecided=picture) if is_open else frame


def scale_as_known(
    frame: Frame | UnusableFrame, path: Path, bit_depths: Mapping[str, int]
) -> Frame | UnusableFrame:
    """Scale a 16-bit picture as those of its instrument were for training; say if it is a guess.

    Parameters
    ----------
    frame
        What :func:`read_frame` gave.
    path
        The file.
    bit_depths
        Bits in use of 16-bit training pictures, by instrument.
    """
    if isinstance(frame, UnusableFrame) or frame.undecided is None:
        return frame
    picture = frame.undecided
    bits = bit_depths.get(picture.metadata.instrument or "")
    if bits is None and len(set(bit_depths.values())) == 1:
        bits = next(iter(bit_depths.values()))
    if bits is None:
        note = f"its {picture.bit_depth} bits in use were guessed from this picture alone"
        return replace(frame, undecided=None, note=note)
    try:
        picture = use_bit_depth(path, picture, bits)
    except PictureError as error:
        return UnusableFrame(frame.file, f"{error.reason}: {error.detail}")
    return replace(
        frame,
        pixels=picture.pixels_8bit,
        pixel_digest=digest_pixels(picture),
        undecided=None,
    )


def wrap_pixels(pixels: NDArray[np.uint8], file: str) -> Frame:
    """Make a frame of grey levels that are in memory already."""
    picture = Picture(np.ascontiguousarray(pixels), 8, AcquisitionMetadata())
    return Frame(file, picture.pixels_8bit, picture.metadata, "", digest_pixels(picture))


def describe_differences(frame: Frame, ranges: Mapping[str, tuple[float, float]]) -> list[str]:
    """Say how a picture differs from all training pictures.

    Parameters
    ----------
    frame
        The picture.
    ranges
        Lowest and highest training value of ``width_px, height_px, magnification,
        pixel_size_um``. What the picture or the training data do not state is not compared.

    Returns
    -------
    list of str
        One phrase for each value more than a quarter below or above the range, or that could be
        read in two ways.
    """
    height, width = frame.pixels.shape
    found = {
        "width_px": width,
        "height_px": height,
        "magnification": frame.metadata.magnification,
        "pixel_size_um": frame.metadata.pixel_size_um,
    }
    phrases = []
    for key, (low, high) in ranges.items():
        value = found.get(key)
        if text := frame.metadata.writing.unclear.get(key):
            phrases.append(
                f"{_RANGE_WORDS[key][0]} '{text}' could be read in two ways, not compared"
            )
        if value is None or low / FAR_FACTOR <= value <= high * FAR_FACTOR:
            continue
        name, unit = _RANGE_WORDS[key]
        known = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        phrases.append(f"{name} {value:g} {unit}, trained on {known} {unit}")
    return phrases
