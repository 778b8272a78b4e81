"""Numbers to predict, from a table or from the labels, beside the samples."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from batteryscope.config.targets import Quantity, QuantityTargets
from batteryscope.errors import InputError
from batteryscope.manifest.label_table import read_rows_of_table, spell_cell
from batteryscope.manifest.schema import Reject
from batteryscope.readers.table_lines import name_setting
from batteryscope.readers.table_numbers import (
    NumberStyle,
    find_styles,
    is_missing,
    parse_number,
    with_lines,
)

log = logging.getLogger("batteryscope")

SAY_QUANTITIES = name_setting("dataset.targets.table_format")
POINT = NumberStyle()
NO_VALUE, OUTSIDE = "no_quantity", "outside_range"
# What a row of the table may name, in the order in which it is looked for.
KEYS: dict[str, Callable[[pd.DataFrame], "pd.Series[str]"]] = {
    "file": lambda m: m["path"].str.rpartition("/")[2],
    "path": lambda m: m["path"],
    "scan": lambda m: m["volume"],
    "name of the scan": lambda m: m["volume"].str.rpartition("/")[2],
    "name without ending": lambda m: (
        (m["volume"] if "volume" in m else m["path"])
        .str.rpartition("/")[2]
        .str.replace(r"\.[A-Za-z][A-Za-z0-9]*$", "", regex=True)
    ),
    "specimen": lambda m: m["specimen_id"],
}


class Written(NamedTuple):
    """What the samples, in their order, are said to have.

    ``places``: where the row stands, "" for none; ``styles``: how a column writes its numbers.
    """

    cells: pd.DataFrame
    places: list[str]
    styles: dict[str, NumberStyle]
    rejects: list[Reject]


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
    if settings.table is None:
        written, places, styles, rejects = _take_from_labels(manifest, settings)
    else:
        written, places, styles, rejects = _take_from_table(manifest, settings, root)
    values = manifest.copy()
    good = pd.Series(True, index=manifest.index)
    for quantity in settings.listed:
        column = settings.columns[quantity.name]
        numbers = np.full(len(manifest), np.nan)
        for i, (text, place) in enumerate(zip(written[column], places, strict=True)):
            if not place:  # it has no row, which is said already
                continue
            value, problem = read_value(text, quantity, styles[column])
            if value is None:
                reason = OUTSIDE if "outside" in problem else NO_VALUE
                detail = f"{place}: {column} {problem}"
                rejects.append(Reject(str(manifest["path"].iloc[i]), reason, detail))
            else:
                numbers[i] = value
        values[quantity.name] = numbers
        good &= ~np.isnan(numbers)
    rejects = _name_scans(rejects, manifest)
    if not good.any():
        first = next(r for r in rejects if r.reason in (NO_VALUE, OUTSIDE))
        raise InputError(
            f"{root}: no sample has all of the quantities {', '.join(settings.names)}; the first "
            f"one, {first.path}: {first.detail}"
        )
    return values[good].reset_index(drop=True), rejects


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
    value = parse_number(_without_unit(cell, unit), *style)
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


def _without_unit(cell: object, unit: str) -> object:
    return cell.strip().removesuffix(unit).strip() if isinstance(cell, str) else cell


def _take_from_labels(manifest: pd.DataFrame, settings: QuantityTargets) -> Written:
    columns = list(settings.columns.values())
    if missing := [c for c in columns if c not in manifest]:
        raise InputError(
            f"dataset.targets: the labels have no column '{missing[0]}'; let labels.pattern or the "
            "label table give it, or name a table (targets.table)."
        )
    cells = {
        settings.columns[q.name]: with_lines(
            range(len(manifest)),
            [_without_unit(c, q.unit) for c in manifest[settings.columns[q.name]]],
        )
        for q in settings.listed
    }
    styles = find_styles(cells, settings.table_format.decimal, "the labels", SAY_QUANTITIES)
    return Written(manifest[columns], ["its labels"] * len(manifest), styles, [])


def _take_from_table(manifest: pd.DataFrame, settings: QuantityTargets, root: Path) -> Written:
    table, key = str(settings.table), str(settings.sample_column)
    asked = list(dict.fromkeys([key, *settings.columns.values()]))
    rows, wrong = read_rows_of_table(root / table, asked, settings.table_format, SAY_QUANTITIES)
    units = {settings.columns[q.name]: q.unit for q in settings.listed}
    lines = rows.index.tolist()
    cells = {
        column: with_lines(lines, [_without_unit(c, unit) for c in rows[column]])
        for column, unit in units.items()
    }
    styles = find_styles(cells, settings.table_format.decimal, root / table, SAY_QUANTITIES)
    names = pd.Series({line: spell_cell(cell) for line, cell in rows[key].items()}, dtype=object)
    wrong |= {
        int(line): f"the cell '{key}' is empty; name the sample, or delete the row"
        for line in names.index[names.isna()]
    }
    names = names.dropna()
    if names.duplicated().any():
        row = names.index[names.duplicated()][0]
        first = names.index[names == names[row]][0]
        raise InputError(
            f"{root / table}, row {row}: '{names[row]}' already stands in row {first}; leave one "
            "row for every sample, such as their mean."
        )
    kind, own = _match_samples(manifest, set(names), f"{root / table}: its column '{key}'")
    row_of = {str(name): row for row, name in names.items()}
    found = [row_of.get(str(name)) for name in own]
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
    rejects += [
        Reject(
            str(path),
            NO_VALUE,
            f"{table} has no row of '{name}'; add it, or leave the sample out.",
        )
        for path, name, row in zip(manifest["path"], own, found, strict=True)
        if row is None
    ]
    written = rows.reindex([-1 if row is None else row for row in found])
    places = ["" if row is None else f"{table}, row {row}" for row in found]
    return Written(written, places, styles, rejects)


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
            f"{place} (such as '{sorted(names)[0]}') names no file, scan or specimen of the data "
            f"set (such as '{paths}'); write them alike."
        )
    if kind == "file":
        counts = manifest.groupby(own.to_numpy())["path"].nunique()
        if several := [name for name in counts.index[counts > 1] if name in names]:
            raise InputError(
                f"{place}: {counts[several[0]]} files are called '{several[0]}'; write the path "
                "within the data set."
            )
    return kind, own


def _name_scans(rejects: list[Reject], manifest: pd.DataFrame) -> list[Reject]:
    """Reject a scan once, not slice by slice."""
    if "volume" not in manifest:
        return rejects
    scans = dict(zip(manifest["path"], manifest["volume"], strict=True))
    named = [Reject(str(scans.get(r.path, r.path)), r.reason, r.detail) for r in rejects]
    return list(dict.fromkeys(named))
