"""How numbers in tables are written, decided over a whole column."""

import contextlib
import csv
import io
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batteryscope.config.table_format import TableFormat
from batteryscope.errors import InputError
from batteryscope.readers.table_lines import name_option, read_table_lines
from batteryscope.readers.table_numbers import (
    NumberStyle,
    explain_no_number,
    find_styles,
    parse_measure,
    parse_number,
    scale_number,
)
from batteryscope.readers.table_sheets import Percentage


def test_a_number_that_became_a_date_says_so():
    words = explain_no_number("gap", datetime(2024, 5, 1))
    assert "a date or time (perhaps a number such as 1.5 that Excel took for one)" in words


def test_numbers_as_people_write_them():
    assert [parse_number(c, ",") for c in ("0,5", "−2", "1e3", 7)] == [0.5, -2.0, 1000.0, 7.0]
    for cell in ("0,5", "5 %", "1.234.567", "inf", True, "1_000", float("inf"), "1,025", "1 025"):
        assert parse_number(cell, ".") is None
    grouped = {"1,025": 1025.0, "-1,234,567.5": -1234567.5, "1\u202f025.5": 1025.5, "1'025": 1025.0}
    for cell, number in grouped.items():
        assert parse_number(cell, ".", grouped=True) == number
    for cell in ("0,580", "1,02", "1,0255", "1,025,5", "12,34,567", "1.025,5", "1'025\u202f000"):
        assert parse_number(cell, ".", grouped=True) is None
    assert parse_number(Decimal("0.10"), ",") == 0.1
    assert scale_number(0.58, 100) == 58.0


def find_style(*cells: object, **others: list[object]) -> NumberStyle:
    columns = {"own": list(cells), **others}
    lined = {name: list(enumerate(column, start=2)) for name, column in columns.items()}
    return find_styles(lined, "auto", "a.csv", name_option)["own"]


@pytest.mark.parametrize(
    ("cells", "style"),
    [
        (["0,5", "3", "x"], (",", False)),
        (["0.125", "1.025"], (".", False)),
        (["1234.567", "1.025"], (".", False)),
        (["1.234.567", "1.025"], (",", True)),
        (["1,025.5", "1,025"], (".", True)),
        (["1.025e3", "1.025"], (".", False)),
        (["-850,5", "−1,025"], (",", False)),
        (["850", "7", None, 1.025], (".", False)),
        (["0.5"] * 10 + ["1,5"], (".", False)),  # one slip among many
    ],
)
def test_a_column_proves_its_decimal_sign(cells, style):
    assert find_style(*cells) == style


def test_a_column_without_proof_follows_the_table_only_with_the_same_sign():
    assert find_style("1.025", other=["0.5"]).decimal == "."
    assert find_style("1,025", other=["0,5"]).decimal == ","
    assert find_style("7", other=["0,5"]).decimal == ","
    for own, others in (("1.025", ["0,5"]), ("1,025", ["0.5"]), ("1.025", ["7"])):
        point = "1.025" if "." in own else "1025"
        with pytest.raises(InputError, match=rf"may be .*--decimal '.' if it is {point}"):
            find_style(own, other=others)
    with pytest.raises(InputError, match=r"'1.025' in line 2"):
        find_style("1.025", one=["0,5"], two=["0.5"])


def test_a_weak_majority_decides_nothing():
    with pytest.raises(InputError, match=r"'1,5' in line 11 and '0.5' in line 2.*--decimal '.'"):
        find_style(*["0.5"] * 9, "1,5")


def test_what_excel_shows_as_percent_is_percent():
    assert parse_measure(Percentage(0.05), NumberStyle(), 1, "wt%") == 5
    assert parse_measure(Percentage(0.05), NumberStyle(), 100, "wt%") == 5
    assert parse_measure(Percentage(0.05), NumberStyle(), 1, "") == 0.05


NUMBERS = st.decimals(-10_000_000, 10_000_000, places=3).map(lambda number: number + 0)


def write_in_locale(number: Decimal, decimal: str, group: str, places: int) -> str:
    text = f"{number:,.{places}f}" if group else f"{number:.{places}f}"
    return text.replace(",", "_").replace(".", decimal).replace("_", group)


@settings(deadline=None)  # the machine may be busy
@given(
    st.lists(st.lists(NUMBERS, min_size=1, max_size=6), min_size=1, max_size=3),
    st.sampled_from([(".", ""), (",", ""), (".", ","), (",", "."), (",", "\u202f"), (".", "'")]),
    st.integers(0, 3),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]),
    st.booleans(),
    st.sampled_from(["auto", "stated"]),
)
def test_what_is_written_in_any_locale_is_read_as_written_or_refused(
    tmp_path_factory, columns, locale, places, separator, encoding, named, stated
):
    """Never by a factor of 1000; with a stated decimal sign and plain numbers never refused."""
    decimal, group = locale
    depth = min(map(len, columns))
    exact = [[round(n, places) + 0 for n in column[:depth]] for column in columns]
    path = tmp_path_factory.mktemp("locale") / "a.csv"
    with io.StringIO(newline="") as stream:
        writer = csv.writer(stream, delimiter=separator)
        writer.writerow(["µ0", *(f"c{i}" for i in range(1, len(exact))), "end"])
        for row in zip(*exact, strict=True):
            cells = [write_in_locale(n, decimal, group, places) for n in row]
            writer.writerow([*cells, "x"])
        text = stream.getvalue()
    hint = f"sep={separator}\r\n" if named else ""
    path.write_bytes((hint + text).encode(encoding))
    written = TableFormat(decimal=decimal if stated == "stated" else "auto")
    titles, rows, _ = read_table_lines(path, written, name_option)
    assert titles == ["µ0", *(f"c{i}" for i in range(1, len(exact))), "end"]
    assert [number for number, _ in rows] == list(range(2 + named, 2 + named + depth))
    lined = {str(i): [(n, row[i]) for n, row in rows] for i in range(len(exact))}
    styles = None
    with contextlib.nullcontext() if stated == "stated" else contextlib.suppress(InputError):
        styles = find_styles(lined, written.decimal, path, name_option)
    if styles is None:
        return
    for i, column in enumerate(exact):
        for (_, cell), number in zip(lined[str(i)], column, strict=True):
            read_number = parse_number(cell, *styles[str(i)])
            assert read_number == float(number) or (read_number is None and stated == "auto")
