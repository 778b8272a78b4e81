"""Whole frames: what is resized, what is left out, how they are judged and augmented."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from pydantic import ValidationError

from batteryscope.augment import TileAugmentation, draw_crops, enlarge_crops
from batteryscope.balance import balance_stage
from batteryscope.config.learning import AugmentSettings, BalanceSettings
from batteryscope.config.preprocess import SemTilesSettings, SemWholeSettings
from batteryscope.config.project import load_project
from batteryscope.errors import ConfigError
from batteryscope.evaluation.comparison import list_levels
from batteryscope.plan import plan_study
from batteryscope.planning.checks import check_project
from batteryscope.preprocess.sem_tiles import shrink_sem_frame
from batteryscope.preprocess.tile_batch import UnusablePictureError
from batteryscope.preprocess.tiling import resize_tile
from batteryscope.report.phrases import describe_tiles, describe_vote
from batteryscope.tilestore import TileStore
from tests.compared_arms import make_arm, make_manifest
from tests.test_config import PARAMS, ROOT
from tests.test_preprocess_data_bar import draw_bar, draw_image
from tests.test_preprocess_images import make_frame, run, write_dataset

SMALL = SemWholeSettings(input_px=32, block_px=10, min_local_sd=6.0)


def test_a_frame_without_its_bar_is_one_square_tile():
    frame = np.vstack([draw_image(200, 300), draw_bar(20, 300)])
    batch = shrink_sem_frame(frame, {}, SMALL)
    assert batch.data_bar_px == 20
    assert batch.tiles.shape == (1, 32, 32)
    assert np.array_equal(batch.tiles[0], resize_tile(frame[:200], 32))
    [row] = batch.table.to_dict("records")
    assert (row["kind"], row["used"], row["x_px"], row["y_px"]) == ("whole", True, 0, 0)
    assert (row["crop_px"], row["crop_height_px"]) == (300, 200)


def test_the_aspect_ratio_is_not_kept():
    """A square in the middle of a frame of 2:1 becomes half as wide as high."""
    frame = np.full((100, 200), 60, np.uint8)
    frame[30:70, 80:120] = 200
    tile = shrink_sem_frame(frame, {}, SMALL.model_copy(update={"min_local_sd": 0.0})).tiles[0]
    bright = tile > 130
    assert bright.any(axis=0).sum() == pytest.approx(0.2 * 32, abs=1)
    assert bright.any(axis=1).sum() == pytest.approx(0.4 * 32, abs=1)


def test_only_frames_without_any_coating_are_left_out():
    """A corner with coating, a ninth of the frame, is enough."""
    frame = np.random.default_rng(0).normal(60, 2, (240, 300)).astype(np.uint8)
    with pytest.raises(UnusablePictureError, match="no part of the frame shows coating") as empty:
        shrink_sem_frame(frame, {}, SMALL)
    assert empty.value.reason == "empty"
    frame[:80, :100] = draw_image(80, 100)
    assert shrink_sem_frame(frame, {}, SMALL).table["local_sd"].item() > 6
    with pytest.raises(UnusablePictureError, match="leaves nothing") as small:
        shrink_sem_frame(frame, {}, SMALL.model_copy(update={"data_bar": 240}))
    assert small.value.reason == "wrong_size"


def test_store_of_whole_frames_trains_and_judges(tmp_path):
    frames = {name: make_frame(i) for i, name in enumerate(["a/1.png", "a/2.png", "b/3.png"])}
    frames["b/empty.png"] = np.full((144, 200), 60, np.uint8)
    manifest = write_dataset(tmp_path, frames)
    settings = '{"method": "sem_whole", "input_px": 32, "block_px": 10, "min_local_sd": 6}'
    assert run(tmp_path, manifest, tmp_path / "tiles", settings) == 0
    store = TileStore.open(tmp_path / "tiles")
    assert store.tiles.shape == (3, 32, 32)
    assert store.index["sample_id"].tolist() == manifest["sample_id"].tolist()[:3]
    assert set(store.index["crop_height_px"]) == {128}
    assert pd.read_csv(tmp_path / "tiles" / "rejects.csv")["reason"].tolist() == ["empty"]
    assert (tmp_path / "tiles" / "preview.png").stat().st_size > 1000
    split = manifest[["sample_id"]].assign(repeat=0, fold=0, role="train")
    oversample = BalanceSettings(method="oversample")
    plan = balance_stage(manifest, split, store.index, oversample, {}, "fit")
    assert plan["copies"].tolist() == [1, 1, 2]


def test_images_that_are_one_tile_have_no_level_of_tiles():
    manifest = make_manifest()
    whole, tiles = make_arm(manifest, "whole", tiles=1), make_arm(manifest, "tiles")
    assert "tile" not in list_levels(whole, manifest)
    both = list_levels(pd.concat([whole, tiles], ignore_index=True), manifest)
    assert set(both["tile"]["arm"]) == {"tiles"}
    assert set(both["image"]["arm"]) == {"whole", "tiles"}


def test_drawn_crops_have_their_share_and_lie_within_the_tile():
    generator = torch.Generator().manual_seed(0)
    x, y, width, height = draw_crops(4000, (0.3, 0.9), 1.5, generator).T
    share, aspect = width * height, (width / height).log()
    assert share.min() >= 0.3 - 1e-5
    assert share.max() <= 0.9 + 1e-5
    assert float(share.mean()) == pytest.approx(0.6, abs=0.01)
    assert aspect.abs().max() <= np.log(1.5) + 1e-5
    assert float(aspect.mean()) == pytest.approx(0, abs=0.02)
    for middle, length in ((x, width), (y, height)):
        assert (middle - length / 2).min() >= -1e-5
        assert (middle + length / 2).max() <= 1 + 1e-5
    assert float(x.mean()) == pytest.approx(0.5, abs=0.01)


def test_a_crop_is_the_part_it_says():
    ramp = torch.arange(64.0).expand(1, 1, 48, 64).contiguous()  # grows by 1 from column to column
    whole = torch.tensor([[0.5, 0.5, 1.0, 1.0]])
    assert torch.allclose(enlarge_crops(ramp, whole), ramp, atol=1e-3)
    right_half = torch.tensor([[0.75, 0.5, 0.5, 1.0]])
    found = enlarge_crops(ramp, right_half)[0, 0]
    assert found.shape == (48, 64)
    assert torch.allclose(found[5], 31.75 + torch.arange(64) / 2, atol=0.26)  # half at the edge


def test_random_crops_differ_from_tile_to_tile_and_epoch_to_epoch():
    tiles = torch.randint(0, 256, (1, 1, 24, 32), dtype=torch.uint8).expand(6, -1, -1, -1)
    settings = AugmentSettings(
        flips=False, quarter_turns=False, random_crop=(0.4, 0.9), random_crop_aspect=1.3
    )
    augment = TileAugmentation(settings)
    one, two, other = (augment(tiles, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert len({float(t.mean()) for t in one}) == 6
    assert one.min() >= 0
    assert one.max() <= 255


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"random_crop": [0.9, 0.5]}, "0.9 is more than 0.5"),
        ({"random_crop": [1, 1]}, "no effect"),
        ({"random_crop": [0, 1]}, "greater than or equal to 0.05"),
    ],
)
def test_crops_that_cannot_be_are_refused(values, words):
    with pytest.raises(ValidationError, match=words):
        AugmentSettings.model_validate(values)


def plan(study="cathode_state", **changes):
    project = load_project(PARAMS, {"studies": {study: changes}})
    planned = plan_study(study, project.studies[study])
    check_project({study: planned})
    return planned


def test_settings_of_whole_frames():
    whole = {"method": "sem_whole", "input_px": 64}
    assert plan(preprocess=whole).main.recipe.preprocess == SemWholeSettings(input_px=64)
    arms = {"tiles": {}, "whole": {"change": {"preprocess": whole}}}
    assert len(plan(arms=arms, main_arm="tiles").tiles) == 2
    with pytest.raises(ConfigError, match=r"preprocess.data_bar: a bar of 480 px .* 512×384 px"):
        plan(preprocess=whole | {"data_bar": 480})
    frozen = {
        "model": {"pooling": "stage_statistics", "freeze": "backbone"},
        "train": {"method": "discriminant", "label_smoothing": 0, "schedule": "constant"},
    }
    plan(**frozen)
    with pytest.raises(ConfigError, match=r"augment.random_crop does not go with train.method"):
        plan(augment={"random_crop": [0.5, 1]}, **frozen)


def test_overlay_of_whole_frames():
    overlay = yaml.safe_load((ROOT / "configs/additive_transfer_whole.yaml").read_text())
    study = load_project(PARAMS, overlay).studies["additive_transfer"]
    assert study.preprocess == SemWholeSettings(input_px=224)
    assert study.augment.random_crop == (0.6, 1)
    assert json.loads(study.augment.model_dump_json())["random_crop"] == [0.6, 1]
    demo = load_project(PARAMS, overlay | {"scale": "demo"}).studies["additive_transfer"]
    assert demo.preprocess.input_px == 96
    plan_study("additive_transfer", study)


def test_report_tells_how_whole_frames_are_judged():
    assert "64×64 pixels" in describe_tiles(SemWholeSettings(input_px=64))
    assert "without a vote" in describe_vote("image", SemWholeSettings())
    assert "soft vote" in describe_vote("image", SemTilesSettings())
    assert "12 tiles at random places of every training image" in describe_tiles(SemTilesSettings())
    per_class = describe_tiles(SemTilesSettings(tiles_per_class=400))
    assert "400 tiles per class" in per_class
    assert "over the training images of the class" in per_class
