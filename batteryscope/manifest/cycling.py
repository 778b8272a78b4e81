"""Reading capacities over the cycles, and placing the pictures on them."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from batteryscope.config.cycling import CAPACITY, CELL, CYCLE, CyclingTable
from batteryscope.config.dataset import DatasetSettings
from batteryscope.errors import InputError
from batteryscope.manifest.label_table import read_rows_of_table, spell_cell
from batteryscope.readers.table_lines import name_setting
from batteryscope.readers.table_numbers import find_styles, is_missing, parse_number, with_lines

KEY = "dataset.cycling"
SAY = name_setting(f"{KEY}.table_format")
GROUP = "group"
HIGHEST_CYCLE = 100_000
HIGHEST_MAH_G = 5000.0  # lithium metal has 3860
RANGES: dict[str, tuple[str, Callable[[float], bool]]] = {
    CYCLE: (
        f"a whole number from 0 to {HIGHEST_CYCLE}",
        lambda v: v == int(v) and 0 <= v <= HIGHEST_CYCLE,
    ),
    CAPACITY: (
        f"mAh per gram of active material, above 0 and up to {HIGHEST_MAH_G:g}",
        lambda v: 0 < v <= HIGHEST_MAH_G,
    ),
}


def read_cycling(root: Path, settings: CyclingTable) -> pd.DataFrame:
    """Read a table of capacities over cycles.

    Parameters
    ----------
    root
        Folder of the data set, in which the table lies.
    settings
        Which table, and how it is written.

    Returns
    -------
    DataFrame
        ``group`` (of ``match``; ``""`` without), ``cell``, ``cycle``, ``capacity_mah_g`` (mAh/g),
        sorted.

    Raises
    ------
    InputError
        The table is missing, cannot be read, lacks a column, or a cell is empty, no number or
        impossible.
    """
    path = root / settings.table
    if not path.is_file():
        raise InputError(
            f"{KEY}.table: {path} is not there; put the table into the data set, or set "
            f"{KEY} to null."
        )
    named = [settings.match] if settings.match else []
    rows, wrong = read_rows_of_table(path, [*named, CYCLE, CAPACITY], settings.table_format, SAY)
    if wrong:
        line, problem = next(iter(wrong.items()))
        raise InputError(f"{path}: line {line}: {problem}; correct it.")
    if rows.empty:
        raise InputError(f"{path}: the table has no rows; expected one per cell and cycle.")
    lines = rows.index.tolist()
    cells = {name: with_lines(lines, rows[name].tolist()) for name in RANGES}
    styles = find_styles(cells, settings.table_format.decimal, path, SAY)
    table = pd.DataFrame(
        {
            GROUP: [""] * len(rows) if not named else rows[named[0]].map(spell_cell).tolist(),
            CELL: rows[CELL].map(spell_cell).tolist() if CELL in rows else [""] * len(rows),
        }
    )
    for name, (expected, is_possible) in RANGES.items():
        numbers = []
        for line, cell in cells[name]:
            value = None if is_missing(cell) else parse_number(cell, *styles[name])
            if value is None or not is_possible(value):
                found = "empty" if is_missing(cell) else f"'{cell}'"
                raise InputError(
                    f"{path}: line {line} of the column '{name}' is {found}; expected "
                    f"{expected}; correct it, or delete the row."
                )
            numbers.append(value)
        table[name] = numbers
    if named and table[GROUP].isna().any():
        line = lines[int(table[GROUP].isna().to_numpy().argmax())]
        raise InputError(
            f"{path}: line {line} of the column '{named[0]}' is empty; name what the curve "
            "belongs to, or delete the row."
        )
    keys = [GROUP, CELL, CYCLE]
    table = table.fillna({CELL: ""})
    if (twice := table.duplicated(keys)).any():
        row = table[twice].iloc[0]
        raise InputError(
            f"{path}: cycle {row[CYCLE]:g} of {row[GROUP] or 'the cell'} stands there twice (line "
            f"{lines[int(twice.to_numpy().argmax())]}); tell several cells apart by a column "
            f"'{CELL}'."
        )
    return table.sort_values(keys).reset_index(drop=True)


def place_pictures(manifest: pd.DataFrame, settings: CyclingTable) -> pd.DataFrame:
    """Say which curve every picture belongs to, its state, and after how many cycles it was taken.

    Parameters
    ----------
    manifest
        Sample table with the labels.
    settings
        Which labels tell it.

    Returns
    -------
    DataFrame
        ``sample_id, group, state, cycle``, a row per picture.

    Raises
    ------
    InputError
        A label is missing, a state has no cycle number, or a label is no number of cycles.
    """
    for key, column in (
        ("match", settings.match),
        ("state_column", settings.state_column),
        ("cycle_column", settings.cycle_column),
    ):
        if column is not None and column not in manifest:
            raise InputError(
                f"{KEY}.{key} is '{column}', but the pictures have no such label; they have "
                f"{', '.join(map(str, manifest.columns))}. Name one of these."
            )
    state = manifest[settings.state_column].astype(str)
    if settings.cycle_column is None:
        if unknown := sorted(set(state) - set(settings.cycles)):
            raise InputError(
                f"{KEY}.cycles says nothing of '{unknown[0]}', which is a {settings.state_column} "
                f"of the pictures; found {', '.join(settings.cycles)}. Add after how many cycles "
                "its electrodes were taken out."
            )
        cycle = state.map(settings.cycles)
    else:
        cycle = pd.to_numeric(manifest[settings.cycle_column], errors="coerce")
        if (bad := cycle.isna() | (cycle < 0)).any():
            row = manifest[bad].iloc[0]
            raise InputError(
                f"{KEY}.cycle_column: '{settings.cycle_column}' of {row['path']} is "
                f"'{row[settings.cycle_column]}'; expected a number of cycles, 0 or more."
            )
    group = "" if settings.match is None else manifest[settings.match].astype(str)
    return pd.DataFrame(
        {"sample_id": manifest["sample_id"], GROUP: group, "state": state, CYCLE: cycle}
    )


def find_cycling(
    dataset: DatasetSettings, manifest: pd.DataFrame, root: Path
) -> CyclingTable | None:
    """Return the table of capacities that fits the pictures, or None.

    What the user names is checked before anything is trained. A generator's own table is left out
    where it is missing (an earlier version drew the pictures) or labels are read otherwise.

    Raises
    ------
    InputError
        As of :func:`read_cycling` and :func:`place_pictures`, or no picture belongs to a curve.
    """
    known = dataset.cycle_table
    if known is None:
        return None
    try:
        _check_cycling(manifest, known, root)
    except InputError:
        if dataset.cycling is not None:
            raise
        return None
    return known


def _check_cycling(manifest: pd.DataFrame, settings: CyclingTable, root: Path) -> None:
    known = set(read_cycling(root, settings)[GROUP])
    asked = set(place_pictures(manifest, settings)[GROUP])
    if not known & asked:
        raise InputError(
            f"{root / settings.table}: no {settings.match} of the table is one of the pictures; "
            f"the table has {', '.join(sorted(known)[:5])}, the pictures "
            f"{', '.join(sorted(asked)[:5])}. Spell them alike."
        )
