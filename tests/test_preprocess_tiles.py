"""Tiles: where they lie, what they look like, which are left out."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from batteryscope.config.preprocess import SemTilesSettings
from batteryscope.config.split import SplitSettings
from batteryscope.preprocess.cut_dataset import count_training_tiles
from batteryscope.preprocess.quality import measure_local_sd
from batteryscope.preprocess.sem_tiles import cut_sem_tiles
from batteryscope.preprocess.tile_batch import UnusablePictureError
from batteryscope.preprocess.tiling import draw_random_tiles, place_grid_tiles, resize_tile
from batteryscope.seeds import derive_rng
from batteryscope.splits.assign import split_samples
from batteryscope.splits.groups import find_groups
from tests.test_preprocess_data_bar import draw_bar, draw_image
from tests.test_splits_assign import make_domains

SMALL = SemTilesSettings(crop_px=60, input_px=32, grid_tiles=6, block_px=10, min_local_sd=6.0)


def test_local_sd_of_noise_is_its_sd():
    noise = np.random.default_rng(0).normal(100, 12, (300, 300)).astype(np.uint8)
    assert measure_local_sd(noise, 30) == pytest.approx(12, rel=0.02)
    ramp = np.tile(np.arange(240, dtype=np.uint8), (240, 1))  # a slow change is no texture
    assert measure_local_sd(ramp, 30) == pytest.approx(np.std(np.arange(30)), rel=1e-6)
    assert measure_local_sd(np.full((20, 20), 7, np.uint8), 30) == 0.0


def test_half_empty_tile_is_judged_by_its_median():
    rng = np.random.default_rng(0)
    tile = rng.normal(100, 3, (300, 300))
    tile[:, :180] = rng.normal(100, 30, (300, 180))
    assert measure_local_sd(tile.astype(np.uint8), 30) > 20
    tile[:, :180], tile[:, :120] = rng.normal(100, 3, (300, 180)), rng.normal(100, 30, (300, 120))
    assert measure_local_sd(tile.astype(np.uint8), 30) < 4


@pytest.mark.parametrize(
    ("height", "width", "crop", "count", "n"),
    [
        (896, 1280, 300, 12, 12),
        (448, 640, 160, 12, 12),
        (896, 1280, 300, 13, 12),
        (300, 1280, 300, 5, 5),
        (300, 300, 300, 9, 1),
        (128, 160, 100, 4, 4),
        (900, 900, 100, 1, 1),
    ],
)
def test_grid_reaches_all_edges(height, width, crop, count, n):
    grid = place_grid_tiles(height, width, crop, count)
    assert len(grid) == n <= count
    assert len(np.unique(grid, axis=0)) == len(grid)
    assert grid.min() >= 0
    assert (grid.max(axis=0) <= [height - crop, width - crop]).all()
    if count > 1:
        assert grid.min(axis=0).tolist() == [0, 0]
        assert grid.max(axis=0).tolist() == [height - crop, width - crop]


def test_grid_follows_the_shape_of_the_frame():
    grid = place_grid_tiles(896, 1280, 300, 12)
    assert np.unique(grid[:, 0]).tolist() == [0, 298, 596]
    assert np.unique(grid[:, 1]).tolist() == [0, 327, 653, 980]
    assert place_grid_tiles(900, 901, 100, 1).tolist() == [[400, 400]]


def test_random_tiles_cover_every_position():
    positions = draw_random_tiles(12, 13, 10, 500, np.random.default_rng(0))
    assert {tuple(p) for p in positions.tolist()} == {(y, x) for y in range(3) for x in range(4)}


def test_resize_averages_instead_of_aliasing():
    stripes = np.tile(np.array([0, 255], np.uint8), (300, 150))
    small = resize_tile(stripes, 100)
    assert small.shape == (100, 100)
    assert small.dtype == np.uint8
    assert small[5:-5, 5:-5].std() < 12
    assert small.mean() == pytest.approx(127.5, abs=2)
    assert resize_tile(small, 100) is small


@pytest.mark.parametrize(
    ("shape", "edge"),
    [((300, 300), 96), ((299, 299), 128), ((40, 40), 64), ((1, 1), 3), ((90, 70), 32)],
)
def test_resized_grey_levels_are_exactly_those_of_pillow(shape, edge):
    rng = np.random.default_rng(0)
    for tile in (rng.integers(0, 256, shape), rng.integers(0, 2, shape) * 255):  # overshoot, too
        frame = np.zeros((shape[0] + 5, shape[1] + 7), np.uint8)
        frame[2 : 2 + shape[0], 3 : 3 + shape[1]] = tile
        part = frame[2 : 2 + shape[0], 3 : 3 + shape[1]]
        expected = Image.fromarray(tile.astype(np.uint8)).resize((edge, edge), Image.BICUBIC)
        assert np.array_equal(resize_tile(part, edge), np.asarray(expected))


def test_tiles_never_touch_the_data_bar():
    frame = np.vstack([draw_image(200, 300), draw_bar(20, 300)])
    batch = cut_sem_tiles(frame, {}, SMALL, 200, np.random.default_rng(0))
    assert batch.data_bar_px == 20
    assert (batch.table["y_px"] + batch.table["crop_px"]).max() == 200
    assert batch.table["kind"].value_counts().to_dict() == {"random": 200, "grid": 6}
    assert batch.tiles.shape == (206, 32, 32)
    row = batch.table.iloc[7]
    tile = frame[row["y_px"] : row["y_px"] + 60, row["x_px"] : row["x_px"] + 60]
    assert np.array_equal(batch.tiles[7], resize_tile(tile, 32))
    fixed = SMALL.model_copy(update={"data_bar": 50})
    assert cut_sem_tiles(frame, {}, fixed).table["y_px"].max() == 170 - 60
    off = SMALL.model_copy(update={"data_bar": "none"})
    assert cut_sem_tiles(frame, {"data_bar_px": pd.NA}, off).table["y_px"].max() == 220 - 60


def test_prediction_sees_the_same_grid_as_training():
    frame = draw_image(200, 300)
    trained = cut_sem_tiles(frame, {}, SMALL, 10, np.random.default_rng(0))
    predicted = cut_sem_tiles(frame, {}, SMALL)
    assert np.array_equal(trained.tiles[10:], predicted.tiles)


def test_empty_tiles_are_left_out_and_drawn_again():
    frame = draw_image(200, 400)
    frame[:, 200:] = np.random.default_rng(1).normal(60, 2, (200, 200)).astype(np.uint8)
    batch = cut_sem_tiles(frame, {}, SMALL, 40, np.random.default_rng(0))
    random = batch.table[batch.table["kind"] == "random"]
    assert random["used"].sum() >= 38
    assert random.loc[random["used"], "x_px"].max() < 200
    grid = batch.table[batch.table["kind"] == "grid"]
    assert 0 < grid["used"].sum() < len(grid)
    assert len(batch.tiles) == batch.table["used"].sum()
    everything = SMALL.model_copy(update={"min_local_sd": 0.0})
    assert cut_sem_tiles(frame, {}, everything, 5, np.random.default_rng(0)).table["used"].all()


def test_random_tiles_without_coating_are_given_up_and_recorded():
    frame = np.full((200, 4000), 60, np.uint8)
    frame[70:130, :60] = draw_image(60, 60)
    batch = cut_sem_tiles(frame, {}, SMALL, 3, np.random.default_rng(1))
    random = batch.table[batch.table["kind"] == "random"]
    assert len(random) == 3
    assert not random["used"].any()


def test_unusable_pictures_say_why():
    with pytest.raises(
        UnusablePictureError, match=r"40×100 px, smaller than .*crop_px 60"
    ) as wrong:
        cut_sem_tiles(draw_image(100, 40), {}, SMALL)
    assert wrong.value.reason == "wrong_size"
    with pytest.raises(UnusablePictureError, match="min_local_sd 6") as empty:
        cut_sem_tiles(np.full((200, 200), 60, np.uint8), {}, SMALL)
    assert empty.value.reason == "empty"


def test_every_image_gives_its_tiles_whatever_its_class():
    manifest = pd.DataFrame({"class": ["a"] * 25 + ["b"], "domain": ""})
    assert count_training_tiles(manifest, SMALL) == [12] * 26  # the default
    fewer = SemTilesSettings(tiles_per_image=3)
    assert count_training_tiles(manifest, fewer) == [3] * 26


def test_images_give_enough_for_the_smallest_training_part():
    """Of ten images a hold-out division trains five, of five it trains two, of one that one."""
    parts = [("a", "plain", 10), ("a", "additive", 5), ("b", "plain", 1)]
    rows = [(name, domain) for name, domain, n in parts for _ in range(n)]
    manifest = pd.DataFrame(rows, columns=["class", "domain"])
    settings = SemTilesSettings(tiles_per_class=20)
    split = SplitSettings(test_fraction=0.2, validation_fraction=0.3)
    assert [split.count_training_samples(n) for n in (10, 5, 1)] == [5, 2, 1]
    assert count_training_tiles(manifest, settings, split) == [4] * 10 + [10] * 5 + [20]


@pytest.mark.parametrize(
    "values",
    [
        {"scheme": "holdout", "test_fraction": 0.3, "validation_fraction": 0.2},
        {"scheme": "kfold", "folds": 5, "validation_fraction": 0.1},
        {"scheme": "holdout_kfold", "folds": 3, "test_fraction": 0.5},
    ],
)
def test_no_division_trains_fewer_than_the_tiles_are_counted_for(values):
    settings = SplitSettings(**values, group="image")
    manifest = make_domains({"a": 13, "b": 8}, {"a": 7, "b": 29})
    split = split_samples(manifest, find_groups(manifest, "image"), settings)
    table = split.merge(manifest[["sample_id", "class", "domain"]], on="sample_id")
    trained = table[table["role"] == "train"]
    counts = trained.groupby(["class", "domain", "repeat", "fold"]).size()
    sizes = manifest.groupby(["class", "domain"]).size()
    for stratum, size in sizes.items():
        assert counts.loc[stratum].min() >= settings.count_training_samples(size) >= size // 4


def test_positions_depend_on_the_sample_alone():
    frame = draw_image(200, 300)
    first = cut_sem_tiles(frame, {}, SMALL, 5, derive_rng(1, "tiles", "abc")).table
    again = cut_sem_tiles(frame, {}, SMALL, 5, derive_rng(1, "tiles", "abc")).table
    other = cut_sem_tiles(frame, {}, SMALL, 5, derive_rng(1, "tiles", "abd")).table
    assert first.equals(again)
    assert not first.equals(other)
