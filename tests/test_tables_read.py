"""Tables as people save them: separators, decimal signs, titles, encodings, sheets."""

import contextlib
import logging
import zipfile
from decimal import Decimal
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batteryscope.config.table_data import TableDatasetSettings, TableFile
from batteryscope.config.table_format import TableFormat
from batteryscope.errors import ConfigError, InputError
from batteryscope.readers.table_lines import name_option, read_table_lines
from batteryscope.readers.table_numbers import (
    parse_number,
)
from batteryscope.readers.table_sheets import FormulaWithoutResult, Percentage
from batteryscope.readers.table_text import find_separator
from batteryscope.tables.read_table import list_files, read_table


def make_settings(**changes: object) -> TableDatasetSettings:
    values = {
        "name": "t",
        "files": [{"path": "a.csv"}],
        "features": {"comma_gap_um": {"header": "Comma Gap (µm)"}, "speed": {}},
        "targets": {"loading": {}},
        "domains": {"graphite": {"material": {"values": ["graphite"]}}},
        "source": "graphite",
    }
    return TableDatasetSettings.model_validate(values | changes)


def read(tmp_path: Path, content: str | bytes, name: str = "a.csv", **file: object) -> pd.DataFrame:
    data = content.encode() if isinstance(content, str) else content
    (tmp_path / name).write_bytes(data)
    settings = make_settings(**file.pop("settings", {}))
    return read_table(TableFile(path=name, **file), settings, tmp_path)


def test_semicolons_decimal_comma_and_a_byte_order_mark(tmp_path):
    text = "\ufeffmaterial;Comma Gap (µm);speed;loading\r\ngraphite;100;0,3;4,25\r\n"
    table = read(tmp_path, text)
    assert table.loc[2].to_dict() == {
        "material": "graphite",
        "comma_gap_um": "100",
        "speed": "0,3",
        "loading": "4,25",
    }


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separator_is_found(tmp_path, separator):
    rows = ["material,Comma Gap (µm),speed,loading", "graphite,100,0.3,4"]
    table = read(tmp_path, "\n".join(row.replace(",", separator) for row in rows))
    assert table["loading"].tolist() == ["4"]


def test_commas_in_titles_do_not_mislead():
    assert find_separator("loading, mg;density, g\n1,5;2,5\n") == ";"
    assert find_separator('"loading, mg","density; g"\n"1,5",2\n') == ","


def test_titles_match_without_case_spacing_and_kind_of_micro_sign(tmp_path):
    text = 'material," comma  gap (\N{GREEK SMALL LETTER MU}m) ",Speed,loading\ngraphite,100,1,2\n'
    assert read(tmp_path, text)["comma_gap_um"].tolist() == ["100"]


def test_an_exact_title_wins_and_an_unclear_one_is_refused(tmp_path):
    text = "material,Comma Gap (µm),speed,loading,Loading\ngraphite,100,1,2,9\n"
    assert read(tmp_path, text)["loading"].tolist() == ["2"]
    text = "material,Comma Gap (µm),speed,Loading,LOADING\ngraphite,100,1,2,9\n"
    with pytest.raises(InputError, match=r"2 columns are called 'Loading'.*to be 'loading'"):
        read(tmp_path, text)


def test_a_mangled_title_is_named_with_the_nearest_ones(tmp_path):
    text = '"material","Comma.Gap..μm.","speed","loading"\n"graphite",100,1,2\n'
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    for part in ("a.csv", "'comma_gap_um'", "'Comma Gap (µm)'", "'Comma.Gap..μm.'"):
        assert part in message
    table = read(tmp_path, text, headers={"comma_gap_um": "Comma.Gap..μm."})
    assert table["comma_gap_um"].tolist() == ["100"]


def test_unnamed_first_column_blank_lines_and_line_numbers(tmp_path):
    text = ";material;Comma Gap (µm);speed;loading\n1;graphite;100;1;2\n\n;;;;\n2;graphite;200;1;\n"
    table = read(tmp_path, text)
    assert table.index.tolist() == [2, 5]
    assert table["comma_gap_um"].tolist() == ["100", "200"]


def test_decimal_comma_between_commas_is_refused(tmp_path):
    text = "material,Comma Gap (µm),speed,loading\ngraphite,100,0,3,4\n"
    with pytest.raises(
        InputError, match=r"line 2 has 5 cells, but the header has 4.*decimal comma"
    ):
        read(tmp_path, text)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
def test_encodings_with_and_without_a_mark(tmp_path, encoding):
    data = "material;Comma Gap (µm);speed;loading\ngraphite;1;2;3\n".encode(encoding)
    assert read(tmp_path, data)["comma_gap_um"].tolist() == ["1"]


def test_an_encoding_that_cannot_be_told_has_to_be_stated(tmp_path):
    text = "material;Comma Gap (µm);speed;loading\n양극;1;2;3\n"
    korean = text.replace("µ", "u").encode("cp949")
    with pytest.raises(InputError, match=r"line 2 is not valid UTF-8.*path: a.csv, encoding"):
        read(tmp_path, korean)
    table = read(tmp_path, korean, encoding="cp949", headers={"comma_gap_um": "Comma Gap (um)"})
    assert table["material"].tolist() == ["양극"]
    with pytest.raises(ConfigError, match="'latin-99' is no known encoding"):
        read(tmp_path, korean, encoding="latin-99")
    with pytest.raises(InputError, match="line 2 is not valid ascii"):
        read(tmp_path, korean, encoding="ascii")
    with pytest.raises(ConfigError, match="its mark says that its text is utf-16"):
        read(tmp_path, text.encode("utf-16"), encoding="cp1252")
    with pytest.raises(InputError, match="this is no text"):
        read(tmp_path, b"\x00\x01\x02")


def test_excel_sheet_by_name_and_number(tmp_path):
    book = openpyxl.Workbook()
    book.active.title = "notes"
    page = book.create_sheet("rows")
    page.append(["material", "Comma Gap (µm)", "speed", "loading"])
    page.append(["graphite", 100, 0.3, 4.5])
    book.save(tmp_path / "a.xlsx")
    for sheet in (1, "rows"):
        file = TableFile(path="a.xlsx", sheet=sheet)
        table = read_table(file, make_settings(), tmp_path)
        assert table.loc[2, "loading"] == 4.5
    with pytest.raises(InputError, match=r"no sheet 'data'.*0 notes, 1 rows"):
        read_table(TableFile(path="a.xlsx", sheet="data"), make_settings(), tmp_path)
    with pytest.raises(InputError, match="the table is empty"):
        read_table(TableFile(path="a.xlsx"), make_settings(), tmp_path)


def test_a_hidden_sheet_is_not_the_first(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("batteryscope"), "propagate", True)
    book = openpyxl.Workbook()
    book.active.title = "lists"
    book.active.sheet_state = "hidden"
    for page in (book.active, book.create_sheet("rows")):
        page.append(["a", "b"])
        page.append([1, page.title])
    book.save(tmp_path / "a.xlsx")
    assert read_table_lines(tmp_path / "a.xlsx", TableFormat(), name_option).rows == [
        (2, [1, "rows"])
    ]
    assert "its first sheet 'lists' is hidden; 'rows' is read" in caplog.text
    stated = TableFormat(sheet="lists")
    assert read_table_lines(tmp_path / "a.xlsx", stated, name_option).rows == [(2, [1, "lists"])]


def test_parquet_and_other_files(tmp_path):
    columns = {"material": ["graphite"], "Comma Gap (µm)": [100], "speed": [None], "loading": [2.5]}
    pd.DataFrame(columns).to_parquet(tmp_path / "a.parquet")
    table = read_table(TableFile(path="a.parquet"), make_settings(), tmp_path)
    assert table.loc[2, "comma_gap_um"] == 100
    assert table.loc[2, "loading"] == 2.5
    with pytest.raises(InputError, match=r"old Excel .*save it as \.xlsx"):
        read(tmp_path, bytes.fromhex("d0cf11e0a1b11ae1"), name="a.xls")
    assert len(
        read(tmp_path, "material\tComma Gap (µm)\tspeed\tloading\na\t1\t2\t3\n", name="b.xls")
    )
    with pytest.raises(InputError, match="this is a folder; name a table in it"):
        read_table(TableFile(path="."), make_settings(), tmp_path)
    with pytest.raises(ConfigError, match="a parquet file has no encoding to state"):
        read_table(TableFile(path="a.parquet", encoding="cp1252"), make_settings(), tmp_path)
    with pytest.raises(InputError, match="not a readable Excel file"):
        read(tmp_path, "x", name="b.xlsx")
    with pytest.raises(InputError, match="does not exist"):
        read_table(TableFile(path="no.csv"), make_settings(), tmp_path)
    with pytest.raises(InputError, match="a header but no rows"):
        read(tmp_path, "material,Comma Gap (µm),speed,loading\n")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"<html><table><tr><td>material</td></tr></table>", "a web page, .*save it as .xlsx or"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><Workbook/>', "XML, .*save it as .xlsx or CSV"),
        (b"%PDF-1.4\n%\xe2\xe3\n", "this is a PDF file, no table"),
        (b"\x1f\x8b\x08\0abc", r"a packed file \(gzip\), no table"),
        (b"{\\rtf1 material}", "this is RTF text, no table"),
    ],
)
def test_what_is_no_table_is_named(tmp_path, content, sentence):
    with pytest.raises(InputError, match=sentence):
        read(tmp_path, content, name="export.xls")


def test_a_quotation_mark_that_is_never_closed_loses_no_rows_silently(tmp_path):
    rows = "material,Comma Gap (µm),speed,loading\ngraphite,100,1,2\n"
    with pytest.raises(InputError, match=r"opens a cell in line 3 is never closed"):
        read(tmp_path, rows + '"graphite,200,1,2\ngraphite,300,1,2\n')
    # Over several lines, doubled, or in the middle of a cell it is what it says.
    rows += '"of two\nlines",200,1,2\n"3"" disc",300,1,2\n3" disc,400,1,2'
    assert read(tmp_path, rows)["comma_gap_um"].tolist() == ["100", "200", "300", "400"]
    assert read(tmp_path, rows)["comma_gap_um"].index.tolist() == [2, 3, 5, 6]


def test_characters_that_nobody_sees_are_no_part_of_a_title(tmp_path):
    text = "\ufeff\ufeffmaterial\u200b,Comma Gap\u00a0(µm),spe\u00aded,loading\ngraphite,100,1,2\n"
    assert read(tmp_path, text)["speed"].tolist() == ["1"]


def test_wrong_headers_of_a_file(tmp_path):
    text = "material,Comma Gap (µm),speed,loading\ngraphite,100,1,2\n"
    with pytest.raises(ConfigError, match="unknown column 'laoding'; did you mean 'loading'"):
        read(tmp_path, text, headers={"laoding": "x"})
    with pytest.raises(ConfigError, match="'speed' and 'loading' are both the column 'loading'"):
        read(tmp_path, text, headers={"speed": "loading"})


def test_the_domain_column_is_not_needed_where_the_file_states_the_domain(tmp_path):
    text = "Comma Gap (µm),speed,loading\n100,1,2\n"
    assert "material" not in read(tmp_path, text, domain="graphite")
    with pytest.raises(InputError, match="the column 'material'"):
        read(tmp_path, text)


def test_a_condition_may_use_the_title_of_a_feature(tmp_path):
    domains = {"graphite": {"Comma Gap (µm)": {"max": 100}}}
    text = "Comma Gap (µm),speed,loading\n100,1,2\n"
    table = read(tmp_path, text, settings={"domains": domains})
    assert table.loc[2, ["Comma Gap (µm)", "comma_gap_um"]].tolist() == ["100", "100"]


def test_impossible_separator_and_a_damaged_file(tmp_path):
    text = "material,Comma Gap (µm),speed,loading\ngraphite,100,1,2\n"
    for separator in (";;", '"', "\n", ""):
        with pytest.raises(ConfigError, match="is impossible; give one character"):
            read(tmp_path, text, separator=separator)
    with pytest.raises(InputError, match="not a readable table"):
        read(tmp_path, text + '"' + "x," * 100_000)
    with pytest.raises(InputError, match="the table is empty"):
        read(tmp_path, "\n\n")


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["a.csv", "a.xlsx", "a.parquet"]))
def test_any_bytes_are_a_table_or_a_sentence(tmp_path_factory, content, name):
    path = tmp_path_factory.mktemp("bytes") / name
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        read_table_lines(path, TableFormat(), name_option)


def test_excels_own_line_with_the_separator(tmp_path):
    text = "sep=;\nmaterial;Comma Gap (µm);speed;loading\ngraphite;100;1;2\n"
    assert read(tmp_path, text).index.tolist() == [3]
    assert read(tmp_path, '"sep=,"\n' + text[6:].replace(";", ","))["loading"].tolist() == ["2"]


def test_a_row_with_more_cells_than_titles_costs_itself(tmp_path):
    text = "material,Comma Gap (µm),speed,loading\na,100,0,3,4\na,100,1,2\na,200,1,3,,\n"
    table = read(tmp_path, text)
    assert table.index.tolist() == [2, 3, 4]
    assert table.loc[[3, 4], "loading"].tolist() == ["2", "3"]
    assert "has 5 cells, but the header has 4" in str(table.loc[2, "loading"])


def test_formulas_merged_cells_and_percentages_of_excel(tmp_path):
    book = openpyxl.Workbook()
    page = book.active
    page.append(["material", "Comma Gap (µm)", "speed", "loading", None, "note"])
    page.append(["graphite", 100, "=B2/2", 0.05])
    page.append([None, 200, "=B3/2", 0.06])
    page["H3"] = "beside the table"
    page["D2"].number_format = "0.0%"
    page.merge_cells("A2:A3")
    book.save(tmp_path / "a.xlsx")
    table = read_table(TableFile(path="a.xlsx"), make_settings(), tmp_path)
    assert table["material"].tolist() == ["graphite"] * 2
    assert table["speed"].tolist() == [FormulaWithoutResult("=B2/2"), FormulaWithoutResult("=B3/2")]
    assert [type(cell) for cell in table["loading"]] == [Percentage, float]
    page.merge_cells("D1:E1")
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(InputError, match="2 columns are called 'loading'"):
        read_table(TableFile(path="a.xlsx"), make_settings(), tmp_path)


def test_a_formula_whose_stored_result_is_empty_is_empty(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["a", "b"])
    book.active.append([1, '=IF(A2>0,"","x")'])
    book.save(tmp_path / "plain.xlsx")
    with zipfile.ZipFile(tmp_path / "plain.xlsx") as source:
        parts = {name: source.read(name) for name in source.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    parts[sheet] = parts[sheet].replace(b'<c r="B2"><f>', b'<c r="B2" t="str"><f>')
    with zipfile.ZipFile(tmp_path / "excel.xlsx", "w") as target:
        for name, content in parts.items():
            target.writestr(name, content)
    for name, cell in (
        ("plain.xlsx", FormulaWithoutResult('=IF(A2>0,"","x")')),
        ("excel.xlsx", None),
    ):
        assert read_table_lines(tmp_path / name, TableFormat(), name_option).rows == [
            (2, [1, cell])
        ]


def test_parquet_with_a_named_index_and_categorical_and_exact_columns(tmp_path):
    columns = {
        "Comma Gap (µm)": [100, 200],
        "material": pd.Categorical(["graphite", None]),
        "speed": [Decimal("0.250"), Decimal("1.025")],
        "loading": pd.array([1, None], dtype="Int64"),
    }
    pd.DataFrame(columns).set_index("Comma Gap (µm)").to_parquet(tmp_path / "a.parquet")
    table = read_table(TableFile(path="a.parquet"), make_settings(), tmp_path)
    assert table["comma_gap_um"].tolist() == [100, 200]
    assert table["material"][2] == "graphite"
    assert pd.isna(table["material"][3])
    assert [parse_number(cell, ",") for cell in table["speed"]] == [0.25, 1.025]
    assert table["loading"][2] == 1


def test_generated_tables_are_read_by_the_names_of_the_settings(tmp_path):
    generator = {"kind": "electrode_manufacturing"}
    settings = make_settings(files=[], generator=generator)
    with pytest.raises(InputError, match="no generated table"):
        list_files(settings, tmp_path)
    (tmp_path / "x.csv").write_text("material,comma_gap_um,speed,loading\ngraphite,100,1,2\n")
    (file,) = list_files(settings, tmp_path)
    assert read_table(file, settings, tmp_path)["comma_gap_um"].tolist() == ["100"]


def test_columns_are_computed_from_others_of_the_file(tmp_path):
    text = (
        "material;gap.um;thickness;t0;speed;loading\ngraphite;50,0;200;1;2;3\ngraphite;;200;1;2;3\n"
    )
    formulas = {"comma_gap_um": "100 * `gap.um` / thickness + t0"}
    table = read(tmp_path, text, formulas=formulas)
    assert table["comma_gap_um"].tolist() == [26.0, None]


@pytest.mark.parametrize(
    "formula", ["1 +", "unknown * 2", "loading.to_csv('x.csv')", "@pd.options", "loading = 2"]
)
def test_a_formula_that_cannot_be_computed_is_told(tmp_path, formula, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "material,speed,loading\ngraphite,2,3\n"
    with pytest.raises(ConfigError, match=r"formulas.comma_gap_um: .* cannot be computed"):
        read(tmp_path, text, formulas={"comma_gap_um": formula})
    assert not list(tmp_path.glob("x.csv"))
