"""The data bar is found in the picture, and nothing else is mistaken for one."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from batteryscope.readers.data_bar import find_data_bar
from batteryscope.readers.registry import read_picture

SHARED = Path(os.environ.get("BATTERYSCOPE_SHARED_DATA", "no such folder"))


def draw_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Blobs on a grey ground, with noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(30, 220, (height // 6 + 2, width // 6 + 2)).astype(np.uint8)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(smooth) + rng.normal(0, 4, (height, width)), 0, 255).astype(np.uint8)


def draw_bar(height: int, width: int, ground: int = 0, ink: int = 235) -> np.ndarray:
    picture = Image.new("L", (width, height), ground)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=max(8, height // 3))
    draw.text((8, height // 8), "SEM 20 kV  x500  WD 5mm", fill=ink, font=font)
    draw.line([(width // 2, height // 2), (width - 10, height // 2)], fill=ink, width=2)
    return np.asarray(picture)


@pytest.mark.parametrize(
    ("height", "width", "bar"), [(960, 1280, 64), (480, 640, 32), (144, 160, 16), (600, 800, 41)]
)
@pytest.mark.parametrize(("ground", "ink"), [(0, 235), (255, 0), (128, 255)])
def test_bar_of_any_size_and_colour(height, width, bar, ground, ink):
    frame = np.vstack([draw_image(height - bar, width), draw_bar(bar, width, ground, ink)])
    assert find_data_bar(frame) == bar
    assert find_data_bar(frame.astype(np.uint16) * 257) == bar
    assert find_data_bar(frame[: height - bar]) == 0


def test_framed_bar_below_a_black_image():
    bar = draw_bar(40, 512)
    bar = np.pad(bar[2:-2, 2:-2], 2, constant_values=252)
    frame = np.vstack([np.zeros((432, 512), np.uint8), bar])
    assert find_data_bar(frame) == 40


def test_box_that_leaves_a_row_of_image_below():
    bar = np.pad(draw_bar(75, 1024, 255, 0), ((1, 1), (0, 0)), constant_values=0)
    image = draw_image(692, 1024)
    frame = np.vstack([image[:691], bar, image[691:]])
    assert find_data_bar(frame) == 78


@pytest.mark.parametrize("level", [0, 8, 60, 250])
@pytest.mark.parametrize("noise", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("slope", [0.0, 0.08])
def test_empty_background_is_no_bar(level, noise, slope):
    rng = np.random.default_rng(1)
    frame = draw_image(480, 640)
    rows, columns = np.mgrid[:480, :640]
    empty = rows > 400 + slope * (columns - 320)
    frame[empty] = np.clip(level + rng.normal(0, noise, empty.sum()), 0, 255)
    assert find_data_bar(frame) == 0


def test_debris_on_noisy_background_is_no_bar():
    rng = np.random.default_rng(2)
    for level in (0, 40):
        frame = draw_image(480, 640)
        frame[400:] = np.clip(level + rng.normal(0, 3, (80, 640)), 0, 255)
        picture = Image.fromarray(frame)
        for x, y in zip(rng.integers(0, 640, 30), rng.integers(405, 475, 30), strict=True):
            ImageDraw.Draw(picture).ellipse([x - 4, y - 4, x + 4, y + 4], fill=220)
        assert find_data_bar(np.asarray(picture)) == 0


def test_metadata_is_believed_only_where_the_picture_agrees():
    image, bar = draw_image(448, 640), draw_bar(32, 640)
    frame = np.vstack([image, bar])
    assert find_data_bar(frame, 32) == 32
    assert find_data_bar(frame, 100) == 32
    assert find_data_bar(image, 32) == 0
    black = np.vstack([np.zeros_like(image), bar])  # no edge to see
    assert find_data_bar(black) == 0
    assert find_data_bar(black, 32) == 32


def test_tiny_picture_has_no_bar():
    assert find_data_bar(np.zeros((8, 8), np.uint8)) == 0


@pytest.mark.skipif(not (SHARED / "sem_ncm").is_dir(), reason="the real SEM frames are not here")
def test_real_frames():
    for path in sorted((SHARED / "sem_ncm").glob("*/*.jpg"))[::12]:
        pixels = read_picture(path, max_pixels=10**7).pixels_8bit
        assert find_data_bar(pixels) == 64, path
        for height in (896, 893, 640, 333):
            assert find_data_bar(pixels[:height]) == 0, path


@pytest.mark.skipif(not (SHARED / "vendor_tiff").is_dir(), reason="vendor files are not here")
@pytest.mark.parametrize(
    ("name", "rows"),
    [("test_tiff_Zeiss_SEM_1k.tif", 77), ("FEI-Helios-Ebeam-8bits.tif", 29)],
)
def test_vendor_files(name, rows):
    picture = read_picture(SHARED / "vendor_tiff" / name, max_pixels=10**7)
    assert find_data_bar(picture.pixels_8bit, picture.metadata.data_bar_px) == rows
