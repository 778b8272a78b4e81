"""Numbers, quantities and dates as microscopes write them into tags and text files."""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TIME = r"(?P<before>오전|오후|AM|PM)?\s*(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?"
_DATES = tuple(
    re.compile(date + r",?\s+" + _TIME + r"(?:\.\d+)?\s*(?P<after>오전|오후|AM|PM)?", re.IGNORECASE)
    for date in (
        r"(?P<year>\d{4})[-./](?P<month>\d{1,2})[-./](?P<day>\d{1,2})",  # 2019-12-03
        r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4})",  # 06/13/2016
        r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})",  # 13.06.2016
        r"(?P<day>\d{1,2}) (?P<month>[A-Za-z]{3})[a-z]* (?P<year>\d{4})",  # 23 Dec 2015
    )
)

LENGTHS_UM = {"fm": 1e-9, "pm": 1e-6, "nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "mm": 1e3}
LENGTHS_UM |= {"cm": 1e4, "m": 1e6}
LENGTHS_MM = {unit: value / 1e3 for unit, value in LENGTHS_UM.items()}
VOLTAGES_KV = {"V": 1e-3, "kV": 1.0, "KV": 1.0}


def as_number(value: Any) -> float | None:
    """Return a finite number, or None for anything else ("notafloat", "", a tuple)."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def as_positive(value: Any) -> float | None:
    """Return a finite number above zero, or None."""
    number = as_number(value)
    return number if number is not None and number > 0 else None


def parse_number(text: str) -> float | None:
    """Return the first number in a text: ``-169`` → -169.0, ``20 kV`` → 20.0."""
    match = _NUMBER.search(text)
    return as_number(match.group()) if match else None


def parse_quantity(text: str, units: Mapping[str, float]) -> float | None:
    """Convert ``5mm`` or ``20 kV`` by a table unit → factor; None without number or known unit."""
    match = _NUMBER.search(text)
    factor = units.get(text[match.end() :].strip()) if match else None
    return None if match is None or factor is None else float(match.group()) * factor


def parse_magnification(text: str) -> float | None:
    """Convert ``x500``, ``500 X``, ``1.50 K X`` or ``x10,000`` to a plain number."""
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    match = _NUMBER.search(text)
    if match is None:
        return None
    thousands = text[match.end() :].strip().upper().startswith("K")
    return as_positive(float(match.group()) * (1000 if thousands else 1))


def parse_date_time(text: str) -> datetime | None:
    """Read date and time of day, 24 h or 12 h with AM/PM or Korean 오전/오후.

    Known dates: ``2019-12-03``, ``06/13/2016`` (month first), ``13.06.2016``,
    ``23 Dec 2015``. ``오전 12:05:00`` (12 AM) is 00:05. None for anything else.
    """
    for pattern in _DATES:
        match = pattern.search(text)
        if match is None:
            continue
        month, hour = match["month"], int(match["hour"])
        half = (match["before"] or match["after"] or "").upper()
        if half and not 1 <= hour <= 12:
            half = ""  # written as 24 h all the same
        if half:
            hour = hour % 12 + (12 if half in ("PM", "오후") else 0)
        try:
            return datetime(  # naive on purpose: the files do not say the time zone
                int(match["year"]),
                _MONTHS.index(month.lower()) + 1 if month.isalpha() else int(month),
                int(match["day"]),
                hour,
                int(match["minute"]),
                int(match["second"] or 0),
            )
        except ValueError:
            return None
    return None
