"""Reading a table that somebody else made: CSV, Excel or parquet, columns by their titles."""

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.config.table_data import DOMAIN_COLUMN, TableDatasetSettings, TableFile
from batteryscope.errors import ConfigError, InputError
from batteryscope.readers.table_lines import LostCell, Say, read_table_lines
from batteryscope.readers.table_numbers import (
    NumberStyle,
    find_styles,
    parse_number,
    scale_number,
    with_lines,
)

MAX_LISTED_TITLES = 12


def compute_columns(
    file: TableFile, header: Sequence[str], rows: Sequence[tuple[int, Sequence[Any]]], say: Say
) -> dict[str, list[float | None]]:
    """Compute the columns that ``formulas`` of a file asks for.

    Parameters
    ----------
    file
        Formulas by name: arithmetic on titles of the file, as pandas evaluates it; titles
        that are no plain words stand in backticks.
    header, rows
        Titles of the file; line and cells of its rows.
    say
        How the user can state a property of the file.

    Returns
    -------
    dict
        Name → one value per row; None where a cell is missing or the result is not finite.

    Raises
    ------
    ConfigError
        If a formula cannot be read, or names a column that the file does not have.
    InputError
        The decimal sign of a column that a formula names cannot be told.
    """
    if not file.formulas:
        return {}
    named = "\n".join(file.formulas.values())
    lines = [line for line, _ in rows]
    cells = {
        title: with_lines(lines, [row[place] if place < len(row) else None for _, row in rows])
        for place, title in enumerate(header)
        if title and header.count(title) == 1
    }
    asked = {title: column for title, column in cells.items() if title in named}
    styles = find_styles(asked, file.decimal, file.path, say)
    numbers: Mapping[str, list[float]] = {
        title: [_read(cell, styles.get(title, NumberStyle())) for _, cell in column]
        for title, column in cells.items()
    }
    table = pd.DataFrame(numbers, dtype="float64")
    computed = {}
    for name, formula in file.formulas.items():
        try:
            if not is_arithmetic(formula):
                raise ValueError("it is more than arithmetic")
            # No names but the file's titles.
            result = table.eval(formula, engine="python", local_dict={}, global_dict={})
            values = np.broadcast_to(np.asarray(result, dtype="float64"), len(table))
        except Exception as error:  # pandas, its tokenizer and its parser each raise their own
            problem = str(error).splitlines()[0] if str(error) else type(error).__name__
            titles = ", ".join(f"'{title}'" for title in numbers)
            raise ConfigError(
                f"{file.path}: formulas.{name}: '{formula}' cannot be computed ({problem}); use "
                f"arithmetic on the titles of the file, in backticks where they are no plain "
                f"words: {titles}."
            ) from None
        computed[name] = [scale_number(v, 1) if np.isfinite(v) else None for v in values.tolist()]
    return computed


def is_arithmetic(formula: str) -> bool:
    """Whether a formula only adds, subtracts, multiplies and divides: no calls, no attributes.

    Examples
    --------
    >>> is_arithmetic("100 - (100 - `X.NMC`) * 1.5e-2 / z")
    True
    >>> is_arithmetic("z.to_csv('file')")
    False
    """
    plain = re.sub(r"`[^`]*`", "x ", formula)
    names = re.search(r"[^\W\d]\w*\s*[(.]", re.sub(r"\b\d[\d.]*([eE][+-]?\d+)?", "0", plain))
    return not names and re.fullmatch(r"[\w\s.+\-*/()]*", plain) is not None


def _read(cell: Any, style: NumberStyle) -> float:
    number = parse_number(cell, *style) if cell is not None else None
    return float("nan") if number is None else number


def say_file(file: TableFile) -> Say:
    """Say in sentences how to state a property of a file in the settings."""
    return lambda name, value: f"dataset.files: {{path: {file.path}, {name}: '{value}'}}"


def list_files(settings: TableDatasetSettings, root: Path) -> list[TableFile]:
    """List the files of a data set: the stated ones, or all CSV files of the generator's folder.

    A generator writes the names of the settings as titles; titles stated for other files do
    not count there.

    Raises
    ------
    InputError
        The generator's folder holds no CSV file.
    """
    if settings.files:
        return settings.files
    paths = sorted(p.name for p in root.glob("*.csv") if not p.name.startswith("."))
    if not paths:
        raise InputError(f"{root}: no generated table (*.csv) is in this folder; generate it.")
    headers = {name: name for name in settings.features | settings.targets}
    # As the generator writes them, whatever the numbers are.
    return [TableFile(path=path, headers=headers, decimal=".") for path in paths]


def read_table(file: TableFile, settings: TableDatasetSettings, root: Path) -> pd.DataFrame:
    """Read one file; its cells stay as they are written.

    Parameters
    ----------
    file
        Path below ``root``, and how the file is written.
    settings
        Which columns are needed, and their titles.
    root
        Folder that the path counts from.

    Returns
    -------
    DataFrame
        Features and targets, and the columns that tell domain and group, under the names
        of the settings; index ``row``: the line in the file, whose header is in line 1.
        Cells are text (CSV) or what the file holds; None where a cell is missing,
        :class:`LostCell` in rows that cannot be read.

    Raises
    ------
    InputError
        The file is missing, unreadable, has no rows, or lacks a column.
    ConfigError
        ``headers`` names an unknown column, or two features or targets share one title.
    """
    path = root / file.path
    header, lines, too_long = read_table_lines(path, file, say_file(file))
    if not lines:
        raise InputError(f"{path}: the table has a header but no rows; fill it or leave it out.")
    wanted = _find_wanted(file, settings)
    computed = compute_columns(file, header, lines, say_file(file))
    places = find_columns(header, {n: t for n, t in wanted.items() if n not in computed}, path)
    own = [n for n in (*settings.features, *settings.targets) if n not in computed]
    _check_own_columns(places, own, header, path)
    cells = {
        name: [row[place] if place < len(row) else None for _, row in lines]
        for name, place in places.items()
    }
    cells |= computed
    for name, column in cells.items():
        cells[name] = [*column, *(LostCell(words) for words in too_long.values())]
    index = pd.Index([*(number for number, _ in lines), *too_long], name="row")
    return pd.DataFrame(cells, index=index, dtype=object).sort_index()


def find_columns(header: Sequence[str], wanted: dict[str, str], where: Path) -> dict[str, int]:
    """Find the place of every wanted title in a header.

    A title is taken as it stands first, then without regard to case, spacing and the two
    ways to write a micro sign, if only one column fits.

    Parameters
    ----------
    header
        Titles of the file; unnamed columns ("") are allowed.
    wanted
        Name → title.
    where
        The file, for messages.

    Raises
    ------
    InputError
        A title is missing or stands over several columns.
    """
    places: dict[str, int] = {}
    for name, title in wanted.items():
        fits = [i for i, found in enumerate(header) if found.strip() == title.strip()]
        fits = fits or [
            i for i, found in enumerate(header) if loosen_title(found) == loosen_title(title)
        ]
        if len(fits) > 1:
            raise InputError(
                f"{where}: {len(fits)} columns are called '{header[fits[0]]}', one of which is to "
                f"be '{name}'; rename the others."
            )
        if not fits:
            raise InputError(_explain_missing(header, name, title, where))
        places[name] = fits[0]
    return places


def _check_own_columns(
    places: dict[str, int], names: Sequence[str], header: Sequence[str], where: Path
) -> None:
    """No two features or targets are one column; a condition or the group may be."""
    first: dict[int, str] = {}
    for name in names:
        other = first.setdefault(places[name], name)
        if other != name:
            raise ConfigError(
                f"{where}: '{other}' and '{name}' are both the column '{header[places[name]]}'; "
                "give each its own header."
            )


def _find_wanted(file: TableFile, settings: TableDatasetSettings) -> dict[str, str]:
    """Name → title of all columns that this file must have."""
    columns = settings.features | settings.targets
    wanted = {name: column.header or name for name, column in columns.items()}
    asked = [name for rule in settings.domains.values() for name in rule] or [DOMAIN_COLUMN]
    others = [] if file.domain else asked
    if settings.group is not None:
        others.append(settings.group)
    wanted = {name: name for name in others} | wanted
    for key, named in (("headers", file.headers), ("formulas", file.formulas)):
        if unknown := sorted(set(named) - set(wanted)):
            near = difflib.get_close_matches(unknown[0], list(wanted), n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known columns: {', '.join(wanted)}."
            raise ConfigError(f"{file.path}: {key} names the unknown column '{unknown[0]}'; {hint}")
    return wanted | file.headers


def _explain_missing(header: Sequence[str], name: str, title: str, where: Path) -> str:
    titles = [found for found in header if found.strip()]
    loose = {loosen_title(found): found for found in titles}
    near = difflib.get_close_matches(loosen_title(title), list(loose), n=3, cutoff=0.4)
    listed = [f"'{loose[key]}'" for key in near] or [f"'{t}'" for t in titles[:MAX_LISTED_TITLES]]
    more = "" if near or len(titles) <= MAX_LISTED_TITLES else ", …"
    return (
        f"{where}: the column '{name}' should have the title '{title}', which is not in the file; "
        f"{'nearest titles' if near else 'titles'} found: {', '.join(listed)}{more}; give the "
        "right one as its header."
    )


def loosen_title(title: str) -> str:
    """Return a title without what people write in different ways: case, spaces, widths."""
    return " ".join(unicodedata.normalize("NFKC", title).casefold().split())
