"""The lines of a table file, whatever its kind, as lists of cells with their numbers."""

import csv
import io
import unicodedata
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.config.table_data import TableFile
from batteryscope.errors import ConfigError, InputError

TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".dat")
EXCEL_ENDINGS = (".xlsx", ".xlsm")
# A comma comes last: it may also be the decimal sign.
SEPARATORS = ("\t", ";", "|", ",")
SAMPLED_ROWS = 50
Line = tuple[int, list[Any]]


def read_lines(path: Path, file: TableFile) -> tuple[list[str], list[Line]]:
    """Read the cells of a file as they are written.

    Parameters
    ----------
    path
        CSV (``.csv``, ``.tsv``, ``.txt``, ``.dat``), Excel (``.xlsx``, ``.xlsm``) or parquet.
    file
        Separator, encoding and sheet.

    Returns
    -------
    header
        Titles, stripped; "" where a column has none.
    lines
        (number, cells) of the lines below that are not wholly empty; the first line of a
        file is number 1. A line may have fewer cells than the header.

    Raises
    ------
    InputError
        The file is of another kind, damaged, empty, written in another encoding, has no such
        sheet, or has a line with more cells than the header.
    ConfigError
        The encoding or the separator is impossible.
    """
    ending = path.suffix.lower()
    if ending in TEXT_ENDINGS:
        lines = _read_text(path, file)
    elif ending in EXCEL_ENDINGS:
        lines = _read_excel(path, file.sheet)
    elif ending == ".parquet":
        lines = _read_parquet(path)
    else:
        advice = "save it as .xlsx" if ending == ".xls" else "save it as one of them"
        known = ", ".join((*TEXT_ENDINGS, *EXCEL_ENDINGS, ".parquet"))
        raise InputError(f"{path}: tables end in {known}; {advice}.")
    lines = [(number, row) for number, row in lines if not all(_is_empty(cell) for cell in row)]
    if not lines:
        raise InputError(f"{path}: the table is empty; fill it or leave it out.")
    (_, header), *rows = lines
    titles = ["" if _is_empty(cell) else _normalise(str(cell)) for cell in header]
    for number, row in rows:
        if any(not _is_empty(cell) for cell in row[len(titles) :]):
            raise InputError(
                f"{path}: line {number} has {len(row)} cells, but the header has {len(titles)}; "
                "perhaps a decimal comma in a comma-separated file: quote such cells, or save it "
                "with semicolons."
            )
    return titles, rows


def find_separator(text: str) -> str:
    """Return the separator that cuts most of the first lines into as many cells as the header.

    Of equally good ones the first of tab, semicolon, bar, comma; a comma if none fits.
    """
    best, best_share = ",", 0.0
    for separator in SEPARATORS:
        counts = [len(row) for _, row in islice(_cut(text, separator), SAMPLED_ROWS)]
        share = sum(n == counts[0] for n in counts) / len(counts) if counts else 0.0
        if counts and counts[0] > 1 and share > best_share:
            best, best_share = separator, share
    return best


def _read_text(path: Path, file: TableFile) -> list[Line]:
    content = path.read_bytes()
    try:
        text = content.decode(file.encoding)
    except LookupError:
        raise ConfigError(
            f"{path}: '{file.encoding}' is no known encoding; try utf-8-sig, latin-1 or utf-16."
        ) from None
    except UnicodeError as error:
        line = content[: getattr(error, "start", 0)].count(b"\n") + 1
        likely = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1"
        raise InputError(
            f"{path}: line {line} is not valid {file.encoding}; state the encoding of this file, "
            f"for example encoding: {likely}."
        ) from None
    if file.separator != "auto" and (len(file.separator) != 1 or file.separator in '\r\n"'):
        raise ConfigError(
            f"{path}: separator {file.separator!r} is impossible; give one character, for example "
            "';', or auto."
        )
    try:
        separator = find_separator(text) if file.separator == "auto" else file.separator
        return list(_cut(text, separator))
    except csv.Error as error:
        raise InputError(f"{path}: not a readable table ({error}); save it again.") from None


def _cut(text: str, separator: str) -> Iterator[Line]:
    """Rows as lists of cells, each with the number of its first line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    number = 1
    for row in reader:
        yield number, row
        number = reader.line_num + 1


def _read_excel(path: Path, sheet: str | int) -> list[Line]:
    import zipfile

    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(path, data_only=True)
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, OSError) as error:
        problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a readable Excel file ({problem}); save it again.") from None
    names = [page.title for page in book.worksheets]
    known = sheet in names if isinstance(sheet, str) else 0 <= sheet < len(names)
    if not known:
        raise InputError(
            f"{path}: there is no sheet {sheet!r}; give a name or a number from 0: "
            f"{', '.join(f'{i} {name}' for i, name in enumerate(names))}."
        )
    page = book.worksheets[names.index(sheet) if isinstance(sheet, str) else sheet]
    return [(i, list(row)) for i, row in enumerate(page.iter_rows(values_only=True), start=1)]


def _read_parquet(path: Path) -> list[Line]:
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        problem = str(error).splitlines()[0]
        raise InputError(f"{path}: not a readable parquet file ({problem}).") from None
    rows = table.astype(object).to_numpy().tolist()
    header: list[Any] = [str(name) for name in table.columns]
    return [(i, row) for i, row in enumerate([header, *rows], start=1)]


def _is_empty(cell: Any) -> bool:
    if isinstance(cell, str):
        return not cell.strip()
    return cell is None or (pd.api.types.is_scalar(cell) and bool(pd.isna(cell)))


def _normalise(title: str) -> str:
    return unicodedata.normalize("NFC", title).strip()
