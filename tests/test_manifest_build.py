"""The sample table: labels, rejects, duplicates, selection, identity."""

import hashlib
import json
import logging
import sys
import unicodedata
from datetime import datetime
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from PIL import Image

from batteryscope.config.base import validate_settings
from batteryscope.config.dataset import DatasetSettings, LabelSettings
from batteryscope.errors import ConfigError, InputError
from batteryscope.manifest.build import build_manifest
from batteryscope.manifest.frames import read_frames
from batteryscope.manifest.schema import read_manifest, validate_manifest, write_manifest
from batteryscope.manifest.select import select_samples
from batteryscope.manifest.summary import hash_manifest, summarise_manifest
from batteryscope.readers.scan import scan_images
from workflow_scripts.ingest_dataset import main

NCM = {
    "pattern": r"ncm(?P<composition>\d{3})_(?P<state>\w+)",
    "columns": ["composition", "state"],
}


def settings_of(labels: dict | None = None, **more) -> DatasetSettings:
    return DatasetSettings.model_validate(
        {"name": "test", "path": "somewhere", "labels": labels or {}, **more}
    )


def write_image(path: Path, seed: int, size=(32, 24)) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0]), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def build(root: Path, labels: dict | None = None, **more):
    return build_manifest(scan_images(root), settings_of(labels, **more), root)[:2]


@pytest.fixture
def dataset(tmp_path) -> Path:
    root = tmp_path / "images"
    for i, folder in enumerate(["ncm333_pristine", "NCM333_formation", "ncm811_pristine"]):
        for k in range(2):
            write_image(root / folder / f"frame  {k}, a.png", seed=10 * i + k)
    return root


def write_table(root: Path, text: str, name: str = "labels.csv", encoding: str = "utf-8") -> dict:
    (root / name).write_bytes(text.encode(encoding))
    return {"source": "table", "table": name, "columns": ["state"]}


def test_labels_from_folders_by_pattern(dataset):
    manifest, rejects = build(dataset, NCM)
    assert rejects.empty
    assert sorted(manifest["class"].unique()) == ["333_formation", "333_pristine", "811_pristine"]
    assert set(manifest["composition"]) == {"333", "811"}
    assert manifest["sample_id"].is_monotonic_increasing
    row = manifest.iloc[0]
    content = (dataset / row["path"]).read_bytes()
    assert row["sha256"] == hashlib.sha256(content).hexdigest()
    assert row["sample_id"] == row["sha256"][:16]
    assert (row["width_px"], row["height_px"], row["bit_depth"]) == (32, 24, 8)
    assert row["domain"] == ""
    assert pd.isna(row["specimen_id"])
    assert pd.isna(row["magnification"])


def test_folder_path_is_the_class_without_a_pattern(tmp_path):
    write_image(tmp_path / "a" / "b" / "1.png", 1)
    write_image(tmp_path / "c" / "1.png", 2)
    write_image(tmp_path / "loose.png", 3)
    manifest, rejects = build(tmp_path)
    assert sorted(manifest["class"]) == ["a/b", "c"]
    assert rejects.to_numpy().tolist()[0][:2] == ["loose.png", "missing_label"]


def test_named_groups_fill_origin_columns_and_further_ones(tmp_path):
    write_image(tmp_path / "E2" / "cell7" / "500x" / "aged" / "1.png", 1)
    write_image(tmp_path / "E1" / "cell9" / "500x" / "aged" / "2.png", 2)
    pattern = r"(?P<domain>E\d)/(?P<specimen_id>cell\d)/(?P<magnification>\d+)x/(?P<ageing>\w+)"
    more = pattern.replace("cell", "(?P<operator>c)ell", 1)
    manifest, _ = build(tmp_path, {"pattern": more, "columns": ["ageing"]})
    row = manifest.set_index("specimen_id").loc["cell7"]
    assert (row["domain"], row["class"], row["operator"]) == ("E2", "aged", "c")
    assert row["magnification"] == 500.0


def test_umlauts_and_korean_in_either_normal_form(tmp_path):
    for i, form in enumerate(("NFC", "NFD")):
        folder = unicodedata.normalize(form, "geprüft 양극")
        write_image(tmp_path / f"{folder}" / unicodedata.normalize(form, f"ä{i}.png"), i)
    manifest, _ = build(tmp_path, {"pattern": "(?P<class>gepr\u00fcft \\w+)", "columns": ["class"]})
    assert set(manifest["class"]) == {unicodedata.normalize("NFC", "geprüft 양극")}
    assert all((tmp_path / path).is_file() for path in manifest["path"])


@pytest.mark.parametrize(
    ("separator", "encoding"), [(",", "utf-8"), (";", "utf-8-sig"), ("\t", "utf-16")]
)
def test_labels_from_a_table(tmp_path, separator, encoding):
    write_image(tmp_path / "x" / unicodedata.normalize("NFD", "ä 1.png"), 1)
    write_image(tmp_path / "x" / "2.png", 2)
    write_image(tmp_path / "x" / "3.png", 3)
    write_image(tmp_path / "x" / "4.png", 4)
    lines = [
        "file,state,specimen_id,voltage_kv,note",
        unicodedata.normalize("NFC", "ä 1.png") + ",aged,S1,15,first",
        "x\\2.png,fresh,S2,,",
        ",,,,",
        "x/3.png,,S3,5,",
    ]
    labels = write_table(tmp_path, "\n".join(lines).replace(",", separator), encoding=encoding)
    manifest, rejects = build(tmp_path, labels)
    table = manifest.set_index("specimen_id")
    assert table["class"].to_dict() == {"S1": "aged", "S2": "fresh"}
    assert table.loc["S1", "voltage_kv"] == 15
    assert table.loc["S1", "note"] == "first"
    assert pd.isna(table.loc["S2", "voltage_kv"])
    assert rejects[["path", "reason"]].to_numpy().tolist() == [
        ["x/3.png", "missing_label"],
        ["x/4.png", "missing_label"],
    ]


def test_labels_from_parquet_keep_whole_numbers(tmp_path):
    write_image(tmp_path / "1.png", 1)
    write_image(tmp_path / "2.png", 2)
    table = pd.DataFrame({"file": ["1.png", "2.png"], "state": [333.0, 811.0]})
    table.to_parquet(tmp_path / "labels.parquet")
    labels = {"source": "table", "table": "labels.parquet", "columns": ["state"]}
    manifest, _ = build(tmp_path, labels)
    assert set(manifest["state"]) == {"333", "811"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,state\n1.pgn,a\n", r"did you mean '1.png'"),
        (
            "file,state\n7.png,a\n8.png,a\n9.png,a\n",
            r"none of its 3 rows .* row 2: the file '7.png'",
        ),
        ("file,state\n1.png,a\n1.png,b\n", r"row 3: .* already stands in row 2"),
        ("file,state\n,a\n", r"row 2: the cell 'file' is empty"),
        ("file,state\n\nx.png,a\n", r"row 3: the file 'x.png'"),
        ("file,stat\n1.png,a\n", r"no column 'state'; did you mean 'stat'"),
        ("name,state\n1.png,a\n", r"no column 'file'; it has: name, state"),
        ("file,state\n2.png,a\n", r"2 files are called '2.png' \(a/2.png, b/2.png\)"),
        ("", r"the table is empty"),
        ("file,state,voltage_kv\n1.png,a,high\n", r"1.png: row 2 .* voltage_kv is 'high'"),
        ("file,state,state\n1.png,a,b\n", r"2 columns are called 'state'"),
        ("file,state,porosity\n1.png,a,3,5\n", r"line 2 has 4 cells, but the header has 3"),
        (
            "file,state,acquired_at\n1.png,a,03/04/2024 10:00\n",
            r"the month first.*dataset.labels.table_format.dates: day_first",
        ),
        (
            'file,state,pixel_size_um\n1.png,a,"1,025"\n',
            r"'1,025' in line 2 .* may be 1025 or 1.025.*table_format.decimal: '.'",
        ),
    ],
)
def test_wrong_tables_are_explained(tmp_path, text, message):
    write_image(tmp_path / "1.png", 1)
    write_image(tmp_path / "a" / "2.png", 2)
    write_image(tmp_path / "b" / "2.png", 3)
    labels = write_table(tmp_path, text)
    with pytest.raises(InputError, match=message):
        build(tmp_path, labels)


def test_a_wrong_row_of_a_label_table_costs_itself(tmp_path):
    for number in range(1, 7):
        write_image(tmp_path / f"{number}.png", number)
    lines = [
        "file;state;voltage_kv;acquired_at",
        "1.png;a;1,5;13/04/2024 10:00",
        "2.png;a;high;03/04/2024 10:00",
        "gone.png;a;5;",
        ";a;5;",
        "3.png;a;5;;;more",
        "4.png;a;5;",
        "4.png;b;5;",
        "5.png;b;;2024-04-03T11:30:00",
        "6.png;b;2,5;31/04/2024 10:00",
    ]
    manifest, rejects = build(tmp_path, write_table(tmp_path, "\n".join(lines)))
    table = manifest.set_index("path")
    assert table["voltage_kv"].fillna(0).to_dict() == {"1.png": 1.5, "5.png": 0}
    assert table["acquired_at"].astype(str).to_dict() == {
        "1.png": "2024-04-13 10:00:00",
        "5.png": "2024-04-03 11:30:00",
    }
    told = [(r.path, r.reason, r.detail) for r in rejects.itertuples()]
    expected = [
        ("2.png", "wrong_label", "row 3 of labels.csv: voltage_kv is 'high', not a number"),
        ("3.png", "missing_label", "no row of labels.csv names it"),
        ("4.png", "conflicting_labels", "rows 7 and 8 of labels.csv contradict"),
        ("6.png", "wrong_label", "row 10 of labels.csv: acquired_at is '31/04/2024 10:00'"),
        ("labels.csv", "wrong_label", "row 4: the file 'gone.png' is not in the data set"),
        ("labels.csv", "wrong_label", "row 5: the cell 'file' is empty"),
        ("labels.csv", "wrong_label", "row 6: has 6 cells, but the header has 4"),
        ("labels.csv", "wrong_label", "row 8: the file '4.png' already stands in row 7"),
    ]
    assert [row[:2] for row in told] == [row[:2] for row in expected]
    for (_, _, detail), (_, _, words) in zip(told, expected, strict=True):
        assert detail.startswith(words)


@pytest.mark.parametrize(
    ("written", "dates", "expected"),
    [
        (["03/04/2024 10:00", "13/04/2024 10:00"], "auto", [(4, 3), (4, 13)]),
        (["03/04/2024 10:00", "04/13/2024 10:00"], "auto", [(3, 4), (4, 13)]),
        (["03-04-2024 10:00", "05/05/2024 10:00"], "month_first", [(3, 4), (5, 5)]),
        (["03.04.2024 10:00", "2024-05-06 10:00"], "auto", [(4, 3), (5, 6)]),
    ],
)
def test_day_and_month_are_told_apart_by_the_whole_column(tmp_path, written, dates, expected):
    lines = ["file,state,acquired_at"]
    for number, text in enumerate(written):
        write_image(tmp_path / f"{number}.png", number)
        lines.append(f"{number}.png,a,{text}")
    labels = write_table(tmp_path, "\n".join(lines)) | {"table_format": {"dates": dates}}
    manifest, _ = build(tmp_path, labels)
    found = manifest.set_index("path")["acquired_at"].sort_index()
    assert [(when.month, when.day) for when in found] == expected


def test_labels_from_excel_with_merged_cells_and_dates(tmp_path):
    book = openpyxl.Workbook()
    page = book.active
    page.append(["file", "state", "acquired_at", "voltage_kv"])
    for number in range(3):
        write_image(tmp_path / f"{number}.png", number)
        page.append([f"{number}.png", "aged", datetime(2024, 5, 31, 14, number), 1.025])
    page.merge_cells("B2:B4")
    book.save(tmp_path / "labels.xlsx")
    labels = {"source": "table", "table": "labels.xlsx", "columns": ["state"]}
    manifest, rejects = build(tmp_path, labels)
    assert rejects.empty
    assert set(manifest["state"]) == {"aged"}
    assert set(manifest["voltage_kv"]) == {1.025}
    assert sorted(when.minute for when in manifest["acquired_at"]) == [0, 1, 2]


def test_what_folder_names_say_costs_one_picture_if_impossible(tmp_path):
    write_image(tmp_path / "a_500x" / "1.png", 1)
    write_image(tmp_path / "a_0x" / "2.png", 2)
    pattern = r"(?P<state>\w+)_(?P<magnification>\d+)x"
    manifest, rejects = build(tmp_path, {"pattern": pattern, "columns": ["state"]})
    assert manifest["magnification"].tolist() == [500]
    (reject,) = rejects.to_dict("records")
    assert (reject["path"], reject["reason"]) == ("a_0x/2.png", "wrong_label")
    assert "expected a number above 0" in reject["detail"]


def test_a_format_of_tables_without_a_table_is_refused():
    with pytest.raises(ConfigError, match=r"labels\.table_format is for a label table"):
        validate_settings(LabelSettings, {"table_format": {"decimal": ","}}, "labels")


def test_table_in_another_encoding_or_absent(tmp_path):
    write_image(tmp_path / "1.png", 1)
    labels = write_table(tmp_path, "file,state\n1.png,größer „x“\n", encoding="cp1252")
    with pytest.raises(InputError, match=r"UTF-8.*labels.table_format.encoding: cp1252"):
        build(tmp_path, labels)
    manifest, _ = build(tmp_path, {**labels, "table_format": {"encoding": "cp1252"}})
    assert manifest["state"].tolist() == ["größer „x“"]
    with pytest.raises(InputError, match="this table does not exist"):
        build(tmp_path, {**labels, "table": "other.csv"})


def test_impossible_label_columns(dataset):
    with pytest.raises(ConfigError, match=r"no labels\.pattern"):
        build(dataset, {"columns": ["composition", "state"]})
    labels = write_table(dataset, "file,magnification\n")
    with pytest.raises(ConfigError, match="manifest column of its own"):
        build(dataset, {**labels, "columns": ["magnification"]})


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
