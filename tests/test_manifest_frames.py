"""What the ingestion measures on frames, and that later steps do not decode them again."""

import hashlib
import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from batteryscope.config.dataset import DatasetSettings
from batteryscope.errors import InputError
from batteryscope.manifest.build import build_manifest
from batteryscope.manifest.frames import (
    FRAME_DTYPES,
    GREY_LEVEL_COLUMNS,
    get_grey_levels,
    get_thumbnails,
    read_frames,
    validate_frames,
    write_frames,
)
from batteryscope.manifest.measure import make_thumbnail, measure_frame, measure_slice
from batteryscope.preprocess.cut_dataset import cut_dataset
from batteryscope.readers.registry import read_picture
from batteryscope.readers.scan import scan_images
from tests.test_preprocess_data_bar import draw_bar, draw_image
from tests.test_preprocess_images import SETTINGS, make_frame
from workflow_scripts import evaluate_baselines, ingest_dataset, preprocess_images, split_dataset

BAR_PX = 16


@pytest.fixture
def dataset(tmp_path) -> Path:
    root = tmp_path / "images"
    for i in range(12):
        path = root / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(make_frame(i)).save(path)
    return root


def build(root: Path, **more) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    settings = DatasetSettings.model_validate({"name": "a", "path": str(root), **more})
    return build_manifest(scan_images(root), settings, root)


def measure_grey_levels(pixels: np.ndarray) -> dict[str, float]:
    measured = measure_slice(pixels)
    return {name: measured[name] for name in GREY_LEVEL_COLUMNS}


def test_grey_levels_of_known_distributions():
    noise = np.random.default_rng(0).normal(100, 10, (400, 400)).round().astype(np.uint8)
    levels = measure_grey_levels(noise)
    assert levels["mean"] == pytest.approx(100, abs=0.1)
    assert levels["sd"] == pytest.approx(10, abs=0.1)
    assert levels["skewness"] == pytest.approx(0, abs=0.03)
    assert levels["kurtosis"] == pytest.approx(0, abs=0.05)
    assert levels["percentile_05"] == pytest.approx(100 - 16.45, abs=0.6)
    ramp = np.tile(np.arange(256, dtype=np.uint8), (10, 1))
    assert measure_grey_levels(ramp)["percentile_50"] == pytest.approx(127.5, abs=1)
    assert measure_grey_levels(ramp)["sd"] == pytest.approx(ramp.std())


def test_grey_levels_ignore_where_things_are():
    pixels = np.random.default_rng(1).integers(0, 255, (50, 40), dtype=np.uint8)
    shuffled = np.random.default_rng(2).permutation(pixels.ravel()).reshape(40, 50)
    assert measure_grey_levels(pixels) == measure_grey_levels(shuffled)
    uniform = measure_grey_levels(np.full((5, 5), 7, np.uint8))
    assert uniform["sd"] == uniform["skewness"] == uniform["kurtosis"] == 0
    with pytest.raises(InputError, match="without pixels"):
        measure_grey_levels(np.empty((0, 5), np.uint8))


def test_the_data_bar_does_not_count():
    image, bar = draw_image(128, 200, 3), draw_bar(BAR_PX, 200)
    measured = measure_frame(np.vstack([image, bar]))
    assert measured["data_bar_px"] == BAR_PX
    without = measure_frame(image)
    assert measured == {**without, "data_bar_px": BAR_PX, "data_bar": measured["data_bar"]}
    assert not any(without["data_bar"])  # no bar, nothing to see
    shown, brighter = (measure_frame(np.vstack([image, b]))["data_bar"] for b in (bar, bar // 2))
    assert shown == measured["data_bar"] != brighter
    assert measured["mean"] == pytest.approx(image.mean())


def test_a_stated_data_bar_decides_where_none_is_found():
    dark = np.vstack([np.zeros((300, 400), np.uint8), draw_bar(32, 400)])
    assert measure_frame(dark)["data_bar_px"] == 0
    assert measure_frame(dark, 32)["data_bar_px"] == 32


def test_what_labels_say_of_the_data_bar_goes_before_metadata(tmp_path, monkeypatch):
    def read(path, **options):
        picture = read_picture(path, **options)
        return replace(picture, metadata=replace(picture.metadata, data_bar_px=32))

    dark = np.zeros((300, 400), np.uint8)
    for i in range(2):
        dark[i, i] = 1  # so that the pictures differ
        Image.fromarray(np.vstack([dark, draw_bar(32, 400)])).save(tmp_path / f"{i}.png")
    (tmp_path / "labels.csv").write_text("file,state,data_bar_px\n0.png,a,40\n1.png,b,\n")
    labels = {"source": "table", "table": "labels.csv", "columns": ["state"]}
    for reader, without_label in ((read_picture, 0), (read, 32)):
        monkeypatch.setattr("batteryscope.manifest.inspect.read_picture", reader)
        manifest, _, frames = build(tmp_path, labels=labels)
        found = dict(zip(manifest["path"], frames["data_bar_px"], strict=True))
        assert found == {"0.png": 40, "1.png": without_label}
    (tmp_path / "labels.csv").write_text("file,state,data_bar_px\n0.png,a,3.5\n")
    with pytest.raises(InputError, match=r"0.png: .* data_bar_px = '3.5'; expected a whole number"):
        build(tmp_path, labels=labels)


def test_one_row_per_sample_of_the_manifest(dataset, tmp_path):
    pixels = make_frame(0)
    Image.fromarray(pixels).save(dataset / "a" / "copy.bmp")  # the same picture
    Image.new("L", (9, 9)).save(dataset / "a" / "flat.png")
    manifest, rejects, frames = build(dataset)
    assert set(rejects["reason"]) == {"duplicate_content", "empty"}
    assert len(manifest) == 12
    assert frames["sample_id"].tolist() == manifest["sample_id"].tolist()
    assert set(frames["data_bar_px"]) == {BAR_PX}

    row = manifest["path"].tolist().index("a/0.png")
    content = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
    assert frames["pixel_digest"][row] == content
    expected = make_thumbnail(pixels[:-BAR_PX])
    np.testing.assert_array_equal(get_thumbnails(frames)[row], expected)
    levels = get_grey_levels(frames).loc[manifest["sample_id"][row]]
    assert levels.to_dict() == measure_grey_levels(pixels[:-BAR_PX])

    for name in ("1.parquet", "2.parquet"):
        write_frames(build(dataset)[2], tmp_path / name)
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()
    pd.testing.assert_frame_equal(read_frames(tmp_path / "1.parquet", manifest), frames)

    kept, _, fewer = build(dataset, where={"class": "b"})
    assert fewer["sample_id"].tolist() == kept["sample_id"].tolist()
    assert len(fewer) == 6


def test_wrong_tables_are_explained(dataset, tmp_path):
    manifest, _, frames = build(dataset)
    path = tmp_path / "frames.parquet"
    with pytest.raises(InputError, match="does not exist"):
        read_frames(path, manifest)
    path.write_text("no table")
    with pytest.raises(InputError, match="no readable table of frames"):
        read_frames(path, manifest)
    write_frames(frames, path)
    with pytest.raises(InputError, match="its 12 samples are not the 11 of the manifest"):
        read_frames(path, manifest[1:])
    write_frames(frames[::-1], path)
    with pytest.raises(InputError, match="are not the 12 of the manifest"):
        read_frames(path, manifest)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda t: t.drop(columns="skewness"), "skewness"),
        (lambda t: t.assign(data_bar_px=-1), "data_bar_px"),
        (lambda t: t.assign(pixel_digest="x"), "pixel_digest"),
        (lambda t: t.assign(mean=np.nan), "mean"),
        (lambda t: t.assign(sample_id="twice"), "sample_id"),
        (lambda t: t.assign(thumbnail=b"short"), "thumbnail.*48 x 64 bytes"),
        (lambda t: t.assign(data_bar=b"short"), "data_bar.*8 x 64 bytes"),
    ],
)
def test_broken_contracts_name_the_column(change, name):
    rows = [
        {"sample_id": str(i), "pixel_digest": "0" * 64, **measure_frame(make_frame(i))}
        for i in range(2)
    ]
    table = pd.DataFrame(rows).astype(FRAME_DTYPES)
    assert list(validate_frames(table).columns) == list(FRAME_DTYPES)
    with pytest.raises(InputError, match=name) as caught:
        validate_frames(change(table))
    assert len(str(caught.value)) < 400


def count_decodings(monkeypatch) -> Counter[str]:
    """Count how often each file is decoded, by whichever module."""
    decodings: Counter[str] = Counter()

    def read(path, **options):
        decodings[path.as_posix()] += 1
        return read_picture(path, **options)

    users = [
        module
        for name, module in sys.modules.items()
        if name.startswith("batteryscope.") and getattr(module, "read_picture", None)
    ]
    assert sys.modules[cut_dataset.__module__] in users
    for module in users:
        monkeypatch.setattr(module, "read_picture", read)
    return decodings


def test_every_image_is_decoded_once_and_once_more_for_its_tiles(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("batteryscope.evaluation.baselines.TREES", 10)
    decodings = count_decodings(monkeypatch)
    images = sorted(path.as_posix() for path in dataset.rglob("*.png"))
    made = {
        name: str(tmp_path / f"{name}.parquet")
        for name in ("manifest", "frames", "split", "predictions")
    }
    tables = ["--manifest", made["manifest"], "--frames", made["frames"]]
    log = ["--log", str(tmp_path / "log.txt")]
    settings = json.dumps({"name": "a", "path": str(dataset)})
    assert ingest_dataset.main(
        ["--dataset", str(dataset), "--settings", settings, *tables,
         "--rejects", str(tmp_path / "rejects.csv"), "--summary", str(tmp_path / "s.json"), *log]
    ) == 0  # fmt: skip
    assert split_dataset.main(
        [*tables, "--settings", "{}", "--split", made["split"],
         "--audit", str(tmp_path / "audit.json"), *log]
    ) == 0  # fmt: skip
    assert evaluate_baselines.main(
        [*tables, "--settings", "{}", "--split", made["split"],
         "--out", made["predictions"], *log]
    ) == 0  # fmt: skip
    assert "baseline_grey_levels" in set(pd.read_parquet(made["predictions"])["arm"])
    assert decodings == dict.fromkeys(images, 1)

    assert preprocess_images.main(
        ["--manifest", made["manifest"], "--dataset", str(dataset), "--settings", SETTINGS,
         "--max-pixels", "100000", "--out", str(tmp_path / "tiles"), *log]
    ) == 0  # fmt: skip
    assert decodings == dict.fromkeys(images, 2)
