"""Tables beside pictures or scans: capacities, quantities, labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from batteryscope.config.table_format import TableFormat
from batteryscope.errors import BatteryscopeError, InputError
from batteryscope.manifest.targets import UNITS
from batteryscope.readers.scan import FolderScan
from batteryscope.start.class_names import NamedClasses
from batteryscope.start.columns import (
    Column,
    find_range,
    number_name,
    read_columns,
    spans_decades,
    split_unit,
)
from batteryscope.start.label_columns import (
    LABEL_TITLES,
    MOST_CODES,
    OWN_COLUMNS,
    Titles,
    find_sample_column,
    say_specimens,
    sort_titles,
    take_table,
)
from batteryscope.start.seen import Problem

ENDINGS = (".csv", ".tsv", ".xlsx", ".xlsm", ".parquet")
CAPACITIES = ("electrode", "c_rate", "capacity", "unit")
NO_UNIT = "a.u."  # of a title that states none: for a person to correct


@dataclass(frozen=True)
class Beside:
    """What tables beside the files add: settings of the data set, facts, problems."""

    settings: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    problems: Sequence[Problem] = ()


def find_beside(
    folder: Path,
    files: FolderScan,
    targets: Sequence[str],
    names: NamedClasses,
    whole_paths: bool = False,
    written: TableFormat | None = None,
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
    whole_paths
        Whether the files are scans.
    written
        How the tables are written, where that cannot be told from them.

    Raises
    ------
    InputError
        No table has the targets, or none of its rows names a file; or it cannot be told what the
        table means: the sentence asks.
    """
    tables: dict[Path, dict[str, Column]] = {}
    problems: list[Problem] = []
    listed = sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS and p.is_file())
    for path in sorted(listed, key=lambda p: p.name.startswith(".")):
        if path.name.startswith(".") and not targets:
            continue
        try:
            tables[path] = read_columns(path, written)
        except BatteryscopeError as error:
            problems.append(Problem(f"A table beside the files is not used: {error}"))
    facts = {"tables": {path.name: list(columns) for path, columns in tables.items()}}
    stated = {} if written is None else written.model_dump(exclude_defaults=True)
    if stated and not listed:
        raise InputError(f"{folder}: no table lies beside the files; leave --{next(iter(stated))}.")
    look = _Look(folder, files, names, whole_paths, stated)
    if targets:
        if problems and not any(set(targets) <= set(columns) for columns in tables.values()):
            raise InputError(f"--targets: {problems[0].text}")
        settings = _take_quantities(look, tables, targets)
        table = settings["targets"]["table"]
        used = [*targets, settings["targets"]["sample_column"]]
        problems += _say_unused(table, tables[folder / table], settings, used)
        return Beside(settings, facts, problems)
    for path, columns in tables.items():
        if set(CAPACITIES) <= set(columns):
            settings = _take_capacities(path, columns)
            return Beside(_state_format(settings, stated), facts, problems)
    for path, columns in tables.items():
        if settings := _take_table(look, path, columns, problems):
            return Beside(settings, facts, problems)
    return Beside({}, facts, problems)


@dataclass(frozen=True)
class _Look:
    """What tables are compared with."""

    folder: Path
    files: FolderScan
    names: NamedClasses
    whole_paths: bool
    stated: Mapping[str, Any]


def _take_table(
    look: _Look, path: Path, columns: Mapping[str, Column], problems: list[Problem]
) -> dict[str, Any]:
    """Return labels or numbers of a table; nothing, and why, if it is not used."""
    paths = list(look.files.images)
    sample = find_sample_column(columns, paths)
    if sample is None:
        problems.append(Problem(f"{path.name} is not used: no column of it names the files."))
        return {}
    titles = sort_titles(columns, sample.title)
    has_folders = len({each.rpartition("/")[0] for each in paths}) > 1
    only_codes = has_folders and not titles.words
    labels = [] if only_codes else titles.choose(columns, path)
    if only_codes:  # the folders are the classes; certain names must still agree with them
        labels = [t for t in titles.codes if t.casefold() in LABEL_TITLES]
    if labels and take_table(path, columns, sample, labels, paths, look.names, look.whole_paths):
        settings: dict[str, Any] = {
            "labels": {
                "source": "table", "table": path.name, "file_column": sample.title,
                "columns": labels,
            }
        }  # fmt: skip
        problems += _say_codes(path, columns, labels, titles)
        problems += _say_unused(path.name, columns, settings, [*labels, sample.title])
        return _state_format(settings, look.stated)
    numeric = [*titles.codes, *titles.numbers]
    if numeric and not has_folders:
        settings = _take_quantities(look, {path: columns}, numeric)
        problems += _say_unused(path.name, columns, settings, [*numeric, sample.title])
        return settings
    text = f"{path.name} is not used, since the folders are the classes."
    if numeric:
        text += (
            f" It holds numbers ({', '.join(numeric[:4])}); to predict some of them instead, add "
            f"--targets {numeric[0]}."
        )
    problems.append(Problem(text))
    return {}


def _say_codes(
    path: Path, columns: Mapping[str, Column], labels: Sequence[str], titles: Titles
) -> list[Problem]:
    """Say which numbers are taken for names."""
    found = []
    for title in labels:
        if title in titles.codes:
            values = ", ".join(list(dict.fromkeys(columns[title].texts))[:MOST_CODES])
            found.append(
                Problem(
                    f"{path.name}: the numbers of '{title}' ({values}) are taken for names of "
                    f"classes; to predict them as numbers, add --targets {title}."
                )
            )
    return found


def _say_unused(
    table: str, columns: Mapping[str, Column], settings: Mapping[str, Any], used: Sequence[str]
) -> list[Problem]:
    """Name the columns that have no effect."""
    labels = settings.get("labels", {})
    taken = {*used, *labels.get("columns", [])}
    if labels.get("source") == "table":
        taken |= OWN_COLUMNS
    unused = [title for title in columns if title not in taken]
    if not unused:
        return []
    listed = ", ".join(f"'{title}'" for title in unused)
    return [
        Problem(
            f"{table}: not used: {listed}; add them to dataset.labels.columns or to --targets if "
            "they are labels or numbers to predict."
        )
    ]


def _state_format(settings: dict[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    """Write down how the table is written, if the user had to say it."""
    if not stated:
        return settings
    return {
        key: each | {"table_format": dict(stated)} if "table" in each else each
        for key, each in settings.items()
    }


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
    look: _Look, tables: Mapping[Path, Mapping[str, Column]], targets: Sequence[str]
) -> dict[str, Any]:
    path = next((path for path, columns in tables.items() if set(targets) <= set(columns)), None)
    if path is None:
        found = "; ".join(f"{p.name}: {', '.join(columns)}" for p, columns in tables.items())
        raise InputError(
            f"--targets: no table in {look.folder} has the columns {', '.join(targets)}; found "
            f"{found or 'no table'}."
        )
    columns = tables[path]
    paths = list(look.files.images)
    sample = find_sample_column(columns, paths)
    if sample is None:
        raise InputError(
            f"{path}: none of its columns names the files beside it (such as '{paths[0]}'); "
            "add one, for example 'file'."
        )
    quantities: dict[str, Any] = {}
    for title in targets:
        numbers = columns[title].numbers
        if numbers is None:
            raise InputError(f"{path}: the column '{title}' holds no numbers; name another target.")
        name, unit = split_unit(title)
        name = number_name(name, quantities)
        low, high = find_range(numbers, unit)
        own: dict[str, Any] = {"unit": unit or NO_UNIT, "low": low, "high": high}
        if spans_decades(numbers):
            own["transform"] = "log"
        quantities[name] = own | ({"column": title} if name != title else {})
    settings: dict[str, Any] = {
        "targets": {"table": path.name, "sample_column": sample.title, "quantities": quantities}
    }
    if labels := say_specimens(path, columns, sample, targets, paths, look.names, look.whole_paths):
        settings["labels"] = labels
    return _state_format(settings, look.stated)
