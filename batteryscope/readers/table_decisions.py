"""Collects how tables are written, as their readers decided it, for the summary of a data set."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple


class TableDecisions(NamedTuple):
    """Decimal signs by file and column, and orders of day and month by file."""

    decimal_signs: dict[str, dict[str, str]]
    date_orders: dict[str, str]


_collected: ContextVar[TableDecisions | None] = ContextVar("decisions on tables", default=None)


@contextmanager
def collect_decisions() -> Iterator[TableDecisions]:
    """Collect what is decided about the tables that are read inside."""
    decisions = TableDecisions({}, {})
    before = _collected.set(decisions)
    try:
        yield decisions
    finally:
        _collected.reset(before)


def note_decimal_signs(where: Path | str, signs: Mapping[str, str]) -> None:
    """Note the decimal sign of columns of a file, if anybody collects that."""
    if (decisions := _collected.get()) is not None and signs:
        decisions.decimal_signs.setdefault(str(where), {}).update(signs)


def note_date_order(where: Path | str, order: str) -> None:
    """Note the order of day and month of a file, if anybody collects that."""
    if (decisions := _collected.get()) is not None:
        decisions.date_orders[str(where)] = order


def simplify_signs(signs: Mapping[str, str]) -> str | dict[str, str]:
    """Return one sign if all columns have it, else one per column."""
    return next(iter(signs.values())) if len(set(signs.values())) == 1 else dict(signs)
