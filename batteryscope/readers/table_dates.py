"""Dates out of cells as people write them: the order of day and month is that of a column."""

import re
from collections.abc import Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.config.table_format import AUTO
from batteryscope.errors import InputError
from batteryscope.readers.table_decisions import note_date_order
from batteryscope.readers.table_numbers import Cell
from batteryscope.readers.table_text import Say
from batteryscope.readers.written_values import EITHER_ORDER, parse_date_time


def find_date_order(
    name: str, cells: Sequence[Cell], stated: str, where: Path | str, say: Say
) -> bool:
    """Tell whether 03/04/2024 in this column is the third of April: day first.

    Only a date with a number above 12 proves the order of day and month.

    Parameters
    ----------
    name, cells
        The column: its title, lines and cells.
    stated
        ``day_first``, ``month_first`` or ``auto``.
    where
        The file, for messages.
    say
        How the user can state it.

    Raises
    ------
    InputError
        No date proves an order, or two prove different ones.
    """
    is_day_first = _decide_order(name, cells, stated, where, say)
    if any(isinstance(cell, str) and EITHER_ORDER.match(cell.strip()) for _, cell in cells):
        note_date_order(where, "day_first" if is_day_first else "month_first")
    return is_day_first


def _decide_order(
    name: str, cells: Sequence[Cell], stated: str, where: Path | str, say: Say
) -> bool:
    if stated != AUTO:
        return stated == "day_first"
    day_first: Cell | None = None
    month_first: Cell | None = None
    unclear: Cell | None = None
    for line, cell in cells:
        match = EITHER_ORDER.match(cell.strip()) if isinstance(cell, str) else None
        if match is None or match["first"] == match["second"]:
            continue
        if int(match["first"]) > 12:
            day_first = day_first or (line, cell)
        elif int(match["second"]) > 12:
            month_first = month_first or (line, cell)
        else:
            unclear = unclear or (line, cell)
    advice = f"{say('dates', 'day_first')} or {say('dates', 'month_first')}"
    if day_first and month_first:
        raise InputError(
            f"{where}: the column '{name}' has '{day_first[1]}' in line {day_first[0]}, day first, "
            f"and '{month_first[1]}' in line {month_first[0]}, month first; write all dates as "
            f"2024-05-31, or state the order that counts ({advice})."
        )
    if unclear and not day_first and not month_first:
        raise InputError(
            f"{where}: '{unclear[1]}' in line {unclear[0]} of the column '{name}' may have the day "
            f"or the month first, and no other date of the column tells; state it ({advice})."
        )
    return day_first is not None


def parse_date(cell: Any, day_first: bool) -> datetime | None:
    """Read date and time of day; None for anything else, also for a date alone."""
    if isinstance(cell, datetime):
        return None if pd.isna(cell) else pd.Timestamp(cell).tz_localize(None).to_pydatetime()
    if isinstance(cell, date):
        return datetime.combine(cell, time())
    text = re.sub(r"(?<=\d)T(?=\d)", " ", str(cell)).strip()
    match = EITHER_ORDER.match(text)
    if match is not None:
        day, month = match["first"], match["second"]
        if not day_first:
            day, month = month, day
        text = f"{match['year']}-{month}-{day}{text[match.end() :]}"
    return parse_date_time(text)
