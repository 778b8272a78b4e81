"""Capacities of electrodes, from a table, beside the images of the electrodes."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from batteryscope.config.targets import RATE_TOLERANCE, CapacityTargets, name_target
from batteryscope.errors import InputError
from batteryscope.manifest.label_table import read_rows_of_table, spell_cell
from batteryscope.manifest.schema import Reject
from batteryscope.readers.table_lines import name_setting
from batteryscope.readers.table_numbers import NumberStyle, find_styles, parse_number, with_lines

TARGET_PREFIX = "capacity_"
SAY_CAPACITIES = name_setting("dataset.targets.table_format")
# What users write, without blanks and in lower case → the unit; each is the same number.
UNITS = {
    "ah/kg": "Ah/kg", "ahkg-1": "Ah/kg", "mah/g": "Ah/kg", "mahg-1": "Ah/kg",
    "ah/l": "Ah/L", "ahl-1": "Ah/L", "mah/cm3": "Ah/L", "mahcm-3": "Ah/L", "mah/ml": "Ah/L",
}  # fmt: skip


class CapacityTable(NamedTuple):
    """Capacities by electrode, a column per target, in Ah/kg and Ah/L.

    ``wrong``: line → why its row is left out; ``lost``: electrode → why it has no capacities.
    """

    capacities: pd.DataFrame
    wrong: dict[int, str]
    lost: dict[str, str]


def list_target_columns(manifest: pd.DataFrame) -> list[str]:
    """Return the columns of a manifest that hold numbers to predict."""
    return [str(c) for c in manifest.columns if str(c).startswith(TARGET_PREFIX)]


def attach_capacities(
    manifest: pd.DataFrame, settings: CapacityTargets, root: Path
) -> tuple[pd.DataFrame, list[Reject]]:
    """Give every image the capacities of its electrode.

    Parameters
    ----------
    manifest
        Sample table with ``specimen_id``.
    settings
        The table, its columns, C-rates and units.
    root
        Folder of the data set, in which the table lies.

    Returns
    -------
    manifest
        Images of electrodes with capacities, and a number column for each target.
    rejects
        ``no_capacity``: images whose electrode the table lacks, or has not at every C-rate; under
        the path of the table ``wrong_label``, its rows that cannot be used, and ``no_images``,
        once: its electrodes without an image.

    Raises
    ------
    InputError
        The table cannot be used, or no image has a capacity.
    """
    capacities, wrong, lost = read_capacities(root / settings.table, settings)
    refuse_unknown_electrodes(manifest)
    specimens = manifest["specimen_id"]
    known = specimens.isin(capacities.index)
    rejects = [
        Reject(
            path,
            "no_capacity",
            f"{settings.table}: {lost[name]}"
            if name in lost
            else f"{settings.table} has no row of its electrode '{name}'; add it, or leave it out.",
        )
        for path, name in manifest.loc[~known, ["path", "specimen_id"]].itertuples(index=False)
    ]
    if without := sorted(set(capacities.index) - set(specimens)):
        names = ", ".join(f"'{name}'" for name in without)
        detail = (
            f"{len(without)} of its {len(capacities)} electrodes without an image left out: "
            f"{names}; add images of them, or write their names as those of the images "
            f"(such as '{specimens.iloc[0]}')."
        )
        rejects.insert(0, Reject(settings.table, "no_images", detail))
    rejects = [
        *(Reject(settings.table, "wrong_label", f"row {n}: {words}") for n, words in wrong.items()),
        *rejects,
    ]
    if not known.any():
        raise InputError(
            f"{root / settings.table}: none of its electrodes (such as '{capacities.index[0]}') is "
            f"the electrode of an image (such as '{specimens.iloc[0]}'); write them alike."
        )
    kept = manifest[known].reset_index(drop=True)
    return kept.join(capacities, on="specimen_id"), rejects


def refuse_unknown_electrodes(manifest: pd.DataFrame) -> None:
    """Raise :class:`InputError` if the electrode of an image is not known."""
    unknown = manifest["specimen_id"].isna()
    if unknown.any():
        path = manifest.loc[unknown, "path"].iloc[0]
        raise InputError(
            f"{path}: the electrode of this image is not known, so it has no capacity; let "
            "labels.pattern or the label table name it as specimen_id."
        )


def read_capacities(path: Path, settings: CapacityTargets) -> CapacityTable:
    """Read a table of capacities.

    A row that cannot be used is left out; an electrode that then lacks a C-rate is lost.

    Raises
    ------
    InputError
        In one sentence: a column is missing; numbers could be read in two ways; no electrode
        has all C-rates.
    """
    names = [settings.c_rate_column, settings.capacity_column]
    asked = [settings.electrode_column, *names, settings.unit_column]
    written = settings.table_format
    rows, wrong = read_rows_of_table(path, asked, written, SAY_CAPACITIES)
    lines = rows.index.tolist()
    cells = {name: with_lines(lines, map(_without_c, rows[name].tolist())) for name in names}
    styles = find_styles(cells, written.decimal, path, SAY_CAPACITIES)
    records = []
    for line, row in zip(lines, rows.to_dict("records"), strict=True):
        try:
            records.append(_read_row({str(k): v for k, v in row.items()}, settings, styles))
        except ValueError as error:
            wrong[line] = str(error)
    electrodes = list(dict.fromkeys(filter(None, map(spell_cell, rows[settings.electrode_column]))))
    values = pd.DataFrame(records, columns=["electrode", "c_rate", "capacity", "unit"])
    table = pd.DataFrame(index=pd.Index(electrodes, name="electrode"))
    lost: dict[str, str] = {}
    for unit in settings.units:
        for c_rate in settings.c_rates:
            at_rate = np.isclose(values["c_rate"].astype(float), c_rate, rtol=RATE_TOLERANCE)
            chosen = values[at_rate & (values["unit"] == unit)]
            means = chosen.groupby("electrode")["capacity"].mean()
            for name in electrodes:
                if name not in means.index:
                    detail = (
                        f"the electrode '{name}' has no capacity at {c_rate:g}C in {unit}; add "
                        f"the row, or leave {c_rate:g} out of dataset.targets.c_rates (or {unit} "
                        "out of dataset.targets.units)."
                    )
                    lost.setdefault(name, detail)
            table[name_target(c_rate, unit)] = means.reindex(electrodes).to_numpy(float)
    if len(lost) == len(electrodes):
        reasons = [*(f"row {n}: {words}" for n, words in sorted(wrong.items())), *lost.values()]
        raise InputError(f"{path}: {reasons[0] if reasons else 'it names no electrode'}")
    return CapacityTable(table.drop(index=list(lost)), dict(sorted(wrong.items())), lost)


def _without_c(cell: Any) -> Any:
    """A C-rate may be written as 0.2C."""
    return cell.strip().removesuffix("C").strip() if isinstance(cell, str) else cell


def _read_row(
    row: dict[str, Any], settings: CapacityTargets, styles: dict[str, NumberStyle]
) -> tuple[str, float, float, str]:
    """Read electrode, C-rate, capacity and unit; ValueError says what is wrong."""
    electrode = spell_cell(row[settings.electrode_column])
    if electrode is None:
        raise ValueError(f"{settings.electrode_column} is empty; name the electrode.")
    numbers = []
    for name in (settings.c_rate_column, settings.capacity_column):
        value = parse_number(_without_c(row[name]), *styles[name])
        if value is None or value <= 0:
            raise ValueError(
                f"{name} is '{spell_cell(row[name]) or ''}'; expected a number above 0 with a "
                f"decimal '{styles[name].decimal}'; correct it."
            )
        numbers.append(value)
    return electrode, numbers[0], numbers[1], _read_unit(row[settings.unit_column])


def _read_unit(cell: Any) -> str:
    written = spell_cell(cell) or ""
    text = written.lower().replace("³", "3").replace("²", "2").replace("·", "")
    text = text.replace("⁻", "-").replace("¹", "1").replace(" ", "").replace("^", "")
    if text in UNITS:
        return UNITS[text]
    areal = "cm2" in text or "m2" in text or "cm-2" in text
    reason = (
        "a capacity per area depends on the loading and is not converted; divide it by the mass "
        "of active material or by the volume of the coating"
        if areal
        else "expected Ah/kg (or mAh/g) or Ah/L (or mAh/cm³); correct it"
    )
    raise ValueError(f"the unit is '{written}'; {reason}.")
