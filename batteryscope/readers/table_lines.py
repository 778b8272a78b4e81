"""The one reader of tables that users write: titles and lines of cells, whatever the file."""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from batteryscope.config.table_format import AUTO, TableFormat
from batteryscope.errors import ConfigError, InputError
from batteryscope.readers.table_sheets import read_excel_lines, read_parquet_lines
from batteryscope.readers.table_text import Line, Say, read_text_lines

EXCEL_ENDINGS = (".xlsx", ".xlsm")
KINDS = "CSV, Excel (.xlsx) or parquet"
_UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))  # characters without width
_OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


@dataclass(frozen=True)
class LostCell:
    """A cell of a row that cannot be used, and why in words."""

    words: str

    def __str__(self) -> str:
        return self.words


class TableLines(NamedTuple):
    """A table as it is written.

    ``titles``: one per column, "" where there is none. ``rows``: (number, cells) of the lines
    below that are not wholly empty; the first line of a file is number 1; a row may have fewer
    cells than there are titles. ``too_long``: line → why it cannot be used, of rows of text with
    more cells than titles, which nobody can assign.
    """

    titles: list[str]
    rows: list[Line]
    too_long: dict[int, str]


def name_setting(key: str) -> Say:
    """Say in sentences how to state a property of a table in the settings below ``key``."""
    return lambda name, value: f"{key}.{name}: {_quote(value)}"


def name_option(name: str, value: str) -> str:
    """Say in sentences how to state a property of a table as an option of the program."""
    return f"--{name} {_quote(value)}"


def read_table_lines(path: Path, written: TableFormat, say: Say) -> TableLines:
    """Read the cells of a table as they are written.

    Parameters
    ----------
    path
        CSV, Excel (``.xlsx``, ``.xlsm``) or parquet; the content decides, not the name.
    written
        What is known about how the file is written.
    say
        How the user can state a property of the file (its name, its value), for messages.

    Raises
    ------
    InputError
        The file is missing, of another kind, damaged, empty, in another encoding, has no such
        sheet, or has only rows with more cells than titles.
    ConfigError
        The encoding or the separator is impossible.
    """
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; name a table in it ({KINDS}).")
    if not path.is_file():
        raise InputError(f"{path}: this table does not exist; correct its path.")
    try:
        is_text, lines = _read_any(path, written, say)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from None
    lines = [(number, row) for number, row in lines if not all(is_empty(cell) for cell in row)]
    if not lines:
        raise InputError(f"{path}: the table is empty; fill it or leave it out.")
    (_, header), *rows = lines
    titles = ["" if is_empty(cell) else _normalise(str(cell)) for cell in header]
    width = max(place for place, title in enumerate(titles, start=1) if title)
    if not is_text:
        # Cells of a sheet cannot shift; what stands beside the table is none of it.
        rows = [(n, row[:width]) for n, row in rows]
        rows = [(n, row) for n, row in rows if not all(is_empty(cell) for cell in row)]
        return TableLines(titles[:width], rows, {})
    too_long = {
        number: _explain_too_long(row, width)
        for number, row in rows
        if any(not is_empty(cell) for cell in row[width:])
    }
    if rows and len(too_long) == len(rows):
        number, words = next(iter(too_long.items()))
        raise InputError(f"{path}: line {number} {words} (all rows are like that).")
    rows = [(n, row[:width]) for n, row in rows if n not in too_long]
    return TableLines(titles[:width], rows, too_long)


def refuse_repeated(titles: list[str], path: Path) -> None:
    """Refuse a table that is taken over whole if two of its columns have one title.

    Raises
    ------
    InputError
        Naming the title.
    """
    if twice := [title for title in titles if title and titles.count(title) > 1]:
        raise InputError(
            f"{path}: {titles.count(twice[0])} columns are called '{twice[0]}' (or one title is "
            "merged over them); give each a title of its own."
        )


def is_empty(cell: Any) -> bool:
    """Whether nothing stands in a cell."""
    if isinstance(cell, str):
        return not cell.strip()
    return cell is None or (pd.api.types.is_scalar(cell) and bool(pd.isna(cell)))


def _read_any(path: Path, written: TableFormat, say: Say) -> tuple[bool, list[Line]]:
    with path.open("rb") as stream:
        start = stream.read(8)
    ending = path.suffix.lower()
    if start.startswith(b"PAR1") or ending == ".parquet":
        _refuse_without_effect(path, written, "a parquet file", ("encoding", "separator"))
        return False, read_parquet_lines(path)
    if start.startswith(b"PK\x03\x04") or ending in EXCEL_ENDINGS:
        _refuse_without_effect(path, written, "an Excel file", ("encoding", "separator"))
        return False, read_excel_lines(path, written.sheet, say)
    if start.startswith(_OLD_EXCEL):
        raise InputError(
            f"{path}: tables of old Excel (.xls), and Excel files with a password, are not read; "
            "save it as .xlsx without one."
        )
    return True, read_text_lines(path, written, say)


def _refuse_without_effect(
    path: Path, written: TableFormat, kind: str, names: tuple[str, ...]
) -> None:
    for name in names:
        if getattr(written, name) != AUTO:
            raise ConfigError(f"{path}: {kind} has no {name} to state; leave it out.")


def _explain_too_long(row: list[Any], width: int) -> str:
    return (
        f"has {len(row)} cells, but the header has {width}; perhaps a decimal comma in a "
        "comma-separated file, or a column without a title: quote such cells, save it with "
        "semicolons, or add the title"
    )


def _quote(value: str) -> str:
    return value if re.fullmatch(r"[A-Za-z0-9_-]+", value) else f"'{value}'"


def _normalise(title: str) -> str:
    return unicodedata.normalize("NFC", title).translate(_UNSEEN).strip()
