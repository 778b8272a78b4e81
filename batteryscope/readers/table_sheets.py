"""The cells of Excel sheets and parquet files."""

import logging
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from batteryscope.core.plural import count_of
from batteryscope.errors import InputError
from batteryscope.readers.table_text import Line, Say

log = logging.getLogger("batteryscope")

_FORMULA = re.compile(rb"<f[\s>/]")
# Sheets that people fill are packed ten- to thirtyfold; beyond both limits memory is the aim.
MOST_PACKED, SMALL_BYTES = 200, 64_000_000
MOST_CELLS = 100_000_000  # of a parquet file, which packs a repeated value into a few bytes


@dataclass(frozen=True)
class FormulaWithoutResult:
    """A formula that no program has computed yet; what its cell shows is not in the file."""

    formula: str

    def __str__(self) -> str:
        return self.formula


class Percentage(float):
    """A number that Excel shows as a percentage: 0.05 as 5 %."""


def read_excel_lines(path: Path, sheet: str | int, say: Say) -> list[Line]:
    """Read a sheet; a merged cell counts for all places that it covers.

    Raises
    ------
    InputError
        The file is damaged, has no such sheet, or would unpack to more than a table can hold.
    """
    page = _open_sheet(path, sheet, say)
    found = [list(row) for row in page.iter_rows()]
    cells = {number: [_read_cell(cell) for cell in row] for number, row in enumerate(found, 1)}
    if _has_formulas(path):
        formulas = _open_sheet(path, sheet, say, computed=False)
        for number, row in enumerate(formulas.iter_rows(values_only=True), start=1):
            for place, value in enumerate(row):
                # The result "" leaves nothing either, but says that it is text.
                nothing = cells[number][place] is None
                if nothing and value is not None and found[number - 1][place].data_type == "n":
                    text = getattr(value, "text", value)  # of array formulas
                    cells[number][place] = FormulaWithoutResult(str(text))
    for merged in page.merged_cells.ranges:
        value = cells[merged.min_row][merged.min_col - 1]
        for number in range(merged.min_row, merged.max_row + 1):
            for place in range(merged.min_col - 1, merged.max_col):
                cells[number][place] = value
    lines = list(cells.items())
    hidden = sum(page.row_dimensions[n].hidden for n, _ in lines if n in page.row_dimensions)
    if hidden:
        are = "is" if hidden == 1 else "are"
        log.warning("%s: %s %s read like the others.", path, count_of(hidden, "hidden row"), are)
    return lines


def read_parquet_lines(path: Path) -> list[Line]:
    """Read a parquet file; a named index is a column like the others.

    Raises
    ------
    InputError
        The file is damaged, or announces more than a table can hold.
    """
    import pandas as pd
    import pyarrow.parquet as pq

    try:
        announced = pq.read_metadata(path)
        n_cells = announced.num_rows * announced.num_columns
        if n_cells > MOST_CELLS:
            raise InputError(
                f"{path}: announces {announced.num_rows:,} rows of {announced.num_columns:,} "
                f"columns, more than {MOST_CELLS:,} cells; save the rows that you need."
            )
        table = pd.read_parquet(path)
        columns: list[tuple[str, list[Any]]] = [
            (str(name), list(table.index.get_level_values(level)))
            for level, name in enumerate(table.index.names)
            if name is not None
        ]
        for place, name in enumerate(table.columns):
            columns.append((str(name), table.iloc[:, place].astype(object).tolist()))
    except InputError:
        raise
    except Exception as error:  # it meets whatever a damaged file holds unprepared
        raise InputError(
            f"{path}: not a readable parquet file ({_describe(error)}); save it again."
        ) from None
    rows: list[list[Any]] = [
        list(row) for row in zip(*(cells for _, cells in columns), strict=True)
    ]
    header: list[Any] = [name for name, _ in columns]
    return [(i, row) for i, row in enumerate([header, *rows], start=1)]


def _open_sheet(path: Path, sheet: str | int, say: Say, computed: bool = True) -> Any:
    from openpyxl import load_workbook

    try:
        with path.open("rb") as stream:  # of a name it would look at the ending
            _check_packing(path, stream)
            book = load_workbook(stream, data_only=computed)
    except InputError:
        raise
    except Exception as error:  # it meets whatever a damaged archive holds unprepared
        raise InputError(
            f"{path}: not a readable Excel file ({_describe(error)}); save it again as .xlsx."
        ) from None
    names = [page.title for page in book.worksheets]
    if isinstance(sheet, str) and sheet not in names and sheet.isdecimal():
        sheet = int(sheet)  # as options of programs are given
    known = sheet in names if isinstance(sheet, str) else 0 <= sheet < len(names)
    if not known:
        raise InputError(
            f"{path}: there is no sheet {sheet!r}; give a name or a number from 0 "
            f"({say('sheet', '…')}): {', '.join(f'{i} {name}' for i, name in enumerate(names))}."
        )
    page = book.worksheets[names.index(sheet) if isinstance(sheet, str) else sheet]
    shown = [other for other in book.worksheets if other.sheet_state == "visible"]
    if sheet == 0 and page not in shown and shown:  # people open the file and see another one
        if computed:
            words = "%s: its first sheet '%s' is hidden; '%s' is read (else state the name)."
            log.warning(words, path, page.title, shown[0].title)
        return shown[0]
    return page


def _check_packing(path: Path, stream: IO[bytes]) -> None:
    """Refuse an archive that would unpack to far more than it holds, before it is unpacked."""
    with zipfile.ZipFile(stream) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    packed = path.stat().st_size
    if unpacked > max(SMALL_BYTES, MOST_PACKED * packed):
        raise InputError(
            f"{path}: {packed / 1e6:.1f} MB would unpack to {unpacked / 1e6:,.0f} MB, which no "
            "table does; save it again from the program that made it."
        )
    stream.seek(0)


def _describe(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _read_cell(cell: Any) -> Any:
    value = cell.value
    if isinstance(value, int | float) and not isinstance(value, bool):
        # Quoted text and escaped characters of a number format are no percent signs.
        shown = re.sub(r'"[^"]*"|\\.', "", cell.number_format or "")
        return Percentage(value) if "%" in shown else value
    return value


def _has_formulas(path: Path) -> bool:
    """Whether any sheet holds a formula; the file is then opened once more."""
    with zipfile.ZipFile(path) as archive:
        return any(
            _FORMULA.search(archive.read(name)) is not None
            for name in archive.namelist()
            if name.startswith("xl/worksheets/") and name.endswith(".xml")
        )
