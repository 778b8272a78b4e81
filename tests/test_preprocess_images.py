"""From a folder of images to a tile store, by the program."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from batteryscope.manifest.schema import find_dtypes, write_manifest
from batteryscope.tilestore import TileStore
from tests.test_preprocess_data_bar import draw_bar, draw_image
from workflow_scripts import preprocess_images

SETTINGS = (
    '{"method": "sem_tiles", "crop_px": 60, "input_px": 32, "tiles_per_class": 10,'
    ' "grid_tiles": 4, "block_px": 10, "min_local_sd": 6}'
)


def write_dataset(root, frames: dict[str, np.ndarray]) -> pd.DataFrame:
    rows = []
    for i, (path, pixels) in enumerate(frames.items()):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / path)
        rows.append({"sample_id": f"{i:016x}", "path": path, "sha256": f"{i:064x}"})
    dtypes = find_dtypes(["class"])
    table = pd.DataFrame(rows).assign(width_px=200, height_px=144, bit_depth=8, domain="")
    table["class"] = table["path"].str.split("/").str[0]
    return table.reindex(columns=list(dtypes)).astype(dtypes)


def make_frame(seed: int) -> np.ndarray:
    return np.vstack([draw_image(128, 200, seed), draw_bar(16, 200)])


def run(root, manifest, out, settings=SETTINGS) -> int:
    write_manifest(manifest, root / "manifest.parquet")
    return preprocess_images.main(
        ["--manifest", str(root / "manifest.parquet"), "--dataset", str(root), "--settings",
         settings, "--max-pixels", "100000", "--out", str(out), "--log", str(root / "log.txt")]
    )  # fmt: skip


@pytest.fixture
def frames() -> dict[str, np.ndarray]:
    names = ["a/1.png", "a/2.png", "a/3.png", "b/4.png", "b/5.png"]
    return {name: make_frame(i) for i, name in enumerate(names)}


def test_store_of_a_data_set(tmp_path, frames):
    manifest = write_dataset(tmp_path, frames)
    assert run(tmp_path, manifest, tmp_path / "tiles") == 0
    store = TileStore.open(tmp_path / "tiles")
    counts = store.index.pivot_table(index="sample_id", columns="kind", aggfunc="size")
    assert counts["random"].tolist() == [10] * 5  # of three or two images one may train alone
    assert set(counts["grid"]) == {4}
    assert store.tiles.shape == (int(store.index["used"].sum()), 32, 32)
    assert (store.index["y_px"] + 60).max() == 128
    assert Image.open(tmp_path / "tiles" / "preview.png").width > 400
    rejects = pd.read_csv(tmp_path / "tiles" / "rejects.csv")
    assert list(rejects.columns) == ["sample_id", "path", "reason", "detail"]
    assert rejects.empty


def test_equal_runs_give_equal_bytes(tmp_path, frames):
    manifest = write_dataset(tmp_path, frames)
    run(tmp_path, manifest, tmp_path / "one")
    run(tmp_path, manifest.iloc[::-1], tmp_path / "two")
    for name in ("tiles.npy", "index.parquet", "rejects.csv", "preview.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_other_images_do_not_matter(tmp_path, frames):
    manifest = write_dataset(tmp_path, frames)
    run(tmp_path, manifest, tmp_path / "all")
    run(tmp_path, manifest[manifest["class"] == "a"], tmp_path / "some")
    one, two = TileStore.open(tmp_path / "all"), TileStore.open(tmp_path / "some")
    assert np.array_equal(one.tiles[: len(two.tiles)], two.tiles)


def test_bad_images_are_listed_and_the_others_used(tmp_path, frames):
    frames["a/small.png"] = draw_image(50, 200)
    frames["b/empty.png"] = np.random.default_rng(0).normal(60, 2, (144, 200)).astype(np.uint8)
    frames["b/large.png"] = draw_image(400, 400)
    frames["b/broken.png"] = make_frame(9)
    manifest = write_dataset(tmp_path, frames)
    broken = tmp_path / "b" / "broken.png"
    broken.write_bytes(broken.read_bytes()[:3000])
    assert run(tmp_path, manifest, tmp_path / "tiles") == 0
    rejects = pd.read_csv(tmp_path / "tiles" / "rejects.csv").set_index("path")
    assert rejects["reason"].to_dict() == {
        "a/small.png": "wrong_size",
        "b/empty.png": "empty",
        "b/large.png": "too_large",
        "b/broken.png": "truncated",
    }
    store = TileStore.open(tmp_path / "tiles")
    assert store.index["sample_id"].nunique() == 5
    assert not set(rejects["sample_id"]) & set(store.index["sample_id"])


def test_nothing_usable_is_an_error(tmp_path, frames, capsys):
    manifest = write_dataset(tmp_path, frames)
    settings = SETTINGS.replace('"crop_px": 60', '"crop_px": 150')
    assert run(tmp_path, manifest, tmp_path / "tiles", settings) == 1
    error = capsys.readouterr().err
    assert "no image gives a tile" in error
    assert "crop_px 150" in error
    assert not (tmp_path / "tiles" / "tiles.npy").exists()


def test_unknown_key_is_named(tmp_path, frames, capsys):
    manifest = write_dataset(tmp_path, frames)
    assert run(tmp_path, manifest, tmp_path / "tiles", SETTINGS.replace("grid_t", "gird_t")) == 1
    assert "did you mean 'grid_tiles'?" in capsys.readouterr().err
