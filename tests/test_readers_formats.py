"""Pixels: every format gives the same grey levels, every broken file a reason."""

import io
import struct
import time
import unicodedata
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from batteryscope.readers.grey_scale import look_at_levels, to_uint8
from batteryscope.readers.picture import PictureError
from batteryscope.readers.pixels import to_luminance
from batteryscope.readers.registry import SUFFIXES, is_picture_name, read_picture, read_size

MAX_PIXELS = 1_000_000


@pytest.fixture
def frame() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 250, (40, 56), dtype=np.uint8)


def reason_of(path: Path, max_pixels: int = MAX_PIXELS) -> str:
    with pytest.raises(PictureError) as caught:
        read_picture(path, max_pixels=max_pixels)
    assert str(path) in str(caught.value)
    return caught.value.reason


def write_png_header(path: Path, width: int, height: int) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".TIFF"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_lossless_formats_agree(tmp_path, frame, suffix, mode):
    path = tmp_path / f"frame{suffix}"
    Image.fromarray(frame).convert(mode).save(path)
    picture = read_picture(path, max_pixels=MAX_PIXELS)
    np.testing.assert_array_equal(picture.pixels, frame)
    assert picture.pixels.dtype == np.uint8
    assert picture.bit_depth == 8
    assert read_size(path) == (56, 40)


def test_a_jpeg_frame_and_its_copies_agree(tmp_path, frame):
    source = tmp_path / "a.jpg"
    colour = np.stack([frame, frame // 2, 255 - frame], axis=-1)
    Image.fromarray(colour).save(source, quality=90)
    expected = read_picture(source, max_pixels=MAX_PIXELS).pixels
    for name in ("a.png", "a.bmp", "a.tif"):
        Image.open(source).save(tmp_path / name)
        np.testing.assert_array_equal(
            read_picture(tmp_path / name, max_pixels=MAX_PIXELS).pixels, expected
        )


@pytest.mark.parametrize("factor", [1, 256, 257])
@pytest.mark.parametrize("suffix", [".tif", ".png"])
@pytest.mark.parametrize("highest", [249, 12])
def test_16_bit_copies_of_8_bit_frames_agree(tmp_path, frame, factor, suffix, highest):
    frame = np.minimum(frame, highest)
    path = tmp_path / f"deep{suffix}"
    Image.fromarray(frame.astype(np.uint16) * np.uint16(factor)).save(path)
    picture = read_picture(path, max_pixels=MAX_PIXELS)
    np.testing.assert_array_equal(picture.pixels_8bit, frame)
    assert picture.bit_depth == (8 if factor == 1 else 16)


def test_12_bit_is_scaled_by_a_fixed_rule(tmp_path):
    deep = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    assert look_at_levels(deep).bits_alone == 12
    np.testing.assert_array_equal(to_uint8(deep), deep >> 4)
    # Half the range gives half the grey levels: nothing is stretched per image.
    assert to_uint8(deep[:32]).max() == 127


def test_stated_bit_depth_wins_over_the_guess(tmp_path):
    dark = (np.arange(64 * 64, dtype=np.uint16) // 2).reshape(64, 64)
    tag = (281, "H", 1, 65535, True)
    tifffile.imwrite(tmp_path / "dark.tif", dark, extratags=[tag])
    picture = read_picture(tmp_path / "dark.tif", max_pixels=MAX_PIXELS)
    assert picture.bit_depth == 16
    np.testing.assert_array_equal(picture.pixels_8bit, dark >> 8)


def test_luminance_of_16_bit_colour_matches_8_bit():
    colour = np.random.default_rng(0).integers(0, 256, (300, 9, 3), dtype=np.uint8)
    deep = to_luminance(colour.astype(np.uint16) * np.uint16(257))
    expected = to_luminance(colour)
    assert deep.dtype == np.uint16
    assert np.abs((deep / 257) - expected).max() <= 0.51
    full = np.full((2, 2, 3), 65535, np.uint16)
    assert to_luminance(full).min() == 65535


def test_16_bit_colour_png_keeps_its_depth(tmp_path, frame):
    import imagecodecs

    deep = np.stack([frame] * 3, axis=-1).astype(np.uint16) * np.uint16(257)
    (tmp_path / "c.png").write_bytes(imagecodecs.png_encode(deep))
    picture = read_picture(tmp_path / "c.png", max_pixels=MAX_PIXELS)
    assert picture.bit_depth == 16
    np.testing.assert_array_equal(picture.pixels_8bit, frame)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_dropped(tmp_path, frame, mode):
    image = Image.fromarray(frame).convert(mode)
    image.putalpha(Image.fromarray(255 - frame))
    for name in ("a.png", "a.tif"):
        image.save(tmp_path / name)
        found = read_picture(tmp_path / name, max_pixels=MAX_PIXELS).pixels
        np.testing.assert_array_equal(found, frame)


def test_palette_with_transparency_warns_nobody(tmp_path, frame):
    image = Image.fromarray(frame).quantize(256)
    image.save(tmp_path / "p.png", transparency=bytes(range(256)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read_picture(tmp_path / "p.png", max_pixels=MAX_PIXELS).pixels
    np.testing.assert_array_equal(found, np.asarray(image.convert("L")))


def test_one_bit_pictures_are_black_and_white(tmp_path, frame):
    image = Image.fromarray(frame).convert("1")
    for name in ("b.png", "b.tif", "b.bmp"):
        image.save(tmp_path / name)
        found = read_picture(tmp_path / name, max_pixels=MAX_PIXELS).pixels
        np.testing.assert_array_equal(found, np.asarray(image.convert("L")))


@pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits", "jpeg", None])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_tiff_variants(tmp_path, frame, compression, photometric):
    path = tmp_path / "v.tif"
    stored = frame if photometric == "minisblack" else 255 - frame
    tifffile.imwrite(path, stored, compression=compression, photometric=photometric)
    found = read_picture(path, max_pixels=MAX_PIXELS).pixels
    if compression == "jpeg":
        assert np.abs(found.astype(int) - frame).mean() < 12
    else:
        np.testing.assert_array_equal(found, frame)


def test_planar_and_palette_tiffs(tmp_path, frame):
    tifffile.imwrite(
        tmp_path / "planar.tif",
        np.stack([frame] * 3),
        photometric="rgb",
        planarconfig="separate",
    )
    grey_map = np.stack([np.arange(256, dtype=np.uint16) * 257] * 3)
    tifffile.imwrite(tmp_path / "palette.tif", frame, photometric="palette", colormap=grey_map)
    for name in ("planar.tif", "palette.tif"):
        picture = read_picture(tmp_path / name, max_pixels=MAX_PIXELS)
        np.testing.assert_array_equal(picture.pixels, frame)


def test_multi_page_tiff(tmp_path, frame):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.stack([frame, 255 - frame, frame // 2]), photometric="minisblack")
    first = read_picture(path, max_pixels=MAX_PIXELS)
    assert first.n_pages == 3
    np.testing.assert_array_equal(first.pixels, frame)
    second = read_picture(path, max_pixels=MAX_PIXELS, page=1)
    np.testing.assert_array_equal(second.pixels, 255 - frame)
    with pytest.raises(PictureError, match="has 3 pages"):
        read_picture(path, max_pixels=MAX_PIXELS, page=3)


@pytest.mark.parametrize("dtype", [np.float32, np.uint32, np.int16])
def test_other_numbers_are_unsupported(tmp_path, frame, dtype):
    tifffile.imwrite(tmp_path / "f.tif", frame.astype(dtype))
    assert reason_of(tmp_path / "f.tif") == "unsupported"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_text_is_unreadable(tmp_path, suffix):
    path = tmp_path / f"notes{suffix}"
    path.write_text("This is not a picture, whatever its name says.")
    assert reason_of(path) == "unreadable"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_bytes_and_one_grey_level_are_empty(tmp_path, suffix):
    path = tmp_path / f"nothing{suffix}"
    path.write_bytes(b"")
    assert reason_of(path) == "empty"
    Image.new("L", (30, 20), 77).save(path)
    assert reason_of(path) == "empty"


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.002, 0.02, 0.3, 0.8, 0.97])
def test_cut_off_files_are_truncated(tmp_path, frame, suffix, share, capfd):
    buffer = tmp_path / f"whole{suffix}"
    Image.fromarray(np.tile(frame, (4, 4))).save(buffer)
    content = buffer.read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(content[: max(int(len(content) * share), 1)])
    assert reason_of(path) == "truncated"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("compression", ["lzw", "zlib"])
def test_cut_off_compressed_tiff(tmp_path, frame, compression):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.tile(frame, (4, 4)), compression=compression, rowsperstrip=16)
    for share in (0.3, 0.9):
        path = tmp_path / f"cut{share}.tif"
        path.write_bytes(buffer.getvalue()[: int(buffer.tell() * share)])
        assert reason_of(path) == "truncated"


def test_tiff_that_lost_the_end_of_its_directory(tmp_path, frame):
    whole = tmp_path / "whole.tif"
    Image.fromarray(np.tile(frame, (4, 4))).convert("RGB").save(whole, compression="jpeg")
    for missing in (1, 50, 250):  # the directory is the last part of this file
        path = tmp_path / f"cut{missing}.tif"
        path.write_bytes(whole.read_bytes()[:-missing])
        assert reason_of(path) == "truncated"


def test_damaged_png_is_unreadable(tmp_path, frame):
    path = tmp_path / "damaged.png"
    Image.fromarray(frame).save(path)
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)
    assert reason_of(path) == "unreadable"


def test_decompression_bomb_is_refused_at_once(tmp_path, capfd):
    path = tmp_path / "bomb.png"
    write_png_header(path, 30_000, 30_000)
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert reason_of(path, max_pixels=200_000_000) == "too_large"
    assert time.perf_counter() - started < 1
    assert capfd.readouterr() == ("", "")


def test_max_pixels_is_the_largest_allowed_size(tmp_path, frame):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, frame)
    assert read_picture(path, max_pixels=frame.size).pixels.size == frame.size
    assert reason_of(path, max_pixels=frame.size - 1) == "too_large"


@pytest.mark.parametrize(
    "name",
    [
        "ETRI_ 20 kV_SE_x500 __1.png",
        "a, b;c.png",
        unicodedata.normalize("NFC", "Größe ä.png"),
        unicodedata.normalize("NFD", "Größe ä.png"),
        "양극재 사진.png",
    ],
)
def test_any_file_name(tmp_path, frame, name):
    Image.fromarray(frame).save(tmp_path / name)
    np.testing.assert_array_equal(
        read_picture(tmp_path / name, max_pixels=MAX_PIXELS).pixels, frame
    )


def test_content_decides_over_the_suffix(tmp_path, frame):
    Image.fromarray(frame).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(
        read_picture(tmp_path / "a.jpg", max_pixels=MAX_PIXELS).pixels, frame
    )


def test_broken_links_and_other_suffixes(tmp_path):
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    assert reason_of(tmp_path / "link.png") == "unreadable"
    assert reason_of(tmp_path / "absent.png") == "unreadable"
    (tmp_path / "film.mp4").write_bytes(b"0000")
    assert reason_of(tmp_path / "film.mp4") == "unsupported"
    assert is_picture_name("A.TIF")
    assert not is_picture_name("a.tif.txt")
