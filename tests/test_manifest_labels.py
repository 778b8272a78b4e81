"""Labels of pictures: from their folders, or from a table."""

import hashlib
import unicodedata
from datetime import datetime
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from batteryscope.config.base import validate_settings
from batteryscope.config.dataset import LabelSettings
from batteryscope.errors import ConfigError, InputError
from tests.labelled_images import NCM, build, make_dataset, write_image, write_table


@pytest.fixture
def dataset(tmp_path) -> Path:
    return make_dataset(tmp_path / "images")


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
    with pytest.raises(ConfigError, match="table_format has no effect with source 'folders'"):
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
