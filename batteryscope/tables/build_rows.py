"""The table of rows: numbers in their units, a domain each, and the rest with reasons."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from batteryscope.config.table_data import (
    DOMAIN_COLUMN,
    DOMAIN_PATTERN,
    ColumnSettings,
    Condition,
    TableDatasetSettings,
    TableFile,
    spell_domain,
)
from batteryscope.errors import InputError
from batteryscope.provenance import digest_json
from batteryscope.readers.table_decisions import simplify_signs
from batteryscope.readers.table_lines import LostCell
from batteryscope.readers.table_numbers import (
    NumberStyle,
    explain_no_number,
    find_styles,
    is_missing,
    parse_measure,
    parse_number,
    scale_number,
    with_lines,
)
from batteryscope.readers.table_sheets import FormulaWithoutResult
from batteryscope.tables.read_table import say_file
from batteryscope.tables.row_schema import (
    ORIGIN_DTYPES,
    RowReject,
    as_row_reject_table,
    validate_rows,
)

# Fewer rows cannot be divided into training, validation and test parts that mean anything.
MIN_SOURCE_ROWS = 10
MIN_TARGET_ROWS = 6
ID_DIGITS = 16
# Steps between units that are mixed up: mm and µm, share and percent, mm and cm.
UNIT_FACTORS = (1000, 1 / 1000, 100, 1 / 100, 10, 1 / 10)


def build_rows(
    tables: Sequence[tuple[TableFile, pd.DataFrame]], settings: TableDatasetSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Turn tables as read into one table of usable rows.

    Parameters
    ----------
    tables
        Files and their cells, from :func:`batteryscope.tables.read_table.read_table`.
    settings
        Columns, domains and group.

    Returns
    -------
    manifest
        ``sample_id, path, row, domain, group``, then features and targets as float64 in
        their units; sorted by ``sample_id``, which is a hash of domain and numbers.
    rejects
        ``path, row, reason, detail`` in the order of the files.

    Raises
    ------
    InputError
        Nothing is left, a domain has too few rows to learn from, or a target never changes.
    """
    columns = settings.features | settings.targets
    rows: list[dict[str, Any]] = []
    named: set[str] = set()
    rejects: list[RowReject] = []
    first: dict[tuple[float, ...], dict[str, Any]] = {}  # a copy teaches in any domain
    for file, table in tables:
        styles = find_file_styles(file, table, settings)
        records = [dict(zip(table.columns, row, strict=True)) for row in table.to_numpy().tolist()]
        for line, cells in zip(table.index.tolist(), records, strict=True):
            found = _build_row(file, int(line), cells, settings, styles)
            if isinstance(found, RowReject):
                rejects.append(found)
                if not (file.domain or settings.domains):
                    named |= set(find_domains(cells, settings, styles))
            elif twin := first.get(numbers := tuple(found[name] for name in columns)):
                other = "" if twin["domain"] == found["domain"] else f" of domain {twin['domain']}"
                detail = f"the same numbers as {twin['path']}, line {twin['row']}{other}"
                rejects.append(RowReject(file.path, int(line), "duplicate_row", detail))
            else:
                first[numbers] = found
                rows.append(found)
    names = [*ORIGIN_DTYPES, *columns]
    manifest = pd.DataFrame(rows, columns=names).astype(
        ORIGIN_DTYPES | dict.fromkeys(columns, "float64")
    )
    stated = {file.domain for file, _ in tables if file.domain} | set(settings.domains) | named
    _check_enough_rows(manifest, rejects, settings, stated)
    _check_targets_vary(manifest, settings)
    manifest = manifest.sort_values("sample_id", ignore_index=True)
    return validate_rows(manifest, columns), as_row_reject_table(rejects)


def find_file_styles(
    file: TableFile, table: pd.DataFrame, settings: TableDatasetSettings
) -> dict[str, NumberStyle]:
    """Decide how every column that holds numbers is written, from all its rows.

    Raises
    ------
    InputError
        A column could be read in two ways.
    """
    asked = [*settings.features, *settings.targets]
    if not file.domain:
        for rule in settings.domains.values():
            asked += [name for name, condition in rule.items() if asks_numbers(condition)]
    lines = table.index.tolist()
    cells = {name: with_lines(lines, table[name].tolist()) for name in dict.fromkeys(asked)}
    return find_styles(cells, file.decimal, file.path, say_file(file))


def list_decimal_signs(
    tables: Sequence[tuple[TableFile, pd.DataFrame]], settings: TableDatasetSettings
) -> dict[str, str | dict[str, str]]:
    """Tell the decimal sign that was decided for every file with text: one, or one per column."""
    signs: dict[str, str | dict[str, str]] = {}
    for file, table in tables:
        found: dict[str, str] = {
            name: style.decimal
            for name, style in find_file_styles(file, table, settings).items()
            if any(isinstance(cell, str) and not is_missing(cell) for cell in table[name])
        }
        if found:
            signs[file.path] = simplify_signs(found)
    return signs


def find_constant_columns(manifest: pd.DataFrame, features: Sequence[str]) -> dict[str, list[str]]:
    """List per domain the features that never change there, so that nothing is learnt of them."""
    found = {
        str(domain): [name for name in features if rows[name].min() == rows[name].max()]
        for domain, rows in manifest.groupby("domain")
    }
    return {domain: names for domain, names in found.items() if names}


def _build_row(
    file: TableFile,
    line: int,
    cells: dict[str, Any],
    settings: TableDatasetSettings,
    styles: dict[str, NumberStyle],
) -> dict[str, Any] | RowReject:
    """Read one row, or say what is wrong with it first."""
    columns = settings.features | settings.targets
    for cell in cells.values():
        if isinstance(cell, LostCell):
            return RowReject(file.path, line, "too_many_cells", f"it {cell}")
    numbers: dict[str, float] = {}
    for name, column in columns.items():
        cell = cells[name]
        if is_missing(cell):
            return RowReject(file.path, line, "missing_value", f"{name} is empty")
        value = parse_measure(cell, styles[name], column.scale, column.unit)
        if value is None:
            detail = explain_no_number(name, cell, styles[name])
            return RowReject(file.path, line, "not_a_number", detail)
        numbers[name] = value
    for name, column in columns.items():
        if column.range and not column.range[0] <= numbers[name] <= column.range[1]:
            detail = explain_range(name, numbers[name], column)
            return RowReject(file.path, line, "out_of_range", detail)
    values = cells | numbers
    domains = [file.domain] if file.domain else find_domains(values, settings, styles)
    if len(domains) != 1:
        asked = sorted({name for rule in settings.domains.values() for name in rule})
        shown = ", ".join(f"{name} '{values[name]}'" for name in asked or [DOMAIN_COLUMN])
        detail = f"matches {' and '.join(domains) or 'no domain'} ({shown})"
        return RowReject(file.path, line, "unknown_domain", detail)
    group = "" if settings.group is None else _spell(values[settings.group])
    if settings.group is not None and isinstance(cells[settings.group], FormulaWithoutResult):
        detail = explain_no_number(settings.group, cells[settings.group], NumberStyle())
        return RowReject(file.path, line, "missing_value", detail)
    features = {name: numbers[name] for name in settings.features}
    targets = {name: numbers[name] for name in settings.targets}
    sample_id = digest_json([domains[0], features, targets])[:ID_DIGITS]
    origin = {"sample_id": sample_id, "path": file.path, "row": line}
    return origin | {"domain": domains[0], "group": group} | numbers


def find_domains(
    values: dict[str, Any],
    settings: TableDatasetSettings,
    styles: Mapping[str, NumberStyle],
) -> list[str]:
    """List the domains whose conditions a row meets; without conditions, the one it names.

    ``values`` holds numbers of the features and targets in their units, other cells as
    they are written.
    """
    if not settings.domains:
        name = spell_domain(_spell(values[DOMAIN_COLUMN]))
        return [name] if re.fullmatch(DOMAIN_PATTERN, name) else []
    return [domain for domain, rule in settings.domains.items() if meets_rule(values, rule, styles)]


def meets_rule(
    values: Mapping[str, Any], rule: Mapping[str, Condition], styles: Mapping[str, NumberStyle]
) -> bool:
    """Whether a row meets all conditions of a domain, by column."""
    return all(
        _meets(values[name], condition, styles.get(name, NumberStyle()))
        for name, condition in rule.items()
    )


def explain_range(name: str, value: float, column: ColumnSettings) -> str:
    """Say how far a value is off, and whether another unit would explain it."""
    assert column.range is not None
    low, high = column.range
    unit = f" {column.unit}" if column.unit else ""
    text = f"{name} is {value:g}{unit}, outside {low:g} to {high:g}{unit}"
    for factor in UNIT_FACTORS:
        other = scale_number(value, factor)
        if low <= other <= high:
            step = f"times {factor:g}" if factor > 1 else f"divided by {1 / factor:g}"
            return f"{text}; perhaps given in another unit ({step} it is {other:g}{unit})"
    return text


def asks_numbers(condition: Condition) -> bool:
    """Whether a condition compares numbers; names such as 1.025 need no decimal sign."""
    named = condition.values or []  # noqa: PD011 (a list, not a pandas object)
    limits = condition.min is not None or condition.max is not None
    return limits or any(not isinstance(value, str) for value in named)


def _meets(cell: Any, condition: Condition, style: NumberStyle) -> bool:
    number = None if is_missing(cell) else parse_number(cell, *style)
    allowed = condition.values  # noqa: PD011 (a list, not a pandas object)
    if allowed is not None:
        texts = {_spell(value).casefold() for value in allowed}
        wanted = [parse_number(value, ".") for value in allowed]
        same = number is not None and any(
            math.isclose(number, value, rel_tol=1e-9) for value in wanted if value is not None
        )
        if not same and _spell(cell).casefold() not in texts:
            return False
    if condition.min is None and condition.max is None:
        return True
    low = -math.inf if condition.min is None else condition.min
    high = math.inf if condition.max is None else condition.max
    return number is not None and low <= number <= high


def _spell(cell: Any) -> str:
    """Cell as text: 7.0 becomes "7", blanks and missing values "" (not "-" or "none")."""
    if cell is None or (pd.api.types.is_scalar(cell) and pd.isna(cell)):
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def _check_enough_rows(
    manifest: pd.DataFrame,
    rejects: Sequence[RowReject],
    settings: TableDatasetSettings,
    stated: set[str],
) -> None:
    """Refuse a domain that is named somewhere and has too few usable rows."""
    left_out = _describe_rejects(rejects)
    if manifest.empty:
        raise InputError(f"{settings.name}: no usable row is left{left_out}.")
    counts = Counter(manifest["domain"].tolist())
    targets = sorted((stated | set(counts)) - {settings.source})
    for domain in (settings.source, *targets):
        is_source = domain == settings.source
        needed = MIN_SOURCE_ROWS if is_source else MIN_TARGET_ROWS
        if counts[domain] >= needed:
            continue
        found = ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))
        raise InputError(
            f"{settings.name}: the {'source' if is_source else 'target'} domain '{domain}' has "
            f"{counts[domain] or 'no'} usable {'row' if counts[domain] == 1 else 'rows'}, but "
            f"{needed} are needed (rows per domain: {found}{left_out}); add rows, or correct "
            f"{'dataset.source or the conditions' if is_source else 'the conditions'} of "
            "dataset.domains."
        )


def _check_targets_vary(manifest: pd.DataFrame, settings: TableDatasetSettings) -> None:
    """Refuse a target with a single value in a domain: there is nothing to predict."""
    for domain, names in find_constant_columns(manifest, list(settings.targets)).items():
        value = manifest.loc[manifest["domain"] == domain, names[0]].iloc[0]
        raise InputError(
            f"{settings.name}: the target '{names[0]}' is {value:g} in all rows of '{domain}', so "
            "there is nothing to predict; correct the column, or leave it out of dataset.targets."
        )


def _describe_rejects(rejects: Sequence[RowReject]) -> str:
    if not rejects:
        return ""
    counts = Counter(reject.reason for reject in rejects)
    listed = ", ".join(f"{n} {reason}" for reason, n in counts.most_common())
    first = rejects[0]
    return f"; rejected: {listed}, first {first.path}, line {first.row}: {first.detail}"
