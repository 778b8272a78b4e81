"""Coloured cross-sections give three channels, cut where brightness finds the coating."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from batteryscope.bundle.frame import read_frame, rescale_frame, wrap_pixels
from batteryscope.config.preprocess import CoatingCropSettings
from batteryscope.preprocess.coating_crop import crop_coating
from batteryscope.preprocess.cut_dataset import cut_dataset
from batteryscope.readers.pixels import to_luminance
from batteryscope.readers.registry import read_picture
from tests.test_rate_preprocess import draw_bands

SIZES = {"crop_height_px": 64, "crop_width_px": 256, "mosaic_width_px": 600}
GREY = CoatingCropSettings(**SIZES)
COLOUR = CoatingCropSettings(**SIZES, colour=True)


def tint(grey: np.ndarray) -> np.ndarray:
    """Make a reddish picture of a grey one."""
    shares = (1.0, 0.8, 0.6)
    return np.stack([np.rint(grey * share) for share in shares], axis=2).astype(np.uint8)


def test_three_channels_are_cut_at_one_place():
    grey = draw_bands(-3.0)
    coloured = tint(grey)
    known = crop_coating(to_luminance(coloured), {}, GREY)
    found = crop_coating(coloured, {"is_coloured": True}, COLOUR)
    assert found.tiles.shape == (len(known.tiles), 3, 64, 256)
    pd.testing.assert_frame_equal(found.table, known.table)
    assert found.measurements == known.measurements
    red, _, blue = found.tiles[0].astype(int)
    assert np.abs(0.6 * red - blue).max() <= 2  # rounded, then turned
    assert (COLOUR.channels, GREY.channels) == (3, 1)
    assert "colour" not in GREY.model_dump()


def test_a_grey_picture_has_three_equal_channels():
    grey = draw_bands()
    known = crop_coating(grey, {}, GREY)
    found = crop_coating(np.repeat(grey[..., None], 3, axis=2), {}, COLOUR)
    for channel in range(3):
        np.testing.assert_array_equal(found.tiles[:, channel], known.tiles)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_colours_are_read_if_they_are_asked_for(tmp_path, name):
    coloured, path = tint(draw_bands()), tmp_path / name
    if name.endswith("tif"):
        tifffile.imwrite(path, coloured.astype(np.uint16) * 257, photometric="rgb")
    else:
        Image.fromarray(coloured).save(path)
    picture = read_picture(path, max_pixels=10**6, keep_colours=True)
    np.testing.assert_array_equal(picture.show(colours=True), coloured)
    np.testing.assert_array_equal(picture.show(colours=False), picture.pixels_8bit)
    assert read_picture(path, max_pixels=10**6).colours is None


def test_a_data_set_is_cut_with_its_colours_or_told_to(tmp_path):
    rows = []
    for name, picture in {"red.png": tint(draw_bands()), "grey.png": draw_bands(1.0)}.items():
        Image.fromarray(picture).save(tmp_path / name)
        rows.append({"sample_id": name, "path": name, "class": "20", "domain": "", "bit_depth": 8})
    manifest = pd.DataFrame(rows)
    index, rejects = cut_dataset(manifest, tmp_path, COLOUR, tmp_path / "colour", 10**6)
    assert np.load(tmp_path / "colour" / "tiles.npy").shape == (len(index), 3, 64, 256)
    assert rejects.empty
    _, rejects = cut_dataset(manifest, tmp_path, GREY, tmp_path / "grey", 10**6)
    assert rejects["path"].tolist() == ["red.png"]
    assert "preprocess.colour" in rejects["detail"].item()


def test_a_published_model_sees_the_colours_of_files_and_arrays(tmp_path):
    coloured = tint(draw_bands())
    Image.fromarray(coloured).save(tmp_path / "a.png")
    frame = read_frame(tmp_path / "a.png", "a.png", 10**6, keep_colours=True)
    wrapped = wrap_pixels(coloured, "0")
    for one in (frame, wrapped):
        np.testing.assert_array_equal(one.colours, coloured)
        np.testing.assert_array_equal(one.pixels, to_luminance(coloured))
        assert one.is_coloured
    assert wrap_pixels(draw_bands(), "0").colours is None
    known = replace(frame, metadata=replace(frame.metadata, pixel_size_um=0.2))
    larger = rescale_frame(known, {"pixel_size_um": (0.1, 0.1)}, 10**7)
    assert larger.colours.shape == (2 * coloured.shape[0], 2 * coloured.shape[1], 3)
    assert larger.pixels.shape == larger.colours.shape[:2]
