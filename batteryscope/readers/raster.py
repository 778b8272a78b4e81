"""JPEG, PNG and BMP pictures, decoded by Pillow."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import BmpImagePlugin, ImageFile, ImagePalette, JpegImagePlugin, PngImagePlugin

from batteryscope.readers.picture import (
    AcquisitionMetadata,
    DecodedPage,
    PictureError,
    PictureFormat,
    check_packing,
)
from batteryscope.readers.pixels import PixelRules, show_as_viewer, turn_size

# Pillow's classes are used directly instead of Image.open, whose guard against huge
# pictures is a process-wide setting and a warning; ours is max_pixels of the data set.
_CLASSES: dict[str, Any] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
}
_END_MARKERS = {"JPEG": b"\xff\xd9", "PNG": b"IEND", "BMP": b""}
_MARKER_WITHIN_BYTES = 64
_JPEG_LS, _JPEG_LS_WITHIN_BYTES = b"\xff\xf7", 64  # its start of frame, behind a header at most
_ORIENTATION = 274  # EXIF
_USUAL_GAMMA = 0.05  # as near as this is the same, for libpng too
_LATE_EXIF_WITHIN_BYTES = 100_000


@contextmanager
def _open(path: Path, name: str) -> Iterator[ImageFile.ImageFile]:
    """Open with Pillow and turn whatever goes wrong inside into a PictureError."""
    try:
        with path.open("rb") as stream:
            yield _CLASSES[name](stream, str(path))
    except PictureError:
        raise
    except MemoryError:
        raise PictureError(path, "too_large", "does not fit into memory; shrink it.") from None
    except Exception as error:  # Pillow raises OSError, SyntaxError, struct.error, ValueError, …
        if isinstance(error, OSError) and error.errno is not None:
            detail = f"cannot be opened ({error.strerror}); check the file's permissions."
            raise PictureError(path, "unreadable", detail) from None
        if other := _name_other_kind(path, name, str(error)):
            detail = f"{other}, which is not read; save it as PNG or TIFF."
            raise PictureError(path, "unsupported", detail) from None
        if _is_cut_off(path, name):
            detail = (
                f"this {name} file ends too early ({path.stat().st_size} bytes); copy it again."
            )
            raise PictureError(path, "truncated", detail) from None
        detail = f"this {name} file is damaged ({error}); replace it."
        raise PictureError(path, "unreadable", detail) from None


def _name_other_kind(path: Path, name: str, error: str) -> str:
    """Say which kind of a format Pillow does not decode; "" if that is not what went wrong."""
    if name == "BMP" and error.startswith("Unsupported BMP"):
        return f"is a BMP picture of a rare kind ({error.removeprefix('Unsupported BMP ')})"
    if name != "JPEG":
        return ""
    if deep := re.fullmatch(r"cannot handle (\d+)-bit layers", error):
        return f"is a JPEG picture of {deep[1]} bits"
    with path.open("rb") as stream:
        return "is a JPEG-LS picture" if _JPEG_LS in stream.read(_JPEG_LS_WITHIN_BYTES) else ""


def _is_cut_off(path: Path, name: str) -> bool:
    """Tell whether the end of a file that failed to decode is missing."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        if name == "BMP":
            stated_size = int.from_bytes(stream.read(6)[2:], "little")
            return size < max(stated_size, 26)
        stream.seek(max(size - _MARKER_WITHIN_BYTES, 0))
        return _END_MARKERS[name] not in stream.read()


def _read_size(path: Path, name: str) -> tuple[int, int]:
    with _open(path, name) as image:
        return turn_size(image.size, _read_orientation(image, path, name))


def _read_orientation(image: ImageFile.ImageFile, path: Path, name: str) -> int:
    """Return the EXIF orientation, by which every viewer turns a picture; 1 if there is none."""
    if name == "BMP" or (name == "PNG" and "exif" not in image.info and not _has_late_exif(path)):
        return 1  # asking Pillow would decode the whole PNG
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF entries cost no picture; viewers ignore them too
        return 1
    return value if isinstance(value, int) else 1


def _has_late_exif(path: Path) -> bool:
    """Tell whether a PNG file may have its EXIF entries behind the pixels."""
    with path.open("rb") as stream:
        stream.seek(max(path.stat().st_size - _LATE_EXIF_WITHIN_BYTES, 0))
        return b"eXIf" in stream.read()


def _decode(path: Path, name: str) -> DecodedPage:
    with _open(path, name) as image:
        check_packing(path, image.size, len(image.getbands()))
        stored = _decode_stored(path, name, image)
        rules = PixelRules(orientation=_read_orientation(image, path, name))
        return DecodedPage(show_as_viewer(stored, rules), curve=_find_gamma(image))


def _find_gamma(image: ImageFile.ImageFile) -> str:
    """Say which gamma a PNG file states, if it is not that of every screen (sRGB, about 1/2.2)."""
    gamma = image.info.get("gamma")
    named = {"srgb", "icc_profile"} & set(image.info)  # these go before it
    usual = named or not isinstance(gamma, float) or abs(2.2 * gamma - 1) < _USUAL_GAMMA
    return "" if usual else f"gamma {gamma:g}"


def _decode_stored(path: Path, name: str, image: ImageFile.ImageFile) -> Any:
    """Return grey or colours as they lie in the file."""
    if name == "BMP":
        _keep_indices(path, image)
    raw_mode = str(image.tile[0][3]) if image.tile else ""
    if name == "PNG" and ";16B" in raw_mode and image.mode != "I;16":
        return _decode_deep_png(path)
    # Alpha is dropped, not blended: hidden pixels count as they were recorded. Colour
    # stays colour here, so that all formats share one conversion to grey.
    image.info.pop("transparency", None)
    if image.mode in ("I;16", "L", "RGB"):
        return np.asarray(image)
    if image.mode in ("1", "LA"):
        return np.asarray(image.convert("L"))
    return np.asarray(image.convert("RGB"))  # palette, alpha, CMYK


def _keep_indices(path: Path, image: ImageFile.ImageFile) -> None:
    """Let Pillow unpack the indices of a BMP file whose palette is a ramp of grey.

    It takes them for grey levels, of 8 bits each (palettes from 0 in steps of 1) or of 1 bit (black
    and white), however many bits they have in the file.
    """
    with path.open("rb") as stream:
        head = stream.read(30)
    place = 24 if head[14] == 12 else 28  # after the length of the header (OS/2, Windows)
    bits = int.from_bytes(head[place : place + 2], "little")
    if image.mode not in ("1", "L") or bits == {"1": 1, "L": 8}[image.mode]:
        return
    ramp = (0, 255) if image.mode == "1" else range(2**bits)
    image.palette = ImagePalette.raw("RGB", bytes(level for level in ramp for _ in "RGB"))
    image._mode = "P"
    tile = image.tile[0]
    if tile.codec_name == "raw":  # run lengths are unpacked to whole bytes
        raw_mode = "P" if bits == 8 else f"P;{bits}"
        stride_and_direction: Any = tile.args
        image.tile = [tile._replace(args=(raw_mode, *stride_and_direction[1:]))]


def _decode_deep_png(path: Path) -> Any:
    """Decode 16-bit colour or alpha, which Pillow would cut to 8 bits; drop alpha."""
    import imagecodecs

    array = imagecodecs.png_decode(path.read_bytes())
    return array[..., :3] if array.shape[-1] >= 3 else array[..., 0]


def _make_format(
    name: str, suffixes: tuple[str, ...], signatures: tuple[bytes, ...]
) -> PictureFormat:
    return PictureFormat(
        name=name,
        suffixes=suffixes,
        signatures=signatures,
        read_size=lambda path, _page: _read_size(path, name),
        decode=lambda path, _page: _decode(path, name),
        # Resolution entries of these formats are screen settings, not pixel sizes.
        read_metadata=lambda _path, _page, _style: AcquisitionMetadata(),
    )


JPEG = _make_format("JPEG", (".jpg", ".jpeg"), (b"\xff\xd8\xff",))
PNG = _make_format("PNG", (".png",), (b"\x89PNG\r\n\x1a\n",))
BMP = _make_format("BMP", (".bmp",), (b"BM",))
