"""Straightening and cropping of cross-sections, on pictures whose truth is known."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from batteryscope.config.preprocess import CoatingCropSettings, find_tile_shape
from batteryscope.demo.cross_section import render_cross_section
from batteryscope.demo.cross_section_phases import BINDER, CARBON, CRACK, PARTICLE, SCRATCH
from batteryscope.errors import ConfigError
from batteryscope.preprocess.coating_crop import crop_coating, cut_mosaic, shrink_crop
from batteryscope.preprocess.coating_foil import FoilEdge, GreyLevels, find_foil, trace_edge
from batteryscope.preprocess.coating_measures import segment_pores
from batteryscope.preprocess.coating_preview import draw_coating_previews, make_coating_preview
from batteryscope.preprocess.coating_region import (
    CLOSING_PX,
    Rectangle,
    cut_centre,
    find_coating,
    find_largest_rectangle,
    find_straight_row,
    locate_in_picture,
    spread_crops,
    straighten,
)
from batteryscope.preprocess.tile_batch import UnusablePictureError
from batteryscope.readers.pixels import shows_colour

CASES = [
    (0.495, -5.0, "bottom"),
    (0.346, -3.1, "top"),
    (0.30, 2.3, "top"),
    (0.254, 4.1, "bottom"),
    (0.196, 5.0, "bottom"),
]


@pytest.fixture(scope="module")
def sections():
    """One picture of every porosity, with several tilts and places of the foil."""
    return {
        porosity: render_cross_section(
            porosity, seed=11, tilt_deg=tilt, collector=place, loading_factor=1.0
        )
        for porosity, tilt, place in CASES
    }


def draw_bands(angle_deg=0.0, bands=((300, 380),), coated=((100, 300),), shape=(400, 500)):
    """Draw bright bands and grey noise between rows, sheared by an angle."""
    rng = np.random.default_rng(3)
    shift = np.tan(np.deg2rad(angle_deg)) * (np.arange(shape[1]) - (shape[1] - 1) / 2)
    row = np.arange(shape[0])[:, None] - shift[None]
    picture = np.full(shape, 25.0)
    speckle = ndimage.gaussian_filter(rng.normal(size=shape), 6)
    for first, last in coated:
        picture[(row >= first) & (row < last) & (speckle > 0)] = 175
    for first, last in bands:
        edge = np.clip(row - first + 0.5, 0, 1) * np.clip(last - row + 0.5, 0, 1)
        picture = picture * (1 - edge) + 238 * edge
    return np.clip(picture + rng.normal(0, 2, shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("angle", [-5.0, -1.3, 0.0, 0.4, 5.0])
def test_angle_of_a_drawn_foil_is_found(angle):
    edge = find_foil(draw_bands(angle, shape=(500, 500)))
    assert edge.angle_deg == pytest.approx(angle, abs=0.05)
    assert edge.row == pytest.approx(300 - 0.5, abs=1.0)
    assert edge.side == "above"


def test_a_scratch_along_the_foil_is_not_its_edge():
    pixels = draw_bands(shape=(500, 500))
    clean = find_foil(pixels)
    pixels[309:312, 250:] = 120  # ten rows inside the foil, over half of the picture
    edge = find_foil(pixels)
    assert edge.angle_deg == pytest.approx(clean.angle_deg, abs=0.02)
    traced = trace_edge(pixels, edge)
    assert np.abs(traced - trace_edge(draw_bands(shape=(500, 500)), clean)).max() < 0.5


@pytest.mark.parametrize("angle", [-4.0, 2.5])
@pytest.mark.parametrize("side", ["above", "below"])
def test_places_of_a_straightened_picture_are_found_in_the_original(angle, side):
    shape = (400, 500)
    edge = FoilEdge(angle, 250.0, side, GreyLevels(100, 200))
    columns = np.array([30.0, 250.0, 470.0])
    level = np.full(3, find_straight_row(edge, shape))
    rows, found = locate_in_picture(level, columns, edge, shape)
    assert rows == pytest.approx(edge.rows_at(found, shape[1]), abs=0.3)


def test_preview_shows_every_step(tmp_path):
    settings = CoatingCropSettings(
        method="coating_crop", crop_height_px=64, crop_width_px=256, mosaic_width_px=600, shrink=4
    )
    shown = []
    for angle in (0.0, -3.0):
        pixels = draw_bands(angle)
        shown.append(
            make_coating_preview(pixels, crop_coating(pixels, {}, settings), "x", settings)
        )
    assert shown[1].edge.angle_deg == pytest.approx(-3, abs=0.1)
    assert shown[1].coating.mask[shown[1].rectangle.top, shown[1].rectangle.left]
    assert shown[1].crop.shape == (16, 64)
    np.testing.assert_array_equal(shown[1].crop, crop_coating(pixels, {}, settings).tiles[0])
    draw_coating_previews(shown, tmp_path / "preview.png")
    whole = Image.open(tmp_path / "preview.png")
    one = Image.open(tmp_path / "preview_row.png")
    assert one.width == whole.width
    assert one.height < whole.height


@pytest.mark.parametrize("porosity", [case[0] for case in CASES])
def test_foil_and_coating_of_generated_pictures_are_found(sections, porosity):
    section = sections[porosity]
    edge = find_foil(section.pixels)
    assert edge.angle_deg == pytest.approx(section.tilt_deg, abs=0.1)
    assert edge.row == pytest.approx(section.foil_row.mean(), abs=3)
    coating = find_coating(straighten(section.pixels, edge), edge, 90)
    truth = straighten(section.phases, edge, order=0)
    solid = ndimage.binary_opening(np.isin(truth, (PARTICLE, CRACK, SCRATCH)), iterations=3)
    closed = ndimage.maximum_filter1d(solid, CLOSING_PX, axis=1)
    closed = ndimage.minimum_filter1d(closed, CLOSING_PX, axis=1)
    top = ndimage.median_filter(closed.argmax(0).astype(float), CLOSING_PX)
    surface = ndimage.minimum_filter1d(top, CLOSING_PX).mean()
    assert coating.surface_row == pytest.approx(surface, abs=3)
    # Foil always ends up below.
    assert coating.foil_row > coating.surface_row


def test_segmented_porosity_of_a_generated_coating_is_near_the_true_one(sections):
    section = sections[0.30]
    edge = find_foil(section.pixels)
    settings = CoatingCropSettings()
    batch = crop_coating(section.pixels, {}, settings)
    place = batch.table.iloc[0]
    truth = straighten(section.phases, edge, order=0)[
        place.y_px : place.y_px + 224, place.x_px : place.x_px + 672
    ]
    _, pores = segment_pores(batch.tiles[0])
    solid = np.isin(truth, (PARTICLE, CRACK, SCRATCH, BINDER, CARBON))
    assert pores.mean() == pytest.approx(1 - solid.mean(), abs=0.03)
    assert batch.tiles.shape == (2, 224, 672)
    assert list(batch.table["kind"]) == ["random", "grid"]


def test_pictures_that_cannot_be_used_say_why():
    settings = CoatingCropSettings(crop_height_px=64, crop_width_px=256, mosaic_width_px=400)

    def explain(picture, record=None, **changes):
        with pytest.raises(UnusablePictureError) as caught:
            crop_coating(picture, record or {}, settings.model_copy(update=changes))
        return caught.value.reason, str(caught.value)

    assert explain(draw_bands(bands=()))[0] == "no_collector"
    double = draw_bands(bands=((180, 240),), coated=((20, 180), (240, 390)))
    reason, sentence = explain(double)
    assert reason == "two_collectors"
    assert "preprocess.collector" in sentence
    assert explain(draw_bands(coated=((270, 300),)))[0] in ("coating_too_thin", "no_collector")
    assert explain(draw_bands(), {"is_coloured": True})[0] == "coloured"
    for side in ("bottom", "top"):
        chosen = settings.model_copy(update={"collector": side})
        assert len(crop_coating(double, {}, chosen).tiles) == 2


def test_mosaic_is_cut_into_even_pieces():
    assert cut_mosaic(704, 704) == [(0, 704)]
    assert cut_mosaic(1300, 704) == [(0, 1300)]
    pieces = cut_mosaic(6300, 704)
    assert len(pieces) == 8
    assert pieces[0][0] == 0
    assert pieces[-1][1] == 6300
    assert {last - first for first, last in pieces} == {704}


def test_long_mosaic_gives_a_crop_per_piece_and_keeps_the_good_ones():
    good = draw_bands(shape=(400, 1000))
    good[:, 500:] = 30  # resin only: no foil in the second piece
    settings = CoatingCropSettings(crop_height_px=64, crop_width_px=256, mosaic_width_px=500)
    batch = crop_coating(good, {}, settings)
    assert batch.table["used"].tolist() == [True, True, False]
    assert len(batch.measurements["porosity_otsu"]) == 3


def test_largest_rectangle_and_its_middle():
    mask = np.zeros((20, 30), bool)
    mask[3:15, 2:20] = True
    mask[8, 10] = False
    found = find_largest_rectangle(mask)
    assert found.height * found.width == 12 * 9  # beside the hole, or 6 × 18 below it
    assert mask[found.top : found.top + found.height, found.left : found.left + found.width].all()
    wide = np.zeros((20, 30), bool)
    wide[0:18, 0:12] = True
    wide[10:14, 0:30] = True
    assert find_largest_rectangle(wide) == Rectangle(0, 0, 18, 12)
    assert find_largest_rectangle(wide, 3, 25) == Rectangle(10, 0, 4, 30)
    assert find_largest_rectangle(wide, 9, 25) == Rectangle(0, 0, 18, 12)
    assert cut_centre(Rectangle(10, 20, 8, 12), 4, 6) == Rectangle(12, 23, 4, 6)
    assert cut_centre(Rectangle(10, 20, 8, 12), 9, 6) is None


def test_crops_can_be_random_and_smaller():
    settings = CoatingCropSettings(
        crop_height_px=64, crop_width_px=256, mosaic_width_px=500, shrink=4
    )
    assert find_tile_shape(settings) == (16, 64)
    picture = draw_bands()
    batch = crop_coating(picture, {}, settings, n_random=3, rng=np.random.default_rng(0))
    assert batch.table["kind"].tolist() == ["random"] * 3 + ["grid"]
    assert batch.tiles.shape == (4, 16, 64)
    block = np.array([[0, 4], [8, 12]], np.uint8)
    assert shrink_crop(block, 2).tolist() == [[6]]


def test_judging_crops_cover_the_coating_and_are_measured_one_by_one():
    rectangle, middle = Rectangle(100, 0, 560, 700), Rectangle(268, 14, 224, 672)
    assert spread_crops(rectangle, middle, 1) == [middle]
    tops = [crop.top for crop in spread_crops(rectangle, middle, 3)]
    assert tops == [268, 100, 436]
    assert 436 + 224 == 100 + 560
    assert [crop.top for crop in spread_crops(rectangle, middle, 2)] == [100, 436]
    low = Rectangle(100, 0, 225, 700)
    lowest = cut_centre(low, 224, 672)
    assert [crop.top for crop in spread_crops(low, lowest, 3)] == [lowest.top, 101]
    settings = CoatingCropSettings(
        crop_height_px=64, crop_width_px=256, mosaic_width_px=500, judging_crops=3
    )
    table = crop_coating(draw_bands(), {}, settings).table
    grid = table[table["kind"] == "grid"]
    assert len(grid) == 3
    assert grid["y_px"].nunique() == 3
    assert grid["y_px"].iloc[0] == table.loc[table["kind"] == "random", "y_px"].item()
    batch = crop_coating(draw_bands(), {}, settings)
    porosity = np.array(batch.measurements["porosity_otsu"])
    assert np.isnan(porosity[table["kind"] == "random"]).all()  # counted once, with the grid


def test_colour_is_told_from_grey_in_three_channels():
    grey = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    assert not shows_colour(grey)
    assert not shows_colour(grey[..., 0])
    tinted = grey.copy()
    tinted[..., 2] //= 2
    assert shows_colour(tinted)


def test_impossible_sizes_are_explained():
    from batteryscope.config.base import validate_settings

    with pytest.raises(ConfigError, match="multiple of shrink"):
        validate_settings(CoatingCropSettings, {"shrink": 5}, "x")
    with pytest.raises(ConfigError, match="mosaic_width_px"):
        validate_settings(CoatingCropSettings, {"mosaic_width_px": 300}, "x")


@pytest.mark.real_data
def test_porosity_of_a_real_microstructure_is_measured(shared_data):
    import tifffile

    from batteryscope.demo.cross_section import photograph
    from batteryscope.demo.cross_section_phases import PORE, Drawing

    volume = tifffile.imread(shared_data / "matbox" / "nmc-1-cal_generatedCBD_bridge.tif")
    for number in (10, 130, 250):
        # Voxels of about 0.4 um, shown at about 0.13 um per pixel.
        labels = np.kron(volume[number], np.ones((3, 3), volume.dtype))
        phases = np.choose(labels, [PORE, PARTICLE, BINDER]).astype(np.uint8)
        particles, _ = ndimage.label(phases == PARTICLE)
        drawing = Drawing(
            phases,
            particles.astype(np.int32),
            np.where(phases == PARTICLE, 0.70, 0).astype(np.float32),
            np.zeros(phases.shape, np.float32),
        )
        pixels, _ = photograph(drawing, np.random.default_rng(number), artefacts=False)
        _, pores = segment_pores(pixels)
        assert pores.mean() == pytest.approx((labels == 0).mean(), abs=0.02)
