"""The explanations of an arm of classes, and what they are made of."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from batteryscope.config.evaluate import ExplainSettings
from batteryscope.errors import InputError, LeakageError
from batteryscope.evaluation.forward import load_fit, predict_fit
from batteryscope.explain.arm import explain_tiles
from batteryscope.explain.class_study import explain_arm
from batteryscope.explain.overlay import blend, draw_overlay, scale_map
from batteryscope.explain.same_tiles import SAME_TILES_NAME, compare_with_mask, cut_coverage
from batteryscope.explain.select import choose_same_tiles, choose_tiles
from batteryscope.preprocess.sem_tiles import cut_sem_tiles
from batteryscope.readers.mask import locate_mask
from batteryscope.report.shown_same_tiles import summarise_preference
from batteryscope.tilestore import TileStore, TileWriter, write_index
from tests.bundled_study import CLASSES, EDGE, Study, make_settings, make_study
from tests.studies import lay_out_small

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    """Two fits with a tile store and their predictions."""
    study = make_study(tmp_path_factory.mktemp("study"))
    settings = make_settings().preprocess
    folder = study.root / "tiles"
    folder.mkdir()
    tables = []
    with TileWriter(folder / "tiles.npy", (EDGE, EDGE)) as writer:
        for sample_id, path in zip(
            study.manifest["sample_id"], study.manifest["path"], strict=True
        ):
            pixels = np.asarray(Image.open(study.images / path))
            batch = cut_sem_tiles(pixels, {}, settings)
            rows = batch.table.assign(sample_id=sample_id, tile=-1)
            rows.loc[rows["used"], "tile"] = writer.write(batch.tiles)
            tables.append(rows)
    write_index(folder, pd.concat(tables, ignore_index=True))
    study.manifest.to_parquet(study.root / "manifest.parquet")
    store = TileStore.open(folder)
    predictions = [
        predict_fit(
            load_fit(fit),
            store.tiles,
            store.index,
            study.manifest,
            study.split[study.split["fold"] == fold],
        ).assign(arm="main")
        for fold, fit in enumerate(study.fits)
    ]
    pd.concat(predictions).to_parquet(study.root / "predictions.parquet")
    return study


def run(study: Study, out: Path, settings: dict, masks: Path | None = None) -> None:
    dataset = {"masks": None if masks is None else str(masks)}
    layout = lay_out_small(out / "work", dataset=dataset, arms={"main": {}}, explain=settings)
    (fits,) = layout.list_fits("main")
    places = {
        layout.data.manifest: "manifest.parquet", layout.main_tiles: "tiles", fits: "part0",
        layout.arm("main").predictions: "predictions.parquet",
    }  # fmt: skip
    for place, name in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(study.root / name)
    explain_arm(layout, "main", out)


def test_pictures_and_their_list(study: Study, tmp_path: Path) -> None:
    settings = {"tiles_per_class": 1, "misclassified_tiles": 2, "batch_size": 2}
    run(study, tmp_path / "a", settings)
    index = json.loads((tmp_path / "a" / "index.json").read_text())
    assert {e["kind"] for e in index} == {"class", "misclassified"}
    assert sum(e["kind"] == "misclassified" for e in index) == 2
    tested = set(study.split.loc[study.split["role"] == "test", "sample_id"])
    for entry in index:
        assert set(entry) >= {
            "file", "title", "class", "y_true", "y_pred", "sample_id", "kind", "confidence"
        }  # fmt: skip
        assert entry["sample_id"] in tested
        assert (entry["y_true"] == entry["y_pred"]) == (entry["kind"] == "class")
        assert entry["y_true"] in CLASSES
        assert 0 < entry["confidence"] <= 1
        with Image.open(tmp_path / "a" / entry["file"]) as picture:
            assert picture.format == "PNG"
            assert picture.width > 2 * picture.height
    assert len({e["file"] for e in index}) == len(index)
    run(study, tmp_path / "b", settings)
    for file in [*(e["file"] for e in index), "index.json"]:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_grad_cam_alone_is_two_panels(study: Study, tmp_path: Path) -> None:
    settings = {"method": "grad_cam", "tiles_per_class": 1, "misclassified_tiles": 0}
    run(study, tmp_path, settings)
    entries = json.loads((tmp_path / "index.json").read_text())
    assert {e["kind"] for e in entries} == {"class"}


def make_chosen(study: Study, **changes: object) -> pd.DataFrame:
    sample = study.split.loc[study.split["role"] == "train", "sample_id"].iloc[0]
    row = {"sample_id": sample, "tile": 0, "repeat": 0, "fold": 0, "y_true": CLASSES[0]}
    row |= {"y_pred": CLASSES[0], "confidence": 0.5, "shows": "class", "rank": 1}
    return pd.DataFrame([row | changes])


def test_model_that_was_trained_on_the_image_does_not_explain_it(study: Study) -> None:
    fits = {(0, fold): fit for fold, fit in enumerate(study.fits)}
    paths = study.manifest.set_index("sample_id")["path"]
    tiles = TileStore.open(study.root / "tiles").tiles
    with pytest.raises(LeakageError, match="was trained on the image"):
        list(explain_tiles(make_chosen(study), fits, tiles, paths, ExplainSettings()))
    with pytest.raises(InputError, match="no folder r0_f7"):
        list(explain_tiles(make_chosen(study, fold=7), fits, tiles, paths, ExplainSettings()))


def make_predictions() -> pd.DataFrame:
    rows = [
        ("s1", 1, "test", "a", 0.9),
        ("s1", 2, "test", "a", 0.95),
        ("s2", 3, "test", "a", 0.8),
        ("s3", 4, "test", "a", 0.3),  # wrong with 0.7
        ("s4", 5, "test", "b", 0.4),
        ("s4", 6, "test", "b", 0.6),  # wrong with 0.6
        ("s5", 7, "test", "b", 0.9),  # wrong with 0.9
        ("s6", 8, "validation", "a", 1.0),
        ("s7", -1, "test", "a", 1.0),
    ]
    table = pd.DataFrame(rows, columns=["sample_id", "tile", "role", "y_true", "p_a"])
    table["p_b"] = 1 - table["p_a"]
    table["y_pred"] = np.where(table["p_a"] > 0.5, "a", "b")
    return table.assign(repeat=0, fold=0, arm="main")


def test_most_confident_tiles_of_different_images_are_chosen() -> None:
    chosen = choose_tiles(make_predictions(), 2, 2)
    right = chosen[chosen["shows"] == "class"]
    assert right["tile"].tolist() == [2, 3, 5]
    assert right["rank"].tolist() == [1, 2, 1]
    wrong = chosen[chosen["shows"] == "misclassified"]
    assert wrong["tile"].tolist() == [7, 4]
    assert wrong["confidence"].tolist() == pytest.approx([0.9, 0.7])
    assert choose_tiles(make_predictions(), 1, 0)["tile"].tolist() == [2, 5]
    shuffled = make_predictions().sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(choose_tiles(shuffled, 2, 2), chosen)


def test_nothing_tested_is_one_sentence() -> None:
    with pytest.raises(InputError, match="no test tiles"):
        choose_tiles(make_predictions().query("role == 'validation'"), 1, 1)


def test_overlay_leaves_the_tile_where_the_map_is_zero() -> None:
    tile = np.full((8, 8), 100, np.uint8)
    values = np.zeros((8, 8))
    values[2:4, 2:4] = 5.0
    mixed = blend(tile, values)
    np.testing.assert_allclose(mixed[0, 0], 100 / 255)
    assert not np.allclose(mixed[2, 2], 100 / 255)
    np.testing.assert_array_equal(scale_map(np.zeros((4, 4))), np.zeros((4, 4)))
    assert scale_map(values).max() == 1
    spike = np.zeros((40, 40))
    spike[0, 0] = 3.0  # less than half a percent of the pixels
    assert scale_map(spike)[0, 0] == 1


def test_overlay_without_any_attribution_is_still_a_picture() -> None:
    tile = np.full((16, 16), 100, np.uint8)
    png = draw_overlay(tile, np.zeros((16, 16)), None, "a title\nframe.png")
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.width > 300


def write_masks(study: Study, folder: Path) -> Path:
    """A mask for every image but the first: its left half is marked."""
    for path in study.manifest["path"].iloc[1:]:
        with Image.open(study.images / path) as picture:
            width, height = picture.size
        marked = np.zeros((height, width), np.uint8)
        marked[:, : width // 2] = 1
        target = locate_mask(folder, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(marked).save(target)
    return folder


def test_same_tiles_for_every_arm_and_their_masks(study: Study, tmp_path: Path) -> None:
    masks = write_masks(study, tmp_path / "masks")
    predictions = pd.read_parquet(study.root / "predictions.parquet")
    store = TileStore.open(study.root / "tiles")
    other = predictions.sample(frac=1, random_state=1).assign(y_pred=CLASSES[0])
    chosen, again = (choose_same_tiles(p, store.index, 3, 2) for p in (predictions, other))
    assert chosen["tile"].tolist() == again["tile"].tolist()
    assert chosen["sample_id"].nunique() == 3
    assert chosen["y_true"].nunique() == min(3, len(CLASSES))
    tested = set(study.split.loc[study.split["role"] == "test", "sample_id"])
    assert set(chosen["sample_id"]) <= tested

    settings = {"tiles_per_class": 1, "misclassified_tiles": 0, "same_images": 2}
    run(study, tmp_path / "out", settings, masks)
    table = pd.read_csv(tmp_path / "out" / SAME_TILES_NAME, keep_default_na=True)
    first = study.manifest["sample_id"].iloc[0]
    assert table.loc[table["sample_id"] == first, "share"].isna().all()
    known = table[table["sample_id"] != first]
    assert known["area"].between(0, 1).all()
    assert np.allclose((known["share"] / known["area"]).dropna(), known["preference"].dropna())
    files = table["file"].dropna().tolist()
    assert files == ["same_00.png", "same_01.png"]
    assert all(Image.open(tmp_path / "out" / f).size == (EDGE, EDGE) for f in files)


def test_mask_of_another_size_is_one_sentence(study: Study, tmp_path: Path) -> None:
    for path in (locate_mask(tmp_path / "masks", p) for p in study.manifest["path"]):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ones((5, 7), np.uint8)).save(path)
    settings = {"tiles_per_class": 1, "misclassified_tiles": 0}
    with pytest.raises(InputError, match="the mask has 7×5 px but its image"):
        run(study, tmp_path / "out", settings, tmp_path / "masks")


def test_share_on_a_mask_against_chance() -> None:
    mask = np.zeros((40, 40), bool)
    mask[:, :10] = True
    coverage = cut_coverage(mask, x_px=5, y_px=0, crop_px=10, crop_height_px=10, input_px=4)
    assert coverage[0].tolist() == [1, 1, 0, 0]
    wide = cut_coverage(mask, x_px=0, y_px=0, crop_px=20, crop_height_px=5, input_px=4)
    assert wide.shape == (4, 4)
    assert wide[3].tolist() == [1, 1, 0, 0]
    even = compare_with_mask(np.ones((4, 4)), coverage)
    assert even == {"share": 0.5, "area": 0.5, "preference": 1.0}
    on_it = compare_with_mask(coverage, coverage)
    assert on_it["preference"] == 2.0
    assert np.isnan(compare_with_mask(np.ones((4, 4)), np.zeros((4, 4)))["preference"])
    assert np.isnan(compare_with_mask(np.zeros((4, 4)), coverage)["preference"])
    tiles = pd.DataFrame(
        {"sample_id": ["a", "a", "b", "c"], "share": [0.5, 1.0, 0.25, np.nan], "area": 0.5}
    )
    tiles["preference"] = tiles["share"] / tiles["area"]
    summary = summarise_preference(tiles)
    assert summary["n"] == 2
    assert summary["preference"] == pytest.approx(1.0)
    assert summary["sd"] == pytest.approx(0.5**0.5)
