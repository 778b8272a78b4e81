"""One picture on its way into the models: read, recognised, compared with the training data."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batteryscope.core.progress import note_traceback
from batteryscope.manifest.inspect import digest_pixels
from batteryscope.provenance import digest_file
from batteryscope.readers.picture import AcquisitionMetadata, Picture, PictureError
from batteryscope.readers.pixels import shows_colour, to_luminance
from batteryscope.readers.registry import read_picture, use_bit_depth

SAME_SCALE = 0.02  # a share by which structures may be larger or smaller without a reason
FAR_FACTOR = 1.25  # a quarter outside the training range: structures look a class bigger or smaller
FAR_SHARE = 0.25  # of the larger end of a range, for settings that may be 0 or negative
RESCALED = "rescaled from"  # begins a note
_RANGE_WORDS = {
    "width_px": ("width", "px"),
    "height_px": ("height", "px"),
    "magnification": ("magnification", "x"),
    "pixel_size_um": ("pixel size", "µm"),
    "voltage_kv": ("voltage", "kV"),
    "brightness": ("detector brightness", ""),
    "contrast": ("detector contrast", ""),
}
# Of the detector: they move grey levels, and every maker counts them in units of its own.
DETECTOR_SETTINGS = ("brightness", "contrast")
# What is set at the microscope, in the order in which it is told.
SETTINGS = ("voltage_kv", "pixel_size_um", "magnification", *DETECTOR_SETTINGS)


@dataclass(frozen=True)
class Frame:
    """A decoded picture.

    ``sha256`` is of the file ("" if there is none), ``pixel_digest`` of the grey levels,
    which is the same in every file format. ``note`` says what had to be guessed;
    ``undecided`` is a 16-bit picture whose bits in use other pictures have to tell.
    ``is_rescaled``: its grey levels are no longer those of the file, pixel by pixel. ``colours``,
    (height, width, 3), are there if they were asked for.
    """

    file: str
    pixels: NDArray[np.uint8]
    metadata: AcquisitionMetadata
    sha256: str
    pixel_digest: str
    is_coloured: bool = False
    note: str = ""
    undecided: Picture | None = None
    is_rescaled: bool = False
    colours: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class UnusableFrame:
    """A file that cannot be judged, and why in one phrase."""

    file: str
    reason: str


def read_frame(
    path: Path, file: str, max_pixels: int, keep_colours: bool = False
) -> Frame | UnusableFrame:
    """Read a picture; a file that cannot be used is an answer, not an error.

    Parameters
    ----------
    path
        The file.
    file
        How the predictions name it.
    max_pixels
        Largest width × height that is decoded.
    keep_colours
        Keep red, green and blue as well.
    """
    try:
        picture = read_picture(path, max_pixels=max_pixels, keep_colours=keep_colours)
        sha256 = digest_file(path)
    except PictureError as error:
        return UnusableFrame(file, f"{error.reason}: {error.detail}")
    except Exception as error:  # decoders of damaged files may raise anything; one row is lost
        note_traceback(error)
        return UnusableFrame(file, f"unreadable: {type(error).__name__}, {error}")
    return frame_picture(picture, file, sha256, keep_colours)


def frame_picture(
    picture: Picture, file: str, sha256: str = "", keep_colours: bool = False
) -> Frame:
    """Make a frame of a picture that was read; without a file, ``sha256`` is empty."""
    pixels = picture.pixels_8bit
    digest, coloured = digest_pixels(picture), picture.is_coloured
    frame = Frame(file, pixels, picture.metadata, sha256, digest, coloured)
    if keep_colours:
        frame = replace(frame, colours=picture.show(colours=True))
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
        colours=None if frame.colours is None else picture.show(colours=True),
    )


def wrap_pixels(pixels: NDArray[np.uint8], file: str) -> Frame:
    """Make a frame of grey levels, or (H, W, 3) colours, that are in memory already."""
    picture = Picture(np.ascontiguousarray(to_luminance(pixels)), 8, AcquisitionMetadata())
    frame = Frame(file, picture.pixels_8bit, picture.metadata, "", digest_pixels(picture))
    if pixels.ndim == 2:
        return frame
    return replace(frame, colours=pixels, is_coloured=shows_colour(pixels))


def describe_differences(frame: Frame, ranges: Mapping[str, tuple[float, float]]) -> list[str]:
    """Say how a picture differs from all training pictures.

    Parameters
    ----------
    frame
        The picture.
    ranges
        Lowest and highest training value of ``width_px, height_px, magnification,
        pixel_size_um, voltage_kv, brightness, contrast``. What the picture or the training data
        do not state is not compared.

    Returns
    -------
    list of str
        One phrase for each value more than a quarter below or above the range (of the detector's
        settings, which may be negative: a quarter of the larger end), or that could be read in
        two ways.
    """
    phrases = []
    outside = find_outside(frame, ranges)
    for key in ranges:
        if text := frame.metadata.writing.unclear.get(key):
            phrases.append(
                f"{_RANGE_WORDS[key][0]} '{text}' could be read in two ways, not compared"
            )
        phrases += [outside[key]] if key in outside else []
    return phrases


def find_outside(frame: Frame, ranges: Mapping[str, tuple[float, float]]) -> dict[str, str]:
    """Return a phrase for each value that lies outside of the range of training pictures.

    Parameters as of :func:`describe_differences`.
    """
    height, width = frame.pixels.shape
    found: dict[str, float | None] = {
        "width_px": width,
        "height_px": height,
        "magnification": frame.metadata.magnification,
        "pixel_size_um": frame.metadata.pixel_size_um,
        "voltage_kv": frame.metadata.voltage_kv,
        "brightness": frame.metadata.brightness,
        "contrast": frame.metadata.contrast,
    }
    if frame.is_rescaled:  # its scale is that of the training now, its size nobody's
        found |= dict.fromkeys(("width_px", "height_px", "magnification"))
    phrases = {}
    for key, (low, high) in ranges.items():
        value = found.get(key)
        nearest, farthest = low / FAR_FACTOR, high * FAR_FACTOR
        if key in DETECTOR_SETTINGS:
            margin = FAR_SHARE * max(abs(low), abs(high))
            nearest, farthest = low - margin, high + margin
        if value is None or nearest <= value <= farthest:
            continue
        name, unit = _RANGE_WORDS[key]
        known = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        after = f" {unit}" if unit else ""
        phrases[key] = f"{name} {value:g}{after}, trained on {known}{after}"
    return phrases


def leave_comparable(
    frame: Frame, ranges: Mapping[str, tuple[float, float]], instruments: Collection[str]
) -> dict[str, tuple[float, float]]:
    """Leave out the detector's settings unless one of the training's instruments took the picture.

    Parameters
    ----------
    frame
        The picture.
    ranges
        As of :func:`describe_differences`.
    instruments
        Which took the training pictures, as far as their files say.
    """
    if frame.metadata.instrument in instruments:
        return dict(ranges)
    return {key: ends for key, ends in ranges.items() if key not in DETECTOR_SETTINGS}


def find_other_settings(
    frame: Frame, ranges: Mapping[str, tuple[float, float]], sees_brightness: bool = True
) -> list[str]:
    """Say which settings of the microscope lie outside of those of training pictures.

    A known pixel size speaks for the magnification, which every maker counts on another screen.
    Settings of the detector count only if the models see how bright a picture is.
    """
    outside = find_outside(frame, ranges)
    if not sees_brightness:
        outside = {key: told for key, told in outside.items() if key not in DETECTOR_SETTINGS}
    if frame.metadata.pixel_size_um is not None and "pixel_size_um" in ranges:
        outside.pop("magnification", None)
    return [outside[key] for key in SETTINGS if key in outside]


def rescale_frame(
    frame: Frame,
    ranges: Mapping[str, tuple[float, float]],
    max_pixels: int,
    cut_rows: int = 0,
) -> Frame:
    """Bring a picture to the pixel size of the training pictures where both are known.

    A picture within the range stays as it is, and one that would become larger than
    ``max_pixels`` or smaller than a pixel: then its pixel size lies outside and is told.

    ``cut_rows`` at the bottom, which preprocessing will cut as so many, stay so many.
    """
    value, known = frame.metadata.pixel_size_um, ranges.get("pixel_size_um")
    if value is None or known is None or not value > 0:
        return frame
    target = min(max(value, known[0]), known[1])
    factor = value / target
    shown, bar_rows = np.split(frame.pixels, [max(len(frame.pixels) - cut_rows, 0)])
    height, width = (round(edge * factor) for edge in shown.shape)
    n_pixels = (height + len(bar_rows)) * width
    if abs(factor - 1) < SAME_SCALE or not height * width or n_pixels > max_pixels:
        return frame
    way = Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC

    def resize(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        frame, rows = np.split(picture, [len(shown)])
        parts = [Image.fromarray(frame).resize((width, height), way)]
        if len(rows):
            parts.append(Image.fromarray(rows).resize((width, len(rows)), way))
        return np.concatenate([np.asarray(part) for part in parts])

    colours = None if frame.colours is None else resize(frame.colours)
    pixels = resize(frame.pixels)
    bar = frame.metadata.data_bar_px
    metadata = replace(
        frame.metadata,
        pixel_size_um=target,
        data_bar_px=None if bar is None else round(bar * factor),
    )
    told = f"{RESCALED} {value:g} to {target:g} µm per pixel"
    note = "; ".join(filter(None, [frame.note, told]))
    changed = replace(frame, pixels=pixels, metadata=metadata, note=note, is_rescaled=True)
    return replace(changed, colours=colours)
