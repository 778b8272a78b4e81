"""Which domain rows of a stranger's table belong to, by conditions of the study."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from batteryscope.config.table_data import DOMAIN_COLUMN, Condition
from batteryscope.errors import InputError
from batteryscope.readers.table_numbers import NumberStyle
from batteryscope.tables.build_rows import asks_numbers, meets_rule
from batteryscope.tables.bundle_record import TableBundleRecord
from batteryscope.tables.read_table import find_columns

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
