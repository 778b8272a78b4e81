"""Answers of a published model about a table that somebody else made: one row per row."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.bundle.unlike import (
    ORIGIN_COLUMN,
    UNLIKE,
    describe_unlike,
    name_columns,
    name_origin,
)
from batteryscope.config.table_data import (
    DOMAIN_COLUMN,
    ColumnSettings,
    Condition,
    spell_domain,
)
from batteryscope.config.table_format import TableFormat
from batteryscope.errors import ConfigError, InputError
from batteryscope.readers.table_lines import name_option, read_table_lines
from batteryscope.readers.table_numbers import (
    NumberStyle,
    explain_no_number,
    find_styles,
    is_missing,
    parse_measure,
)
from batteryscope.tables.build_rows import asks_numbers, explain_range, meets_rule
from batteryscope.tables.bundle_record import FeatureRecord, TableBundleRecord
from batteryscope.tables.ensemble import TableEnsemble
from batteryscope.tables.intervals import find_outside_range
from batteryscope.tables.read_table import find_columns, loosen_title
from batteryscope.tables.row_familiarity import RowFamiliarity

DIGITS, ALL_DIGITS = 6, 15  # significant ones, and decimals that change none of them
MAX_LISTED_TITLES = 12
Rules = Mapping[str, Mapping[str, Condition]]


def list_rules(record: TableBundleRecord) -> Rules:
    """Return the conditions of every domain; nothing unless all domains have some."""
    rules = {domain.name: domain.conditions for domain in record.domains}
    return rules if all(rules.values()) else {}


def find_condition_columns(
    header: Sequence[str], rules: Rules, features: Mapping[str, str], path: Path
) -> dict[str, int]:
    """Find the columns that conditions ask for beside the features.

    Raises
    ------
    InputError
        One is missing: then nothing tells the domain.
    """
    asked = sorted({name for rule in rules.values() for name in rule} - set(features))
    try:
        return find_columns(header, {name: name for name in asked}, path)
    except InputError as error:
        raise InputError(
            f"{error} It tells which of the domains {', '.join(rules)} a row belongs to; --domain "
            f"or a column '{DOMAIN_COLUMN}' would tell it, too."
        ) from None


def list_number_columns(rules: Rules) -> list[str]:
    """Return the columns that conditions compare with numbers, each once."""
    named = [item for rule in rules.values() for item in rule.items()]
    return list(dict.fromkeys(name for name, condition in named if asks_numbers(condition)))


def tell_domain(
    values: Mapping[str, Any], rules: Rules, styles: Mapping[str, NumberStyle]
) -> tuple[str | None, str]:
    """Return the one domain whose conditions a row meets, or None and the reason.

    Parameters
    ----------
    values
        Features in their units, other cells as they are written.
    rules
        Conditions by domain and column.
    styles
        How the numbers of columns are written.
    """
    met = [domain for domain, rule in rules.items() if meets_rule(values, rule, styles)]
    if len(met) == 1:
        return met[0], ""
    found = f"those of {' and '.join(met)}" if met else f"those of none of {', '.join(rules)}"
    return None, f"unknown_domain: of the conditions that tell the domains it meets {found}"


def read_query(
    path: Path,
    record: TableBundleRecord,
    domain: str | None = None,
    written: TableFormat | None = None,
) -> pd.DataFrame:
    """Read a table of new rows and check each of them.

    Parameters
    ----------
    path
        CSV (any separator, decimal point or comma), Excel or parquet.
    record
        Features with their titles, and the domains.
    domain
        Domain of all rows; without it a column ``domain`` tells, or the conditions by which the
        study's own rows were told apart. With it, such a column must not say otherwise.
    written
        How the file is written; what is not stated is found in it.

    Returns
    -------
    DataFrame
        ``row`` (line in the file; the header is in line 1), ``domain``, the features in
        their units, and ``reason`` why a row cannot be used ("" if it can). A feature that
        could not be read is NaN.

    Raises
    ------
    InputError
        The file is unreadable or empty, lacks a feature, could be read in two ways, or
        nothing tells the domain, or two things that differ.
    ConfigError
        ``domain`` is none of the model's.
    """
    found = None if domain is None else find_domain(domain, record.domain_names)
    if domain is not None and found is None:
        raise ConfigError(
            f"--domain: the model does not know '{domain}'; it knows "
            f"{', '.join(record.domain_names)}."
        )
    written = written or TableFormat()
    header, lines, too_long = read_table_lines(path, written, name_option)
    if not lines:
        raise InputError(f"{path}: the table has a header but no rows; fill it.")
    titles = {f.name: _choose_title(header, f, path) for f in record.features}
    places = find_columns(header, titles, path)
    has_domains = loosen_title(DOMAIN_COLUMN) in {loosen_title(title) for title in header}
    rules = {} if domain is not None or has_domains else list_rules(record)
    if rules:
        places |= find_condition_columns(header, rules, titles, path)
    elif domain is None or has_domains:
        places |= _find_domain_column(header, record, path)
    cells = [
        {name: row[place] if place < len(row) else None for name, place in places.items()}
        for _, row in lines
    ]
    if domain is not None and has_domains:
        _check_same_domain(lines, cells, found, path)
    columns = {
        name: [(line, row[name]) for (line, _), row in zip(lines, cells, strict=True)]
        for name in [*titles, *list_number_columns(rules)]
    }
    styles = find_styles(columns, written.decimal, path, name_option)
    unknown = {feature.name: np.nan for feature in record.features}
    checked: list[dict[str, Any]] = []
    for (number, _), row in zip(lines, cells, strict=True):
        values, reason = _read_row(row, record, titles, styles)
        if rules:
            name, why = tell_domain(row | values, rules, styles)
            reason = reason or why
        elif domain is not None:
            name = found
        elif (name := find_domain(row["domain"], record.domain_names)) is None:
            shown = "empty" if is_missing(row["domain"]) else f"'{row['domain']}'"
            known = ", ".join(record.domain_names)
            reason = f"unknown_domain: domain is {shown}, the model knows {known}"
        checked.append({"row": number, "domain": name or "", **values, "reason": reason})
    for number, words in too_long.items():
        reason = f"too_many_cells: it {words}"
        checked.append({"row": number, "domain": found or "", **unknown, "reason": reason})
    return pd.DataFrame(checked).sort_values("row", ignore_index=True)


def predict_query(
    query: pd.DataFrame,
    record: TableBundleRecord,
    ensemble: TableEnsemble,
    familiarity: RowFamiliarity | None = None,
    answer_anyway: bool = False,
) -> pd.DataFrame:
    """Predict the rows of a query.

    Parameters
    ----------
    query
        From :func:`read_query`.
    record, ensemble
        The model.
    familiarity
        Tells which rows are unlike all that the model was trained on; without it none is.
    answer_anyway
        Whether these are answered all the same, with a note.

    Returns
    -------
    DataFrame
        One row per row of the query, in its order: ``row, domain``, the features, for every
        target ``<target>`` (mean of the networks), ``<target>_sd`` (over the networks),
        ``<target>_low, <target>_high`` (interval), then ``status`` (``ok``, ``rejected`` or
        ``unlike_training``), ``reason`` and ``note``, where it is known ``unlike_training`` (1 is
        the limit), ``nearest_training_row`` and ``unlike_reasons``, and ``trained_on``. Six
        significant digits.
    """
    features = [feature.name for feature in record.features]
    answer = query.drop(columns="reason").reset_index(drop=True)
    reason = query["reason"].reset_index(drop=True)
    for target in record.targets:
        for ending in ("", "_sd", "_low", "_high"):
            answer[target.name + ending] = np.nan
        for domain in record.domain_names:
            asked = (reason == "") & (answer["domain"] == domain)
            if asked.any():
                inputs = answer.loc[asked, features].to_numpy("float64")
                told = ensemble.predict(domain, target.name, inputs)
                answer.loc[asked, target.name] = told.mean
                answer.loc[asked, f"{target.name}_sd"] = told.sd
                answer.loc[asked, f"{target.name}_low"] = told.low
                answer.loc[asked, f"{target.name}_high"] = told.high
    answer["status"] = np.where(reason == "", "ok", "rejected")
    answer["reason"] = reason
    notes, outliers = [], []
    for place, row in enumerate(answer.to_dict("records")):
        outside = "" if row["reason"] else describe_outside(row, record)
        if outside:
            outliers.append(place)
            outside += "; intervals are unknown there"
        notes.append("; ".join(filter(None, [outside, *_name_impossible(row, record)])))
    answer["note"] = notes
    # Nothing was measured there, so no interval holds.
    ends = [target.name + end for target in record.targets for end in ("_low", "_high")]
    answer.loc[outliers, ends] = np.nan
    if familiarity is not None:
        _tell_unlike(answer, features, familiarity, answer_anyway)
    answer[ORIGIN_COLUMN] = name_origin(record.data, "rows")
    numbers = [c for c in answer.select_dtypes("float64").columns if c not in features]
    answer[numbers] = answer[numbers].map(lambda value: float(f"{value:.{DIGITS}g}"))
    return answer


def _tell_unlike(
    answer: pd.DataFrame, features: Sequence[str], familiarity: RowFamiliarity, anyway: bool
) -> None:
    """Add how unlike the training each row is, and take back the answers to those that are."""
    names = list(answer.columns)
    numbers = names[names.index(features[-1]) + 1 : names.index("status")]
    columns = list(name_columns("row"))
    answer[columns[0]], answer[columns[1]], answer[columns[2]] = np.nan, "", ""
    for domain in familiarity.references:
        asked = answer.index[(answer["status"] == "ok") & (answer["domain"] == domain)]
        if asked.empty:
            continue
        inputs = answer.loc[asked, list(features)].to_numpy("float64")
        told = pd.DataFrame(
            [
                describe_unlike(unlike, anyway, "row", ALL_DIGITS)
                for unlike in familiarity.judge(domain, inputs)
            ],
            index=asked,
        ).reindex(columns=[*columns, "status", "reason", "note"])
        answer.loc[asked, columns] = told[columns]
        noted = told["note"].dropna().astype("str")
        notes = answer.loc[noted.index, "note"]
        answer.loc[noted.index, "note"] = notes.where(notes == "", notes + "; ") + noted
        unlike = asked[told["status"] == UNLIKE]
        answer.loc[unlike, numbers] = np.nan
        answer.loc[unlike, ["status", "reason"]] = told.loc[unlike, ["status", "reason"]]


def describe_outside(row: Mapping[Hashable, Any], record: TableBundleRecord) -> str:
    """Name the features of one row (with its ``domain``) outside what its domain was trained on."""
    domain = next(d for d in record.domains if d.name == row["domain"])
    units = {feature.name: feature.unit for feature in record.features}
    phrases = []
    for name, value, low, high in find_outside_range(row, domain.ranges):
        unit = f" {units[name]}" if units[name] else ""
        known = f"always {low:g}{unit}" if low == high else f"{low:g} to {high:g}{unit}"
        phrases.append(f"{name} {value:g}{unit} is outside the training range ({known})")
    return "; ".join(phrases)


def _name_impossible(row: Mapping[Hashable, Any], record: TableBundleRecord) -> list[str]:
    """Name predictions of one row outside the target's plausible range."""
    phrases = []
    for target in record.targets:
        value = float(row[target.name])
        limits = target.plausible
        if limits and not (np.isnan(value) or limits[0] <= value <= limits[1]):
            unit = f" {target.unit}" if target.unit else ""
            phrases.append(
                f"the predicted {target.name} {value:.4g}{unit} is impossible "
                f"({limits[0]:g} to {limits[1]:g}{unit} is plausible)"
            )
    return phrases


def find_domain(cell: Any, known: Sequence[str]) -> str | None:
    """Find the domain that a cell means, whatever its case and word separators."""
    if is_missing(cell):
        return None
    name = spell_domain(str(cell))
    return name if name in known else None


def _read_row(
    cells: dict[str, Any],
    record: TableBundleRecord,
    titles: dict[str, str],
    styles: dict[str, NumberStyle],
) -> tuple[dict[str, float], str]:
    """Read the features of one row; the reason tells the first that is unusable."""
    values, reasons = {}, []
    for feature in record.features:
        cell, name = cells[feature.name], feature.name
        if is_missing(cell):
            values[name] = np.nan
            reasons.append(f"missing_value: {name} is empty")
            continue
        value = parse_measure(cell, styles[name], feature.titles[titles[name]], feature.unit)
        values[name] = np.nan if value is None else value
        if value is None:
            reasons.append(f"not_a_number: {explain_no_number(name, cell, styles[name])}")
            continue
        if (limits := feature.plausible) and not limits[0] <= values[name] <= limits[1]:
            column = ColumnSettings(unit=feature.unit, range=limits)
            reasons.append(f"out_of_range: {explain_range(name, values[name], column)}")
    return values, reasons[0] if reasons else ""


def _choose_title(header: Sequence[str], feature: FeatureRecord, path: Path) -> str:
    present = {loosen_title(title) for title in header}
    for title in feature.titles:
        if loosen_title(title) in present:
            return title
    expected = " or ".join(f"'{title}'" for title in feature.titles)
    shown = [f"'{title}'" for title in header if title]
    more = ", …" if len(shown) > MAX_LISTED_TITLES else ""
    raise InputError(
        f"{path}: the feature '{feature.name}' is missing; expected a column with the title "
        f"{expected}, found {', '.join(shown[:MAX_LISTED_TITLES])}{more}; add or rename it."
    )


def _find_domain_column(
    header: Sequence[str], record: TableBundleRecord, path: Path
) -> dict[str, int]:
    if loosen_title(DOMAIN_COLUMN) not in {loosen_title(title) for title in header}:
        raise InputError(
            f"{path}: nothing tells which domain the rows belong to; give --domain or add a column "
            f"'{DOMAIN_COLUMN}' with {', '.join(record.domain_names)}."
        )
    return find_columns(header, {"domain": DOMAIN_COLUMN}, path)


def _check_same_domain(
    lines: Sequence[tuple[int, Any]],
    cells: Sequence[dict[str, Any]],
    domain: str | None,
    path: Path,
) -> None:
    """Refuse a table whose column ``domain`` says something else than the command."""
    for (line, _), row in zip(lines, cells, strict=True):
        cell = row["domain"]
        if not is_missing(cell) and spell_domain(str(cell)) != domain:
            raise InputError(
                f"{path}: line {line} belongs to '{cell}', but --domain says '{domain}'; leave out "
                "--domain, or correct the column."
            )
