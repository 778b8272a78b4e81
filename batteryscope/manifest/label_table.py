"""Reading a table of labels and finding the file that each row names."""

import difflib
import io
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.config.dataset import LabelSettings
from batteryscope.errors import InputError

_SEPARATORS = (",", ";", "\t", "|")
_FIRST_ROW = 2  # as a spreadsheet counts, below the header


def read_label_table(path: Path, file_column: str, label_columns: Sequence[str]) -> pd.DataFrame:
    """Read a label table as text.

    Parameters
    ----------
    path
        Parquet, or CSV in UTF-8 or UTF-16 separated by comma, semicolon, tab or bar.
    file_column, label_columns
        Columns that must be there.

    Returns
    -------
    DataFrame
        Text columns, None for empty cells, index ``row`` as a spreadsheet counts (header
        is row 1). Wholly empty rows are left out.

    Raises
    ------
    InputError
        The table is missing, cannot be read, or lacks a column.
    """
    if not path.is_file():
        raise InputError(f"{path}: the label table does not exist; check labels.table.")
    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path).reset_index(drop=True)
        else:
            table = _read_csv(path)
    except (OSError, ValueError) as error:
        problem = str(error).splitlines()[0]
        raise InputError(f"{path}: not a readable table ({problem}).") from None
    table.columns = pd.Index([_clean(name) or "" for name in table.columns], dtype=object)
    for column in (file_column, *label_columns):
        if column not in table.columns:
            near = difflib.get_close_matches(column, list(table.columns), n=1, cutoff=0.6)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise InputError(
                f"{path}: the label table has no column '{column}'; {hint}"
                f"it has: {', '.join(table.columns)}."
            )
    table = pd.DataFrame(
        {name: [_clean(value) for value in table[name]] for name in table.columns}, dtype=object
    )
    table.index = pd.RangeIndex(_FIRST_ROW, _FIRST_ROW + len(table), name="row")
    return table[table.notna().any(axis=1)]


def match_files(
    rows: pd.DataFrame, settings: LabelSettings, paths: Sequence[str]
) -> dict[str, int]:
    """Find the file of every row: a path relative to the data set, or a unique file name.

    Returns
    -------
    dict
        Path → row.

    Raises
    ------
    InputError
        A row names no file, several files, or a file that an earlier row named.
    """
    by_path = {_nfc(path): path for path in paths}
    by_name: dict[str, list[str]] = {}
    for normal, path in by_path.items():
        by_name.setdefault(normal.rpartition("/")[2], []).append(path)
    matched: dict[str, int] = {}
    absent: list[tuple[int, str]] = []
    for row, written in rows[settings.file_column].items():
        assert isinstance(row, int)
        where = f"{settings.table}, row {row}"
        if written is None:
            raise InputError(
                f"{where}: the cell '{settings.file_column}' is empty; "
                "name the file or delete the row."
            )
        found = _find_files(written, by_path, by_name)
        if len(found) > 1:
            raise InputError(
                f"{where}: {len(found)} files are called '{written}' "
                f"({', '.join(found[:3])}); write the path within the data set."
            )
        if not found:
            absent.append((row, written))
        elif found[0] in matched:
            raise InputError(
                f"{where}: the file '{written}' already stands in row {matched[found[0]]}; "
                "delete one of the rows."
            )
        else:
            matched[found[0]] = row
    if absent:
        raise InputError(_explain_absent(settings, absent, [*by_path, *by_name]))
    return matched


def _find_files(written: str, by_path: dict[str, str], by_name: dict[str, list[str]]) -> list[str]:
    for spelling in (written, _as_posix(written)):
        if spelling in by_path:
            return [by_path[spelling]]
    return by_name.get(written, [])


def _explain_absent(
    settings: LabelSettings, absent: Sequence[tuple[int, str]], known: Sequence[str]
) -> str:
    row, written = absent[0]
    near = difflib.get_close_matches(written, known, n=1, cutoff=0.8)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    others = [str(other) for other, _ in absent[1:]]
    listed = ", ".join(others[:5]) + (", …" if len(others) > 5 else "")
    further = f" The same holds for {len(others)} further rows ({listed})." if others else ""
    return (
        f"{settings.table}, row {row}: the file '{written}' is not in the data set{hint}; "
        f"correct the name or delete the row.{further}"
    )


def _read_csv(path: Path) -> pd.DataFrame:
    content = path.read_bytes()
    try:
        is_utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        text = content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("its text is not UTF-8; save it as 'CSV UTF-8'") from None
    if not text.strip():
        raise ValueError("it is empty")
    header = text.lstrip("\r\n").splitlines()[0]
    # Counting in the header is more reliable than csv.Sniffer, which may pick a letter.
    separator = max(_SEPARATORS, key=header.count)
    # Blank lines are kept here, so that row numbers stay those of the spreadsheet.
    return pd.read_csv(
        io.StringIO(text),
        sep=separator,
        dtype=str,
        keep_default_na=False,
        skip_blank_lines=False,
        index_col=False,
    )


def _clean(value: Any) -> str | None:
    """Cell as text: 333.0 becomes "333", blanks and missing values None."""
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _nfc(str(value)).strip() or None


def _as_posix(written: str) -> str:
    """Turn backslashes, as written on Windows, into slashes; drop a leading ``./``."""
    return written.replace("\\", "/").removeprefix("./")


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)
