"""DICOM series: one file per slice in a folder, or one file with many frames."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batteryscope.readers.dicom_header import (
    Frame,
    Header,
    find_instrument,
    find_voxel_size,
    has_picture,
    list_frames,
    read_header,
)
from batteryscope.readers.dicom_order import OrderedFrames, sort_frames
from batteryscope.readers.dicom_rescale import Rescale, choose_type, read_rescale
from batteryscope.readers.picture import PictureError, check_packing
from batteryscope.readers.pixels import PixelRules, invert, show_as_viewer, to_luminance
from batteryscope.readers.volume import Volume, check_type

_SAME_DIRECTION = 1e-3  # of direction cosines; scanners write six digits


def is_dicom(path: Path) -> bool:
    """Tell by the mark after the preamble whether a file is DICOM."""
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def has_several_frames(path: Path) -> bool:
    """Tell whether a DICOM file is a scan by itself."""
    try:
        return read_header(path).n_frames > 1
    except Exception:  # opening it will tell
        return False


def open_dicom(path: Path, names: Sequence[str] | None = None) -> Volume:
    """Open a DICOM series, in the order of the slices' positions.

    Without positions the instance numbers count, without these the names. Files without a picture
    and copies of a slice are left out, and :attr:`Volume.left_out` says so. Grey levels are
    those after rescale slope and intercept, which may differ from slice to slice; 0 is black.

    Parameters
    ----------
    path
        Folder of the series, or a file with several frames, whose functional groups say where
        each one lies.
    names
        File names within the folder; looked up if not given.

    Raises
    ------
    PictureError
        A file is damaged or states an impossible rescaling; the folder holds several series,
        orientations or sizes, or two pictures of one place.
    """
    with _explain_damage(path):
        return _open(path, names)


@contextmanager
def _explain_damage(path: Path) -> Iterator[None]:
    """Turn what a damaged header raises into a PictureError."""
    try:
        yield
    except (PictureError, MemoryError):
        raise
    except Exception as error:  # a tag is interpreted when it is asked for, and may raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        detail = f"its DICOM header is damaged ({reason}); copy it again."
        raise PictureError(path, "unreadable", detail) from None


def _open(path: Path, names: Sequence[str] | None) -> Volume:
    left_out: tuple[str, ...] = ()
    if path.is_file():
        headers = [read_header(path)]
        if not has_picture(headers[0]):
            detail = "this DICOM file holds no picture (rows and columns); take it out."
            raise PictureError(path, "unsupported", detail)
    else:
        found = [path / n for n in names] if names is not None else sorted(path.iterdir())
        every = [read_header(file) for file in found if names is not None or is_dicom(file)]
        headers = [header for header in every if has_picture(header)]
        others = [header.file.name for header in every if not has_picture(header)]
        left_out = (_describe_others(others),) if others else ()
        if not headers:
            detail = "holds DICOM files, but none with a picture; export the series again."
            raise PictureError(path, "unsupported", detail)
        _check_alike(path, headers)
    frames = [frame for header in headers for frame in list_frames(header)]
    _check_orientations(path, frames)
    ordered = sort_frames(path, frames, lambda frame: _read_stored(frame.header, frame.index))
    return _make_volume(path, ordered, left_out)


def _make_volume(path: Path, ordered: OrderedFrames, left_out: tuple[str, ...]) -> Volume:
    frames = ordered.frames
    steps_of = {f.header.file: _read_rescale(f.header) for f in frames}
    steps = [steps_of[frame.header.file][frame.index or 0] for frame in frames]
    first = _read_pixels(frames[0].header, frames[0].index)
    tags = frames[0].header.tags
    dtype = choose_type(first.dtype, tags, steps)
    padding = [_find_padding(frame.header, first.dtype) for frame in frames]

    def load(z: int) -> NDArray[Any]:
        with _explain_damage(frames[z].header.file):
            shown = _read_pixels(frames[z].header, frames[z].index)
        if shown.dtype != first.dtype:
            return shown  # a slice that is stored otherwise is left as it is: read_slice refuses it
        levels = steps[z].apply(shown, dtype)
        outside = padding[z]
        return levels if outside is None else _darken(levels, shown, outside)

    bits = tags.get("BitsStored")
    plain = first.dtype == np.uint16 and all(step == Rescale() for step in steps)
    stated = int(bits) if plain and bits and 8 < int(bits) < 16 else None
    return Volume(
        path,
        (len(frames), *first.shape),
        check_type(path, dtype),
        load,
        find_voxel_size(frames[0], ordered.spacing_um),
        find_instrument(frames[0].header),
        ordered.missing,
        (*left_out, *ordered.left_out),
        ordered.order,
        stated,
    )


def _find_padding(header: Header, dtype: np.dtype[Any]) -> tuple[int, int] | None:
    """Return which numbers, as :func:`_read_pixels` gives them, stand for no measurement."""
    kind = str(header.tags.get("PhotometricInterpretation", "")).strip()
    ends = [header.numbers(f"PixelPadding{name}")[:1] for name in ("Value", "RangeLimit")]
    values = np.array([int(number) for end in ends for number in end])
    bits = header.integer("BitsStored") or 8 * dtype.itemsize
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dtype.kind == "i" else (0, 2**bits - 1)
    if not ends[0] or dtype.kind not in "iu" or not kind.startswith("MONOCHROME"):
        return None
    if values.min() < low or values.max() > high:
        return None  # no pixel can hold it
    if kind == "MONOCHROME1":
        values = invert(values.astype(dtype), bits)
    return int(values.min()), int(values.max())


def _darken(levels: NDArray[Any], shown: NDArray[Any], padding: tuple[int, int]) -> NDArray[Any]:
    """Make what stands for no measurement as dark as the darkest level of the slice."""
    outside = (shown >= padding[0]) & (shown <= padding[1])
    if not outside.any() or outside.all():
        return levels
    return np.where(outside, levels[~outside].min(), levels)


def _read_rescale(header: Header) -> list[Rescale]:
    try:
        if header.tags.get("ModalityLUTSequence"):
            raise ValueError("changes its grey levels by a table (Modality LUT), which is not read")
        return read_rescale(header.tags, header.n_frames)
    except (TypeError, ValueError, AttributeError) as error:
        detail = f"this DICOM file {error}; correct its header or export the series again."
        raise PictureError(header.file, "unsupported", detail) from None


def _read_stored(header: Header, frame: int | None) -> NDArray[Any]:
    from pydicom import dcmread
    from pydicom.pixels import pixel_array

    from batteryscope.readers.dicom_decoders import add_decoders

    size = header.integer("Columns"), header.integer("Rows")
    bits = header.integer("BitsStored")
    if bits and header.numbers("HighBit") not in ([], [bits - 1]):
        detail = (
            f"its {bits} bits end at bit {header.integer('HighBit')} (HighBit), which is not read; "
            "export it again."
        )
        raise PictureError(header.file, "unsupported", detail)
    n_bytes = header.integer("BitsAllocated", 8) // 8 * header.integer("SamplesPerPixel", 1)
    check_packing(header.file, size, max(1, n_bytes))
    add_decoders()
    try:
        # A deflated file has to be read as a whole; of others a single frame is looked up.
        source = dcmread(header.file) if header.is_deflated else header.file
        values = np.asarray(pixel_array(source, index=frame))
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    except MemoryError:
        detail = "does not fit into memory; shrink it."
        raise PictureError(header.file, "too_large", detail) from None
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        detail = (
            f"the pixels of this DICOM file cannot be decoded ({reason}); export it again "
            "without compression."
        )
        raise PictureError(header.file, "unreadable", detail) from None


def _read_pixels(header: Header, frame: int | None) -> NDArray[Any]:
    """Return a frame as a viewer shows it, in grey, before rescaling."""
    from pydicom.pixels import apply_color_lut

    stored = _read_stored(header, frame)
    kind = str(header.tags.get("PhotometricInterpretation", "")).strip()
    bits = header.integer("BitsStored") or None
    try:
        if kind == "PALETTE COLOR":
            colours = apply_color_lut(stored, header.tags)[..., :3]
            wide = int(colours.max(initial=0)) > 255  # some programs wrote 8 bits into the 16
            return to_luminance((colours >> 8 if wide else colours).astype(np.uint8))
        if stored.ndim == 3 and stored.shape[2] == 3:
            return to_luminance(stored)
        if stored.ndim != 2 or not kind.startswith("MONOCHROME"):
            raise ValueError(f"has the colour model '{kind}' and the shape {stored.shape}")
        if header.integer("BitsAllocated") == 1:
            rules = PixelRules(white_is_zero=kind == "MONOCHROME1", bits_stored=1)
            return show_as_viewer(stored, rules)
        # Few bits are not spread: slope and intercept are meant for the stored numbers.
        return invert(stored, bits) if kind == "MONOCHROME1" else stored
    except MemoryError:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        detail = f"this DICOM file cannot be shown in grey ({reason}); export it in grey."
        raise PictureError(header.file, "unsupported", detail) from None


def _check_alike(path: Path, headers: Sequence[Header]) -> None:
    series = {str(h.tags.get("SeriesInstanceUID")) for h in headers}
    if len(series) > 1:
        detail = f"holds {len(series)} DICOM series; put each into a folder of its own."
        raise PictureError(path, "unsupported", detail)
    first = headers[0]
    for header in headers[1:]:
        sizes = [(h.integer("Columns"), h.integer("Rows")) for h in (header, first)]
        if sizes[0] != sizes[1]:
            detail = (
                f"the slice {header.file.name} has {sizes[0][0]} × {sizes[0][1]} pixels, "
                f"{first.file.name} has {sizes[1][0]} × {sizes[1][1]}; export all in one size."
            )
            raise PictureError(path, "wrong_size", detail)


def _check_orientations(path: Path, frames: Sequence[Frame]) -> None:
    first = frames[0]
    for frame in frames[1:]:
        here, there = frame.orientation, first.orientation
        if len(here) != len(there) or not np.allclose(here, there, atol=_SAME_DIRECTION):
            detail = (
                f"its slices have mixed orientations: {first.name} {_name(there)}, "
                f"{frame.name} {_name(here)}; put slices of one orientation into a folder "
                "of their own."
            )
            raise PictureError(path, "unsupported", detail)


def _describe_others(names: Sequence[str]) -> str:
    return (
        f"{len(names)} DICOM files without a picture (reports, directories) are left out, such as "
        f"{names[0]}."
    )


def _name(orientation: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in orientation) + ")" if orientation else "(none)"
