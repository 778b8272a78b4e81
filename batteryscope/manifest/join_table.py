"""Values of samples from a table with a row for each, or from what the labels and files say."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.config.joined_table import JoinedTable
from batteryscope.errors import InputError
from batteryscope.manifest.label_table import read_rows_of_table, spell_cell
from batteryscope.manifest.schema import Reject
from batteryscope.readers.table_lines import name_option, name_setting
from batteryscope.readers.table_numbers import NumberStyle, find_styles, with_lines
from batteryscope.samples.choose import samples_in

log = logging.getLogger("batteryscope")

# What a row of the table may name, in the order in which it is looked for.
KEYS: dict[str, Callable[[pd.DataFrame], "pd.Series[str]"]] = {
    "file": lambda m: m["path"].str.rpartition("/")[2],
    "path": lambda m: m["path"],
    "scan": lambda m: m["volume"],
    "name of the scan": lambda m: m["volume"].str.rpartition("/")[2],
    "name without ending": lambda m: (
        m[samples_in(m.columns).file_column]
        .str.rpartition("/")[2]
        .str.replace(r"\.[A-Za-z][A-Za-z0-9]*$", "", regex=True)
    ),
    "specimen": lambda m: m["specimen_id"],
    "folder": lambda m: m["path"].str.rpartition("/")[0],
    "last folder": lambda m: m["path"].str.rpartition("/")[0].str.rpartition("/")[2],
}


class Written(NamedTuple):
    """What the samples, in their order, are said to have.

    ``places``: where the row stands, "" for none; ``styles``: how a column writes its numbers.
    """

    cells: pd.DataFrame
    places: list[str]
    styles: dict[str, NumberStyle]
    rejects: list[Reject]


def read_values(
    manifest: pd.DataFrame,
    settings: JoinedTable,
    units: Mapping[str, str | None],
    root: Path,
    key: str,
    missing: str,
) -> Written:
    """Find what is written of every sample.

    Parameters
    ----------
    manifest
        Sample table.
    settings
        The table and the column that names samples; without one the columns of the sample table.
    units
        The columns: the unit of their numbers, or None where they hold names.
    root
        Folder of the data set, in which the table lies.
    key
        Where the settings stand (``dataset.targets``, or an option of a program), for messages.
    missing
        The reason with which a sample without a row is rejected.

    Raises
    ------
    InputError
        The table cannot be used, or a column is missing.
    """
    if settings.table is None:
        return _take_from_labels(manifest, settings, units, key)
    return _take_from_table(manifest, settings, units, root, key, missing)


def read_cells(
    manifest: pd.DataFrame,
    written: Written,
    column: str,
    n_numbers: int,
    read: Callable[[object], tuple[float | Sequence[float] | None, str]],
    name_reason: Callable[[str], str],
) -> tuple[NDArray[np.float64], list[Reject]]:
    """Turn the cells of a column into numbers.

    Parameters
    ----------
    manifest, written
        Samples and what is written of them.
    column
        Title of the column.
    n_numbers
        How many numbers a cell gives.
    read
        Returns the numbers of a cell and "", or anything and what is wrong with it.
    name_reason
        The reason with which a sample is rejected, by what is wrong.

    Returns
    -------
    numbers, rejects
        Shape (samples, n_numbers), NaN where a sample has no row or a cell that is rejected.
    """
    numbers = np.full((len(manifest), n_numbers), np.nan)
    rejects = []
    for i, (cell, place) in enumerate(zip(written.cells[column], written.places, strict=True)):
        if not place:  # it has no row, which is said already
            continue
        found, problem = read(cell)
        if problem:
            path, detail = str(manifest["path"].iloc[i]), f"{place}: {column} {problem}"
            rejects.append(Reject(path, name_reason(problem), detail))
        else:
            numbers[i] = found
    return numbers, rejects


def remove_unit(cell: object, unit: str | None) -> object:
    """Return a cell without the unit that may stand behind its number.

    A unit that looks like a part of a number (``1``, ``.``) is none: 0.41 stays 0.41.
    """
    if not unit or not isinstance(cell, str) or unit[0].isdigit() or unit[0] in ".,+-'":
        return cell
    return cell.strip().removesuffix(unit).strip()


def name_scans(rejects: list[Reject], manifest: pd.DataFrame) -> list[Reject]:
    """Reject a scan once, not slice by slice."""
    if "volume" not in manifest:
        return rejects
    scans = dict(zip(manifest["path"], manifest["volume"], strict=True))
    named = [Reject(str(scans.get(r.path, r.path)), r.reason, r.detail) for r in rejects]
    return list(dict.fromkeys(named))


def _take_from_labels(
    manifest: pd.DataFrame, settings: JoinedTable, units: Mapping[str, str | None], key: str
) -> Written:
    if missing := [c for c in units if c not in manifest]:
        raise InputError(
            f"{key}: the labels have no column '{missing[0]}'; let labels.pattern or the "
            f"label table give it, or name a table ({key.rpartition('.')[2]}.table)."
        )
    cells = {
        column: with_lines(range(len(manifest)), [remove_unit(c, unit) for c in manifest[column]])
        for column, unit in units.items()
        if unit is not None
    }
    say = name_setting(f"{key}.table_format")
    styles = find_styles(cells, settings.table_format.decimal, "the labels", say)
    return Written(manifest[list(units)], ["its labels"] * len(manifest), styles, [])


def _take_from_table(
    manifest: pd.DataFrame,
    settings: JoinedTable,
    units: Mapping[str, str | None],
    root: Path,
    setting: str,
    missing: str,
) -> Written:
    table, key = str(settings.table), str(settings.sample_column)
    say = name_option if setting.startswith("--") else name_setting(f"{setting}.table_format")
    asked = list(dict.fromkeys([key, *units]))
    rows, wrong = read_rows_of_table(root / table, asked, settings.table_format, say)
    lines = rows.index.tolist()
    cells = {
        column: with_lines(lines, [remove_unit(c, unit) for c in rows[column]])
        for column, unit in units.items()
        if unit is not None
    }
    styles = find_styles(cells, settings.table_format.decimal, root / table, say)
    names = pd.Series({line: spell_cell(cell) for line, cell in rows[key].items()}, dtype=object)
    wrong |= {
        int(line): f"the cell '{key}' is empty; name the sample, or delete the row"
        for line in names.index[names.isna()]
    }
    names = names.dropna()
    repeated = _find_repeated(rows, names, list(units))
    wrong |= repeated.wrong
    kind, own = _match_samples(manifest, set(names), f"{root / table}: its column '{key}'")
    names = names.drop(index=list(repeated.wrong))
    names = names[~names.isin(list(repeated.conflicts))]
    row_of = {str(name): row for row, name in names.items()}
    found = [row_of.get(str(name)) for name in own]
    if len(manifest) > 1:
        log.info("%s: the column '%s' names each %s.", table, key, kind)
    rejects = [
        Reject(table, "wrong_label", f"row {line}: {words}")
        for line, words in sorted(wrong.items())
    ]
    if without := [name for name in names if name not in set(own)]:
        listed = ", ".join(f"'{name}'" for name in without[:8]) + (
            ", …" if len(without) > 8 else ""
        )
        detail = (
            f"{len(without)} of its {len(names)} rows without a sample left out: {listed}; add "
            f"files of them, or write their names like those of the samples ('{own.iloc[0]}')."
        )
        rejects.append(Reject(table, "no_images", detail))
    without = [n for n, row in zip(own, found, strict=True) if row is None]
    details = {n: f"{table} has no row of '{n}'; add it, or leave the sample out." for n in without}
    details |= {n: f"{table}: {words}" for n, words in repeated.conflicts.items() if n in details}
    told = sorted(
        zip(own, manifest["path"], strict=True), key=lambda s: s[0] not in repeated.conflicts
    )
    rejects += [Reject(str(path), missing, details[name]) for name, path in told if name in details]
    written = rows.reindex([-1 if row is None else row for row in found])
    places = ["" if row is None else f"{table}, row {row}" for row in found]
    return Written(written, places, styles, rejects)


class _Repeated(NamedTuple):
    """Line → why its row is left out; name → which of its rows contradict."""

    wrong: dict[int, str]
    conflicts: dict[str, str]


def _find_repeated(
    rows: pd.DataFrame, names: "pd.Series[str]", columns: Sequence[str]
) -> _Repeated:
    """Find names that several rows have: equal rows count once, contradicting ones not at all."""
    found = _Repeated({}, {})
    cells = {line: [spell_cell(cell) for cell in row] for line, row in rows[columns].iterrows()}
    first_of: dict[str, int] = {}
    for line, name in names.items():
        assert isinstance(line, int)
        first = first_of.setdefault(name, line)
        if first == line:
            continue
        found.wrong[line] = f"'{name}' already stands in row {first}; delete one of them"
        if cells[line] != cells[first]:
            words = f"rows {first} and {line} of '{name}' contradict; keep one, such as their mean."
            found.conflicts.setdefault(name, words)
    return found


def _match_samples(
    manifest: pd.DataFrame, names: set[str], place: str
) -> tuple[str, "pd.Series[str]"]:
    """Find what the rows name: the kind of name that most samples have a row under."""
    tried = {}
    for kind, name_samples in KEYS.items():
        try:
            own = name_samples(manifest).astype(object)
        except KeyError:  # pictures have no scan
            continue
        own = own.where(own.notna(), "").astype(str)
        tried[kind] = (int(own.isin(names).sum()), own)
    kind = max(tried, key=lambda k: tried[k][0])  # the first of equal ones
    n, own = tried[kind]
    if n == 0:
        paths = manifest["path"].iloc[0]
        raise InputError(
            f"{place} (such as '{sorted(names)[0]}') names no file, scan or specimen, nor the "
            f"folder of one, in the data set (such as '{paths}'); write them alike."
        )
    if kind == "file":
        counts = manifest.groupby(own.to_numpy())["path"].nunique()
        if several := [name for name in counts.index[counts > 1] if name in names]:
            raise InputError(
                f"{place}: {counts[several[0]]} files are called '{several[0]}'; write the path "
                "within the data set."
            )
    if kind == "last folder":
        folders = KEYS["folder"](manifest).groupby(own.to_numpy()).nunique()
        if several := [name for name in folders.index[folders > 1] if name in names]:
            raise InputError(
                f"{place}: {folders[several[0]]} folders are called '{several[0]}'; write their "
                "path within the data set."
            )
    return kind, own
