"""The sample table: labels, rejects, duplicates, selection, identity."""

import json
import logging
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from batteryscope.errors import ConfigError, InputError
from batteryscope.manifest.frames import read_frames
from batteryscope.manifest.ingest_pictures import hash_manifest, summarise_manifest
from batteryscope.manifest.schema import read_manifest, validate_manifest, write_manifest
from batteryscope.manifest.select import select_samples
from batteryscope.readers.scan import scan_images
from tests.labelled_images import NCM, build, make_dataset, write_image, write_table
from workflow_scripts.ingest_dataset import main


@pytest.fixture
def dataset(tmp_path) -> Path:
    return make_dataset(tmp_path / "images")


def test_every_reject_has_its_reason(dataset):
    folder = dataset / "ncm333_pristine"
    (folder / "notes.jpg").write_text("no picture")
    whole = write_image(folder / "whole.png", 77)
    content = (folder / "whole.png").read_bytes()
    (folder / "cut.png").write_bytes(content[: len(content) // 2])
    (folder / "nothing.tif").write_bytes(b"")
    Image.new("L", (32, 24), 9).save(folder / "flat.bmp")
    Image.fromarray(whole.astype(np.uint16) * np.uint16(257)).save(folder / "x copy.tif")
    Image.fromarray(np.tile(whole, (2, 2))).save(folder / "large.png")
    write_image(folder / "small.png", 78, size=(8, 8))
    (folder / "film.mp4").write_bytes(b"0")
    (folder / "gone.png").symlink_to(dataset / "nowhere.png")
    write_image(dataset / "other" / "1.png", 79)
    for name in ("whole.png.txt", "Thumbs.db", ".hidden.png", "data.csv", "x.dvc"):
        (folder / name).write_bytes(b"x")
    (dataset / ".dvc").mkdir()
    write_image(dataset / ".dvc" / "1.png", 80)

    manifest, rejects = build(dataset, NCM, expected_size_px=(32, 24), max_pixels=1000)
    found = dict(zip(rejects["path"], rejects["reason"], strict=True))
    assert found == {
        "ncm333_pristine/notes.jpg": "unreadable",
        "ncm333_pristine/cut.png": "truncated",
        "ncm333_pristine/nothing.tif": "empty",
        "ncm333_pristine/flat.bmp": "empty",
        "ncm333_pristine/x copy.tif": "duplicate_content",
        "ncm333_pristine/large.png": "too_large",
        "ncm333_pristine/small.png": "wrong_size",
        "ncm333_pristine/film.mp4": "unsupported",
        "ncm333_pristine/gone.png": "unreadable",
        "other/1.png": "missing_label",
        "ncm333_pristine/Thumbs.db": "foreign_file",
        "ncm333_pristine/whole.png.txt": "foreign_file",
    }
    details = rejects.set_index("path")["detail"]
    assert "whole.png, which is kept" in details["ncm333_pristine/x copy.tif"]
    assert "'other' does not match" in details["other/1.png"]
    assert len(manifest) == 7
    assert "ncm333_pristine/whole.png" in set(manifest["path"])


def test_the_first_of_equal_pictures_in_natural_order_is_kept(tmp_path):
    for name in ("10.png", "9.bmp", "2.tif"):
        write_image(tmp_path / "a" / name, 5)
    write_image(tmp_path / "a" / "z.png", 6)
    manifest, rejects = build(tmp_path)
    assert set(manifest["path"]) == {"a/2.tif", "a/z.png"}
    assert list(rejects["path"]) == ["a/9.bmp", "a/10.png"]


def test_equal_pictures_of_different_classes_are_all_rejected(tmp_path):
    for folder in ("a", "b"):
        write_image(tmp_path / folder / "same.png", 5)
        write_image(tmp_path / folder / "own.png", ord(folder))
    manifest, rejects = build(tmp_path)
    assert len(manifest) == 2
    assert list(rejects["reason"]) == ["conflicting_labels"] * 2
    assert "b/same.png shows the same pixels and is labelled 'b'" in rejects["detail"][0]


@pytest.mark.skipif(sys.platform == "darwin", reason="file names are always Unicode there")
def test_names_that_are_no_text_are_rejected(dataset):
    source = dataset / "ncm333_pristine" / "frame  0, a.png"
    broken = bytes(source.parent) + b"/\xbe\xe7.png"
    Path(broken.decode(errors="surrogateescape")).write_bytes(source.read_bytes())
    _, rejects = build(dataset, NCM)
    assert rejects["reason"].tolist() == ["unreadable"]
    assert rejects["path"][0] == r"ncm333_pristine/\xbe\xe7.png"


def test_links_are_followed_but_not_in_circles(tmp_path):
    store = tmp_path / "cache"
    write_image(store / "1.png", 1)
    root = tmp_path / "data"
    (root / "a").mkdir(parents=True)
    (root / "a" / "linked.png").symlink_to(store / "1.png")
    (root / "b").symlink_to(store, target_is_directory=True)
    (root / "a" / "loop").symlink_to(root, target_is_directory=True)
    assert scan_images(root).images == ("a/linked.png", "b/1.png")


def test_natural_order(tmp_path):
    names = ["b/2.png", "a/10.png", "a/9.png", "a/9 b.png", "A1/x.png"]
    for i, name in enumerate(names):
        write_image(tmp_path / name, i)
    expected = ("a/9.png", "a/9 b.png", "a/10.png", "A1/x.png", "b/2.png")
    assert set(scan_images(tmp_path).images) == set(expected)
    listed = scan_images(tmp_path).images
    assert listed.index("a/9.png") < listed.index("a/10.png") < listed.index("A1/x.png")


def test_unusable_folders(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        scan_images(tmp_path / "absent")
    (tmp_path / "file.txt").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        scan_images(tmp_path / "file.txt")
    with pytest.raises(InputError, match=r"no image .*\.bmp, \.jpeg, \.jpg, \.png, \.tif, \.tiff"):
        scan_images(tmp_path)


def test_nothing_usable_names_the_reasons(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_text("no")
    (tmp_path / "a" / "2.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"\(1 empty, 1 unreadable\); for example a/1.png"):
        build(tmp_path)


def test_where_keeps_what_it_says(dataset):
    kept, _ = build(dataset, NCM, where={"composition": 333, "state": ["pristine", "aged"]})
    assert set(kept["class"]) == {"333_pristine"}
    kept, _ = build(dataset, NCM, where={"width_px": 32.0})
    assert len(kept) == 6
    with pytest.raises(
        ConfigError, match=r"dataset\.where\.compositon.*did you mean 'composition'"
    ):
        build(dataset, NCM, where={"compositon": 333})
    with pytest.raises(ConfigError, match="expected a number"):
        build(dataset, NCM, where={"width_px": "wide"})
    with pytest.raises(InputError, match="keeps none of the 6 images"):
        build(dataset, NCM, where={"magnification": 500})


def test_only_an_empty_text_finds_empty_cells():
    table = pd.DataFrame({"detector": pd.Series([None, "SED"], dtype="str"), "mag": [np.nan, 5.0]})
    assert select_samples(table, {"detector": ["nan", "SED"]}).index.tolist() == [1]
    empty = select_samples(table, {"detector": ""}).index.tolist()
    assert empty == table.index[table["detector"].isna()].tolist() != []
    assert select_samples(table, {"mag": [5, 6]}).index.tolist() == [1]


def test_identity_does_not_depend_on_names_or_place(dataset, tmp_path):
    first, rejects = build(dataset, NCM)
    moved = tmp_path / "elsewhere" / "deep"
    moved.parent.mkdir()
    dataset.rename(moved)
    image = next(moved.glob("ncm811*/*.png"))
    image.rename(image.with_name("another name.png"))
    second, _ = build(moved, NCM)
    columns = NCM["columns"]
    assert hash_manifest(first, columns) == hash_manifest(second, columns)
    relabelled = second.assign(state="aged")
    assert hash_manifest(first, columns) != hash_manifest(relabelled, columns)
    summary = summarise_manifest(first, rejects, columns)
    assert summary["classes"] == {"333_formation": 2, "333_pristine": 2, "811_pristine": 2}
    assert summary["sizes"] == {"32x24": 6}
    assert summary["magnifications"] == {"": 6}
    assert json.loads(json.dumps(summary)) == summary


def test_written_manifest_is_the_same_every_time(dataset, tmp_path):
    for name in ("1.parquet", "2.parquet"):
        write_manifest(build(dataset, NCM)[0], tmp_path / name)
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()
    table = read_manifest(tmp_path / "1.parquet", NCM["columns"])
    pd.testing.assert_frame_equal(table, build(dataset, NCM)[0])
    with pytest.raises(InputError, match="does not exist"):
        read_manifest(tmp_path / "absent.parquet")
    with pytest.raises(InputError, match="breaks its contract"):
        validate_manifest(table.drop(columns="path"), NCM["columns"])


def test_spelling_and_pages_are_warned_about(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("batteryscope"), "propagate", True)
    write_image(tmp_path / "Aged" / "1.png", 1)
    write_image(tmp_path / "aged" / "2.png", 2)
    pages = [Image.fromarray(np.eye(9, dtype=np.uint8) * i) for i in (1, 2)]
    pages[0].save(tmp_path / "aged" / "3.tif", save_all=True, append_images=pages[1:])
    build(tmp_path)
    assert "'Aged' and 'aged' differ only" in caplog.text
    assert "aged/3.tif (2 pages)" in caplog.text


def run(dataset: Path, out: Path, settings: dict) -> int:
    return main(
        [
            *("--dataset", str(dataset), "--settings", json.dumps(settings)),
            *("--manifest", str(out / "manifest.parquet"), "--rejects", str(out / "rejects.csv")),
            *("--frames", str(out / "frames.parquet")),
            *("--summary", str(out / "summary.json"), "--log", str(out / "log.txt")),
        ]
    )


def test_program(dataset, tmp_path, capsys):
    for i in range(23):
        (dataset / "ncm333_pristine" / f"bad{i}.png").write_text("x")
    settings = {"name": "a", "path": str(dataset), "labels": NCM}
    assert run(dataset, tmp_path, settings) == 0
    printed = capsys.readouterr().err
    assert "6 images in 3 classes, 23 rejected" in printed
    assert printed.count("WARNING") == 21
    assert "… and 3 more rejects" in printed
    assert len(pd.read_csv(tmp_path / "rejects.csv")) == 23
    manifest = read_manifest(tmp_path / "manifest.parquet", NCM["columns"])
    assert len(read_frames(tmp_path / "frames.parquet", manifest)) == 6
    assert json.loads((tmp_path / "summary.json").read_text())["rejects"] == {"unreadable": 23}


def test_what_was_decided_about_a_table_stands_in_the_summary(tmp_path):
    for i in range(3):
        write_image(tmp_path / "data" / f"{i}.png", i)
    rows = ["file;state;magnification;voltage_kv;acquired_at", "0.png;a;1.500;5;01/02/2024 10:00"]
    rows += ["1.png;a;1.250,5;5;31/02/2024 10:00", "2.png;b;900;10;13/02/2024 10:00"]
    labels = write_table(tmp_path / "data", "\n".join(rows))
    settings = {"name": "a", "path": "data", "labels": labels}
    assert run(tmp_path / "data", tmp_path, settings) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["decimal_signs"] == {"labels.csv": ","}
    assert summary["date_orders"] == {"labels.csv": "day_first"}
    assert summary["magnifications"] == {"900": 1, "1500": 1}


def test_program_explains_what_is_wrong(tmp_path, capsys):
    assert run(tmp_path / "gone", tmp_path, {"name": "a", "path": "b"}) == 1
    printed = capsys.readouterr().err
    assert "ERROR" in printed
    assert "does not exist" in printed
    assert "Traceback" not in printed
