"""Numbers to predict, from a table or from the labels, beside the samples."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from batteryscope.config.targets import Quantity, QuantityTargets
from batteryscope.errors import InputError
from batteryscope.manifest.join_table import name_scans, read_cells, read_values, remove_unit
from batteryscope.manifest.schema import Reject
from batteryscope.readers.table_numbers import NumberStyle, is_missing, parse_number

POINT = NumberStyle()
NO_VALUE, OUTSIDE = "no_quantity", "outside_range"


def attach_quantities(
    manifest: pd.DataFrame, settings: QuantityTargets, root: Path
) -> tuple[pd.DataFrame, list[Reject]]:
    """Give every sample its quantities.

    A sample needs all of them: with one missing or outside of its range it is rejected, so that
    every model and every baseline learns from the same samples.

    Parameters
    ----------
    manifest
        Sample table.
    settings
        The quantities, and the table or label columns that hold them.
    root
        Folder of the data set, in which the table lies.

    Returns
    -------
    manifest
        The samples with all quantities, and a number column for each.
    rejects
        ``no_quantity``: no row of the table, an empty cell, or no number; ``outside_range``. Of a
        scan one for all its slices. Under the path of the table ``wrong_label``, its rows that
        cannot be used, and ``no_images``, once: its rows without a sample.

    Raises
    ------
    InputError
        The table cannot be used, or no sample is left.
    """
    units = {settings.columns[q.name]: q.unit for q in settings.listed}
    written = read_values(manifest, settings, units, root, "dataset.targets", NO_VALUE)
    rejects = list(written.rejects)
    values = manifest.copy()
    good = pd.Series(True, index=manifest.index)
    for quantity in settings.listed:
        column = settings.columns[quantity.name]
        read = partial(read_value, quantity=quantity, style=written.styles[column])
        numbers, wrong = read_cells(manifest, written, column, 1, read, _name_reason)
        rejects += wrong
        values[quantity.name] = numbers[:, 0]
        good &= ~np.isnan(numbers[:, 0])
    rejects = name_scans(rejects, manifest)
    if not good.any():
        first = next(r for r in rejects if r.reason in (NO_VALUE, OUTSIDE))
        raise InputError(
            f"{root}: no sample has all of the quantities {', '.join(settings.names)}; the first "
            f"one, {first.path}: {first.detail}"
        )
    return values[good].reset_index(drop=True), rejects


def _name_reason(problem: str) -> str:
    return OUTSIDE if "outside" in problem else NO_VALUE


def read_value(
    cell: object, quantity: Quantity, style: NumberStyle = POINT
) -> tuple[float | None, str]:
    """Read one written value.

    Parameters
    ----------
    cell
        As the table holds it; the unit may stand behind the number.
    quantity
        Its unit and range.
    style
        How the numbers of the column are written.

    Returns
    -------
    value, problem
        The number and "", or None and what is wrong with it.
    """
    if is_missing(cell):
        return None, "is empty; fill it in, or leave the sample out."
    unit = quantity.unit
    value = parse_number(remove_unit(cell, unit), *style)
    if value is None or not np.isfinite(value):
        return None, f"is '{cell}'; expected a number in {unit}; correct it."
    low, high = quantity.low, quantity.high
    if (low is not None and value < low) or (high is not None and value > high):
        span = (
            f"{low:g} to {high:g} {unit}"
            if low is not None and high is not None
            else (f"{low:g} {unit} and more" if low is not None else f"up to {high:g} {unit}")
        )
        return None, (
            f"is {value:g} {unit}, outside of {span}; correct it, or the range of "
            f"dataset.targets.quantities.{quantity.name}."
        )
    return float(value), ""
