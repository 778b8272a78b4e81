"""Tables as people save them: separators, decimal signs, titles, encodings, sheets."""

from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from batteryscope.config.table_data import TableDatasetSettings, TableFile
from batteryscope.errors import ConfigError, InputError
from batteryscope.readers.table_numbers import parse_number, scale_number
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


def test_latin_1_has_to_be_stated(tmp_path):
    data = "material;Comma Gap (µm);speed;loading\ngraphite;1;2;3\n".encode("latin-1")
    with pytest.raises(InputError, match=r"line 1 is not valid utf-8-sig.*encoding: latin-1"):
        read(tmp_path, data)
    assert read(tmp_path, data, encoding="latin-1")["comma_gap_um"].tolist() == ["1"]
    with pytest.raises(ConfigError, match="'latin-99' is no known encoding"):
        read(tmp_path, data, encoding="latin-99")


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


def test_parquet_and_other_files(tmp_path):
    columns = {"material": ["graphite"], "Comma Gap (µm)": [100], "speed": [None], "loading": [2.5]}
    pd.DataFrame(columns).to_parquet(tmp_path / "a.parquet")
    table = read_table(TableFile(path="a.parquet"), make_settings(), tmp_path)
    assert table.loc[2, "comma_gap_um"] == 100
    assert table.loc[2, "loading"] == 2.5
    with pytest.raises(InputError, match=r"tables end in .*save it as \.xlsx"):
        read(tmp_path, "x", name="a.xls")
    with pytest.raises(InputError, match="not a readable Excel file"):
        read(tmp_path, "x", name="b.xlsx")
    with pytest.raises(InputError, match="does not exist"):
        read_table(TableFile(path="no.csv"), make_settings(), tmp_path)
    with pytest.raises(InputError, match="a header but no rows"):
        read(tmp_path, "material,Comma Gap (µm),speed,loading\n")


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


def test_numbers_as_people_write_them():
    assert find_decimal(["0,5", "3", "x"]) == ","
    assert find_decimal(["0.5", "1,5", 3.0]) == "."
    assert [parse_number(c, ",") for c in ("0,5", "−2", "1e3", 7)] == [0.5, -2.0, 1000.0, 7.0]
    for cell in ("0,5", "5 %", "1.234.567", "inf", True, "1_000", float("inf")):
        assert parse_number(cell, ".") is None
    assert scale_number(0.58, 100) == 58.0


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
