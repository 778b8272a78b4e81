"""Capacities of electrodes that the half-cell model computes from their porosity."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.config.physics import HalfCellSettings
from batteryscope.config.targets import RATE_TOLERANCE, CapacityTargets, name_target
from batteryscope.errors import InputError
from batteryscope.manifest.targets import refuse_unknown_electrodes
from batteryscope.physics.half_cell import smooth_local_porosity
from batteryscope.physics.porosity import read_porosities

GRID_TOLERANCE = 5e-5  # the table of the model is rounded to four digits


@dataclass(frozen=True)
class HalfCellLaw:
    """What the half-cell model says: its table (porosity by C-rate), and the cell it describes."""

    grid: pd.DataFrame
    cell: HalfCellSettings


def compute_capacities(
    manifest: pd.DataFrame, settings: CapacityTargets, law: HalfCellLaw
) -> pd.DataFrame:
    """Give every image the capacities that the half-cell model has for its electrode's porosity.

    They are interpolated (PCHIP) between the porosities of the grid and averaged over the local
    porosities of the electrode (``physics.porosity_spread``), as in the row ``physics`` of a
    comparison. With a spread of 0 an electrode at a porosity of the grid gets what was simulated.

    Parameters
    ----------
    manifest
        Sample table with ``specimen_id`` and the column ``physics.porosity_column``.
    settings
        C-rates and units of the targets.
    law
        What the model says.

    Returns
    -------
    DataFrame
        The manifest with a number column per target.

    Raises
    ------
    InputError
        In one sentence: an electrode is not known; its porosity is missing, no percentage,
        not the same on all its images, or outside the grid; a C-rate was not simulated.
    """
    refuse_unknown_electrodes(manifest)
    column = law.cell.porosity_column
    porosities = read_porosities(manifest, column, "set dataset.targets.source to 'table'")
    _refuse_several(manifest["specimen_id"], porosities, column)
    _refuse_outside(manifest["specimen_id"], porosities, law.grid["porosity"], column)
    simulated = smooth_local_porosity(law.grid, porosities, law.cell)
    computed = manifest.copy()
    for unit in settings.units:
        for c_rate in settings.c_rates:
            found = [
                rate for rate, of in simulated
                if of == unit and np.isclose(rate, c_rate, rtol=RATE_TOLERANCE)
            ]  # fmt: skip
            if not found:
                raise InputError(
                    f"physics.c_rates: the half-cell model was not solved at {c_rate:g}C; add it, "
                    "or leave it out of dataset.targets.c_rates."
                )
            computed[name_target(c_rate, unit)] = simulated[(found[0], unit)]
    return computed


def _refuse_several(electrodes: pd.Series, porosities: NDArray[np.float64], column: str) -> None:
    stated = pd.Series(porosities, index=electrodes.index).groupby(electrodes)
    several = stated.max() > stated.min()
    if several.any():
        name = several.index[several][0]
        listed = " and ".join(f"{100 * value:g}" for value in sorted(set(stated.get_group(name))))
        raise InputError(
            f"physics.porosity_column: '{column}' holds {listed} for images of the electrode "
            f"'{name}', but an electrode has one capacity; give all its images one porosity, or "
            "let labels.pattern or the label table name two electrodes."
        )


def _refuse_outside(
    electrodes: pd.Series, porosities: NDArray[np.float64], grid: pd.Series, column: str
) -> None:
    low, high = float(grid.min()), float(grid.max())
    outside = (porosities < low - GRID_TOLERANCE) | (porosities > high + GRID_TOLERANCE)
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        raise InputError(
            f"physics.porosity_column: '{column}' holds {100 * porosities[first]:g} for the "
            f"electrode '{electrodes.iloc[first]}', but the half-cell model was solved from "
            f"{100 * low:g} to {100 * high:g} % only; widen physics.porosity_min and "
            "physics.porosity_max, or leave the electrode out with dataset.where."
        )
