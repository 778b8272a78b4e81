"""Tables beside pictures or scans: capacities, quantities, labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from batteryscope.errors import BatteryscopeError, InputError
from batteryscope.manifest.targets import UNITS
from batteryscope.readers.scan import FolderScan
from batteryscope.start.class_names import NamedClasses
from batteryscope.start.columns import Column, find_range, read_columns, spans_decades, split_unit
from batteryscope.start.seen import Problem

ENDINGS = (".csv", ".tsv", ".xlsx", ".xlsm", ".parquet")
CAPACITIES = ("electrode", "c_rate", "capacity", "unit")
ORIGINS = ("specimen_id", "session_id", "domain")
NO_UNIT = "a.u."  # of a title that states none: for a person to correct
NAMED_SHARE = 0.5  # of the rows name a file, a scan or a specimen
MOST_CLASSES = 0.5  # classes per row; a column with more values describes single samples


@dataclass(frozen=True)
class Beside:
    """What tables beside the files add: settings of the data set, facts, problems."""

    settings: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    problems: Sequence[Problem] = ()


def find_beside(
    folder: Path, files: FolderScan, targets: Sequence[str], names: NamedClasses
) -> Beside:
    """Look for a table beside the files, and for what it says about them.

    Parameters
    ----------
    folder
        Of the data set; tables lie directly in it. Hidden ones count only if ``targets`` are in
        them.
    files
        What else is there.
    targets
        Columns that shall be predicted.
    names
        How the names of folders were understood.

    Raises
    ------
    InputError
        No table has the targets, or none of its rows names a file.
    """
    tables: dict[Path, dict[str, Column]] = {}
    problems: list[Problem] = []
    listed = sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS and p.is_file())
    for path in sorted(listed, key=lambda p: p.name.startswith(".")):
        if path.name.startswith(".") and not targets:
            continue
        try:
            tables[path] = read_columns(path)
        except BatteryscopeError as error:
            problems.append(Problem(f"A table beside the files is not used: {error}"))
    facts = {"tables": {path.name: list(columns) for path, columns in tables.items()}}
    if targets:
        return Beside(_take_quantities(folder, tables, targets, files, names), facts, problems)
    for path, columns in tables.items():
        if set(CAPACITIES) <= set(columns):
            return Beside(_take_capacities(path, columns), facts, problems)
    has_folders = any("/" in path for path in files.images)
    for path, columns in tables.items():
        sample = _find_sample_column(columns, files, names)
        if sample is None:
            continue
        if not has_folders and (labels := _take_labels(path, columns, sample)):
            return Beside(labels, facts, problems)
        numeric = [t for t, c in columns.items() if c.numbers is not None and t != sample]
        if numeric and not has_folders:
            settings = _take_quantities(folder, {path: columns}, numeric, files, names)
            return Beside(settings, facts, problems)
        if numeric:
            problems.append(
                Problem(
                    f"{path.name} holds numbers ({', '.join(numeric[:4])}); to predict some of "
                    f"them instead of the class, add --targets {numeric[0]}."
                )
            )
    return Beside({}, facts, problems)


def _take_capacities(path: Path, columns: Mapping[str, Column]) -> dict[str, Any]:
    """Take the C-rates at which every electrode was measured, in the units that are there."""
    rates = columns["c_rate"].numbers
    if rates is None:
        raise InputError(f"{path}: the column 'c_rate' holds no numbers; write C-rates as 0.5.")
    written = [str(cell).replace(" ", "").casefold() for cell in columns["unit"].cells]
    units = [UNITS.get(text) for text in written]
    known = sorted({unit for unit in units if unit})
    if not known:
        raise InputError(
            f"{path}: the column 'unit' names no unit that is known (found '{written[0]}'); write "
            "Ah/kg, mAh/g, Ah/L or mAh/cm³."
        )
    at: dict[tuple[str, str], set[float]] = {}
    for electrode, rate, unit in zip(columns["electrode"].cells, rates, units, strict=True):
        if unit and np.isfinite(rate):
            at.setdefault((str(electrode), unit), set()).add(float(rate))
    common = sorted(set.intersection(*at.values())) if at else []
    if not common:
        raise InputError(
            f"{path}: no C-rate was measured for every electrode; complete the table, or take the "
            "electrodes out that lack rates."
        )
    return {"targets": {"table": path.name, "c_rates": common, "units": known}}


def _take_quantities(
    folder: Path,
    tables: Mapping[Path, Mapping[str, Column]],
    targets: Sequence[str],
    files: FolderScan,
    names: NamedClasses,
) -> dict[str, Any]:
    path = next((path for path, columns in tables.items() if set(targets) <= set(columns)), None)
    if path is None:
        found = "; ".join(f"{p.name}: {', '.join(columns)}" for p, columns in tables.items())
        raise InputError(
            f"--targets: no table in {folder} has the columns {', '.join(targets)}; found "
            f"{found or 'no table'}."
        )
    columns = tables[path]
    sample = _find_sample_column(columns, files, names)
    if sample is None:
        raise InputError(
            f"{path}: none of its columns names the files beside it (such as '{files.images[0]}'); "
            "add one, for example 'file'."
        )
    quantities = {}
    for title in targets:
        numbers = columns[title].numbers
        if numbers is None:
            raise InputError(f"{path}: the column '{title}' holds no numbers; name another target.")
        name, unit = split_unit(title)
        low, high = find_range(numbers, unit)
        own: dict[str, Any] = {"unit": unit or NO_UNIT, "low": low, "high": high}
        if spans_decades(numbers):
            own["transform"] = "log"
        quantities[name] = own | ({"column": title} if name != title else {})
    return {
        "targets": {"table": path.name, "sample_column": sample, "quantities": quantities}
    }  # fmt: skip


def _take_labels(path: Path, columns: Mapping[str, Column], sample: str) -> dict[str, Any]:
    """Take columns of few words as labels."""
    labels = [
        title
        for title, column in columns.items()
        if title not in (sample, *ORIGINS)
        and column.numbers is None
        and 1 < len(set(column.texts)) <= MOST_CLASSES * len(column.texts)
    ]
    if not labels:
        return {}
    return {
        "labels": {"source": "table", "table": path.name, "file_column": sample, "columns": labels}
    }


def _find_sample_column(
    columns: Mapping[str, Column], files: FolderScan, names: NamedClasses
) -> str | None:
    """Return the column whose cells name most files, scans or specimens."""
    paths = [PurePosixPath(path) for path in files.images]
    known = {str(p) for p in paths} | {p.name for p in paths} | {p.stem for p in paths}
    known |= {part for p in paths for part in p.parts[:-1]} if names.specimens else set()
    best, share = None, NAMED_SHARE
    for title, column in columns.items():
        texts = column.texts
        named = sum(text in known for text in texts) / max(1, len(texts))
        if named >= share:
            best, share = title, np.nextafter(named, 2)
    return best
