"""Looks at tables with a row for each electrode."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.config.base import validate_settings
from batteryscope.config.table_data import (
    DOMAIN_COLUMN,
    RESERVED_COLUMNS,
    TableDatasetSettings,
    spell_domain,
)
from batteryscope.config.table_format import TableFormat
from batteryscope.core.plural import count_of
from batteryscope.errors import ConfigError, InputError
from batteryscope.start.class_names import NamedClasses
from batteryscope.start.columns import Column, find_range, number_name, read_columns, split_unit
from batteryscope.start.seen import Problem, Seen, name_path, say_command
from batteryscope.tables.build_rows import build_rows
from batteryscope.tables.read_table import read_table

FEWEST_OF_OTHERS = 6
MOST_DOMAINS = 8
MATERIAL = re.compile(
    r"domain|material|chemistry|composition|active|cathode|anode|재료|소재|물질|활물질",
    re.IGNORECASE,
)


def look_at_rows(
    paths: Sequence[Path],
    targets: Sequence[str] = (),
    domain: str = "",
    written: TableFormat | None = None,
) -> Seen:
    """Read tables, and sort their columns into features, targets and the name of the material.

    Parameters
    ----------
    paths
        CSV, Excel or parquet.
    targets
        Titles of the columns to predict.
    domain
        Title of the column that names the material; found if it is one of words with few values.
    written
        How the tables are written, where that cannot be told from them.

    Raises
    ------
    ConfigError
        No targets are named, or a title is unknown.
    InputError
        A table cannot be read, or too few of its rows can be used.
    """
    tables = {path: read_columns(path, written) for path in paths}
    for path, titles in tables.items():
        if not any(column.cells for column in titles.values()):
            raise InputError(f"{path}: the table has no rows below its titles; fill it.")
    shared = [t for t in tables[paths[0]] if all(t in columns for columns in tables.values())]
    first = {title: _join(title, tables) for title in shared}
    numeric = [title for title, column in first.items() if column.numbers is not None]
    if not targets:
        raise ConfigError(
            f"--targets is missing: name the columns of {paths[0]} to predict; it has the numbers "
            f"{', '.join(numeric) or 'none'}."
        )
    for title in (*targets, *([domain] if domain else [])):
        if title not in first:
            raise ConfigError(
                f"{paths[0]}: no column is called '{title}'; its columns are {', '.join(shared)}."
            )
    if wrong := [title for title in targets if title not in numeric]:
        raise ConfigError(f"--targets: the column '{wrong[0]}' holds words; name one of numbers.")
    problems: list[Problem] = []
    domains = _find_domains(first, tables, domain, targets)
    dataset = _describe(first, tables, numeric, targets, domains, problems)
    if written is not None:
        for file in dataset["files"]:
            file |= written.model_dump(exclude_defaults=True)
    settings = validate_settings(TableDatasetSettings, {"name": "seen"} | dataset, str(paths[0]))
    manifest, rejects = build_rows(
        [(f, read_table(f, settings, Path())) for f in settings.files], settings
    )
    columns = settings.features | settings.targets
    facts: dict[str, Any] = {
        "files": len(paths),
        "rows": f"{len(manifest)} usable, {len(rejects)} rejected",
        "columns": [
            f"{name} ({'predicted' if name in settings.targets else 'given'}): "
            f"{manifest[name].min():g} to {manifest[name].max():g} {column.unit}".rstrip()
            for name, column in columns.items()
        ],
        "materials": {str(k): int(v) for k, v in manifest["domain"].value_counts().items()},
        "damaged": [f"{r.path}, line {r.row}: {r.detail}" for r in rejects.itertuples()],
    }  # fmt: skip
    given = say_command("--table", paths, targets, domain, written)
    none = pd.DataFrame()
    return Seen(
        paths[0], given, dataset, NamedClasses(), manifest, rejects, None, none, facts, problems
    )


def _join(title: str, tables: Mapping[Path, Mapping[str, Column]]) -> Column:
    columns = [each[title] for each in tables.values()]
    numbers = [column.numbers for column in columns]
    known = [each for each in numbers if each is not None]
    joined = np.concatenate(known) if len(known) == len(numbers) else None
    return Column(title, [cell for column in columns for cell in column.cells], joined)


def _find_domains(
    columns: Mapping[str, Column],
    tables: Mapping[Path, Any],
    domain: str,
    targets: Sequence[str],
) -> tuple[str, dict[str, int]]:
    """Return the column that names materials ("" for none), and rows by name, most first."""
    words = [DOMAIN_COLUMN, *(t for t, c in columns.items() if c.numbers is None)]
    tried = [domain] if domain else list(dict.fromkeys(words))
    fits = {}
    for title in tried:
        if title not in columns or title in targets:
            continue
        counts = pd.Series([spell_domain(text) for text in columns[title].texts]).value_counts()
        if 2 <= len(counts) <= MOST_DOMAINS and counts.iloc[1] >= FEWEST_OF_OTHERS:
            fits[title] = {str(name): int(n) for name, n in counts.items()}
    likely = [title for title in fits if title in (domain, DOMAIN_COLUMN)]
    likely = likely or [title for title in fits if MATERIAL.search(title)]
    if len(likely) == 1:
        return likely[0], fits[likely[0]]
    if fits and not domain and (likely or len(tables) == 1):
        listed = ", ".join(f"'{title}'" for title in likely or fits)
        raise InputError(
            f"{next(iter(tables))}: it cannot be told whether {listed} names the material; add "
            f"--domain with the title of the column that does (such as --domain "
            f"'{next(iter(likely or fits))}')."
        )
    if domain:
        raise InputError(
            f"--domain: the column '{domain}' has "
            f"{count_of(len(set(columns[domain].texts)), 'value')}, but two to {MOST_DOMAINS} "
            f"with {FEWEST_OF_OTHERS} rows each are needed."
        )
    if len(tables) > 1:
        sizes: Counter[str] = Counter()
        for path, c in tables.items():
            sizes[spell_domain(path.stem)] += len(next(iter(c.values())).cells)
        return "", dict(sizes.most_common())
    raise InputError(
        f"{next(iter(tables))}: nothing tells rows of one material from those of another, and a "
        "study of rows asks what one teaches about the other; add a column of names (--domain), or "
        "give a table for each material."
    )


def _describe(
    columns: Mapping[str, Column],
    tables: Mapping[Path, Any],
    numeric: Sequence[str],
    targets: Sequence[str],
    domains: tuple[str, dict[str, int]],
    problems: list[Problem],
) -> dict[str, Any]:
    title_of_domain, counts = domains
    given: dict[str, Any] = {}
    asked: dict[str, Any] = {}
    for title in numeric:
        column = columns[title]
        assert column.numbers is not None
        known = column.numbers[np.isfinite(column.numbers)]
        if title == title_of_domain:
            continue
        if title not in targets and len(set(known.tolist())) < 2:
            problems.append(Problem(f"The column '{title}' has one value only and is left out."))
            continue
        if title not in targets and len(known) == len(set(known.tolist())) and _counts_up(known):
            problems.append(Problem(f"The column '{title}' numbers the rows and is left out."))
            continue
        name, unit = split_unit(title)
        name = number_name(name, {*given, *asked, *RESERVED_COLUMNS})
        own: dict[str, Any] = {"unit": unit} if unit else {}
        own |= {"header": title} if title != name else {}
        (asked if title in targets else given)[name] = own | {
            "range": list(find_range(known, unit))
        }
    if not given:
        raise InputError(f"{next(iter(tables))}: no column of numbers is left to predict from.")
    words = [t for t in columns if t not in numeric and t != title_of_domain and columns[t].texts]
    if words:
        listed = ", ".join(f"'{title}'" for title in words)
        problems.append(Problem(f"Columns of words are not used: {listed}."))
    source = next(iter(counts))
    paths = list(tables)
    dataset: dict[str, Any] = {"files": [{"path": name_path(path)} for path in paths]}
    if not title_of_domain:
        for file, stem in zip(dataset["files"], [path.stem for path in paths], strict=True):
            file["domain"] = spell_domain(stem)
    elif title_of_domain != DOMAIN_COLUMN:
        spelt: dict[str, list[str]] = {name: [] for name in counts}
        for text in dict.fromkeys(columns[title_of_domain].texts):
            spelt[spell_domain(text)].append(text)
        named: dict[str, list[str]] = {}
        for name, texts in spelt.items():  # names in settings have small letters and digits alone
            plain = re.sub(r"[^a-z0-9]+", "_", name).strip("_") or "material"
            named[number_name(plain, named)] = texts
        source = next(iter(named))
        dataset["domains"] = {n: {title_of_domain: {"values": t}} for n, t in named.items()}
    return dataset | {"source": source, "features": given, "targets": asked}


def _counts_up(values: np.ndarray) -> bool:
    return bool(len(values) > 2 and np.all(np.diff(values) == 1))
