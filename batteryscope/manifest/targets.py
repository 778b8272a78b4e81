"""Capacities of electrodes, from a table, beside the images of the electrodes."""

from pathlib import Path

import numpy as np
import pandas as pd

from batteryscope.config.targets import RATE_TOLERANCE, CapacityTargets, name_target
from batteryscope.errors import InputError
from batteryscope.manifest.label_table import read_label_table
from batteryscope.manifest.schema import Reject
from batteryscope.readers.written_values import as_number

TARGET_PREFIX = "capacity_"
# What users write, without blanks and in lower case → the unit; each is the same number.
UNITS = {
    "ah/kg": "Ah/kg", "ahkg-1": "Ah/kg", "mah/g": "Ah/kg", "mahg-1": "Ah/kg",
    "ah/l": "Ah/L", "ahl-1": "Ah/L", "mah/cm3": "Ah/L", "mahcm-3": "Ah/L", "mah/ml": "Ah/L",
}  # fmt: skip


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
        ``no_capacity``: images whose electrode the table lacks; ``no_images``, once and under
        the path of the table: its electrodes without an image.

    Raises
    ------
    InputError
        The table cannot be used, or no image has a capacity.
    """
    capacities = read_capacities(root / settings.table, settings)
    refuse_unknown_electrodes(manifest)
    specimens = manifest["specimen_id"]
    known = specimens.isin(capacities.index)
    rejects = [
        Reject(
            path,
            "no_capacity",
            f"{settings.table} has no row of its electrode '{name}'; add it, or leave it out.",
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


def read_capacities(path: Path, settings: CapacityTargets) -> pd.DataFrame:
    """Read a table of capacities.

    Returns
    -------
    DataFrame
        Index electrode, a column per target (``settings.names``), in Ah/kg and Ah/L.

    Raises
    ------
    InputError
        In one sentence: a column is missing; a cell is no number; a capacity is not above
        0; a unit is unknown or an areal one; an electrode lacks a C-rate.
    """
    columns = [
        settings.c_rate_column,
        settings.capacity_column,
        settings.unit_column,
    ]
    rows = read_label_table(path, settings.electrode_column, columns)
    electrodes = list(dict.fromkeys(rows[settings.electrode_column].dropna()))
    values = pd.DataFrame(
        {
            "electrode": rows[settings.electrode_column],
            "c_rate": _read_numbers(rows, settings.c_rate_column, path),
            "capacity": _read_numbers(rows, settings.capacity_column, path),
            "unit": [_read_unit(u, path, n) for n, u in rows[settings.unit_column].items()],
        }
    )
    table = pd.DataFrame(index=pd.Index(electrodes, name="electrode"))
    for unit in settings.units:
        for c_rate in settings.c_rates:
            at_rate = np.isclose(values["c_rate"], c_rate, rtol=RATE_TOLERANCE)
            chosen = values[at_rate & (values["unit"] == unit)]
            means = chosen.groupby("electrode")["capacity"].mean()
            if missing := [name for name in electrodes if name not in means.index]:
                raise InputError(
                    f"{path}: the electrode '{missing[0]}' has no capacity at {c_rate:g}C in "
                    f"{unit}; add the row, or leave {c_rate:g} out of dataset.targets.c_rates "
                    f"(or {unit} out of dataset.targets.units)."
                )
            table[name_target(c_rate, unit)] = means.reindex(electrodes).to_numpy()
    return table


def _read_numbers(rows: pd.DataFrame, column: str, path: Path) -> list[float]:
    numbers = []
    for number, written in rows[column].items():
        text = "" if written is None else str(written).strip().removesuffix("C").strip()
        value = as_number(text)
        if value is None or not np.isfinite(value) or value <= 0:
            raise InputError(
                f"{path}, row {number}: {column} is '{'' if written is None else written}'; "
                "expected a number above 0; correct it."
            )
        numbers.append(float(value))
    return numbers


def _read_unit(written: object, path: Path, row: object) -> str:
    text = str(written or "").lower().replace("³", "3").replace("²", "2").replace("·", "")
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
    raise InputError(f"{path}, row {row}: the unit is '{written or ''}'; {reason}.")
