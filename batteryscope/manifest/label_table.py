"""Reading a table of labels and finding the file that each row names."""

import difflib
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from batteryscope.config.dataset import LabelSettings
from batteryscope.config.table_format import TableFormat
from batteryscope.errors import InputError
from batteryscope.manifest.schema import NUMBER_COLUMNS, TIME_COLUMN
from batteryscope.readers.table_dates import find_date_order, parse_date
from batteryscope.readers.table_lines import (
    is_empty,
    name_setting,
    read_table_lines,
    refuse_repeated,
)
from batteryscope.readers.table_numbers import (
    explain_no_number,
    find_styles,
    is_missing,
    parse_number,
    with_lines,
)
from batteryscope.readers.table_sheets import FormulaWithoutResult
from batteryscope.readers.table_text import Say

SAY_LABELS = name_setting("dataset.labels.table_format")
# Comparing names is slow; whoever misspelt hundreds knows after a few.
MAX_HINTS = 5


class RowTable(NamedTuple):
    """Rows of a table, index ``row`` (the line in the file), and why other rows cannot be used."""

    rows: pd.DataFrame
    wrong: dict[int, str]


class MatchedFiles(NamedTuple):
    """Path → row that names it; row → why it names none; path → rows that contradict."""

    rows: dict[str, int]
    wrong: dict[int, str]
    conflicts: dict[str, str]


def read_rows_of_table(
    path: Path, columns: Sequence[str], written: TableFormat, say: Say
) -> RowTable:
    """Read a table whose columns are all taken over; cells stay as the file holds them.

    Parameters
    ----------
    path
        CSV, Excel or parquet.
    columns
        Titles that must be there.
    written
        How the file is written.
    say
        How the user can state that, for messages.

    Raises
    ------
    InputError
        The table is missing, cannot be read, lacks a column, or has two with one title.
    """
    titles, lines, too_long = read_table_lines(path, written, say)
    refuse_repeated(titles, path)
    for column in columns:
        if column not in titles:
            near = difflib.get_close_matches(column, titles, n=1, cutoff=0.6)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise InputError(
                f"{path}: the table has no column '{column}'; {hint}"
                f"it has: {', '.join(filter(None, titles))}."
            )
    cells = {
        title: [row[place] if place < len(row) else None for _, row in lines]
        for place, title in enumerate(titles)
        if title
    }
    index = pd.Index([number for number, _ in lines], name="row", dtype="int64")
    wrong = dict(too_long)
    for title, written_cells in cells.items():
        for number, cell in zip(index, written_cells, strict=True):
            if isinstance(cell, FormulaWithoutResult):
                wrong.setdefault(int(number), explain_no_number(title, cell))
    rows = pd.DataFrame(cells, index=index, dtype=object)
    return RowTable(rows.drop(index=[n for n in wrong if n in rows.index]), wrong)


def read_label_table(path: Path, settings: LabelSettings) -> RowTable:
    """Read a label table as text.

    Numbers and dates about the acquisition are brought to one spelling: a decimal point, and
    2024-05-31 14:30:00.

    Returns
    -------
    RowTable
        Text columns, None for empty cells.

    Raises
    ------
    InputError
        The table is missing, cannot be read, lacks a column, or could be read in two ways.
    """
    asked = [settings.file_column, *settings.columns]
    written = settings.table_format
    rows, wrong = read_rows_of_table(path, asked, written, SAY_LABELS)
    lines = rows.index.tolist()
    cells = {
        title: with_lines(lines, rows[title].tolist())
        for title in (*NUMBER_COLUMNS, TIME_COLUMN)
        if title in rows
    }
    dates = cells.pop(TIME_COLUMN, [])
    styles = find_styles(cells, written.decimal, path, SAY_LABELS)
    day_first = find_date_order(TIME_COLUMN, dates, written.dates, path, SAY_LABELS)
    wrong = dict(wrong)
    read: dict[str, list[Any]] = {str(title): rows[title].tolist() for title in rows.columns}
    for title, style in styles.items():
        read[title] = [None if is_missing(c) else parse_number(c, *style) for _, c in cells[title]]
        for (line, cell), number in zip(cells[title], read[title], strict=True):
            if number is None and not is_missing(cell):
                wrong.setdefault(line, explain_no_number(title, cell, style))
    if dates:
        read[TIME_COLUMN] = [None if is_missing(c) else parse_date(c, day_first) for _, c in dates]
        for (line, cell), when in zip(dates, read[TIME_COLUMN], strict=True):
            if when is None and not is_missing(cell):
                expected = "expected date and time, such as 2024-05-31 14:30:00"
                wrong.setdefault(line, f"{TIME_COLUMN} is '{cell}'; {expected}")
    texts = {title: [spell_cell(cell) for cell in column] for title, column in read.items()}
    return RowTable(pd.DataFrame(texts, index=rows.index, dtype=object), wrong)


def match_files(rows: pd.DataFrame, settings: LabelSettings, paths: Sequence[str]) -> MatchedFiles:
    """Find the file of every row: a path relative to the data set, or a unique file name.

    A row that names no file, several, or one that an equal row named before is wrong. Rows that
    say different things of one file are all wrong, and the file is in conflict.
    """
    by_path = {_nfc(path): path for path in paths}
    by_name: dict[str, list[str]] = {}
    for normal, path in by_path.items():
        by_name.setdefault(normal.rpartition("/")[2], []).append(path)
    matched: dict[str, int] = {}
    wrong: dict[int, str] = {}
    conflicts: dict[str, str] = {}
    hints = 0
    for row, written in rows[settings.file_column].items():
        assert isinstance(row, int)
        if written is None:
            wrong[row] = (
                f"the cell '{settings.file_column}' is empty; name the file or delete the row"
            )
            continue
        found = _find_files(written, by_path, by_name)
        if len(found) > 1:
            wrong[row] = (
                f"{len(found)} files are called '{written}' ({', '.join(found[:3])}); write the "
                "path within the data set"
            )
        elif not found:
            hints += 1
            known = [*by_path, *by_name] if hints <= MAX_HINTS else []
            near = difflib.get_close_matches(written, known, n=1, cutoff=0.8)
            hint = f" (did you mean '{near[0]}'?)" if near else ""
            wrong[row] = (
                f"the file '{written}' is not in the data set{hint}; correct the name or delete "
                "the row"
            )
        elif found[0] not in matched:
            matched[found[0]] = row
        else:
            first = matched[found[0]]
            wrong[row] = f"the file '{written}' already stands in row {first}; delete one of them"
            others = rows.drop(columns=settings.file_column).T
            if not others[row].equals(others[first]):
                conflicts[found[0]] = f"rows {first} and {row} of {settings.table} contradict"
    return MatchedFiles(matched, wrong, conflicts)


def spell_cell(value: Any) -> str | None:
    """Cell as text: 333.0 becomes "333", blanks and missing values None."""
    if is_empty(value):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        value = int(value)
    return _nfc(str(value)).strip() or None


def _find_files(written: str, by_path: dict[str, str], by_name: dict[str, list[str]]) -> list[str]:
    for spelling in (written, _as_posix(written)):
        if spelling in by_path:
            return [by_path[spelling]]
    return by_name.get(written, [])


def _as_posix(written: str) -> str:
    """Turn backslashes, as written on Windows, into slashes; drop a leading ``./``."""
    return written.replace("\\", "/").removeprefix("./")


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)
