"""Numbers, quantities and dates as microscopes write them into tags and text files."""

import math
import re
from datetime import datetime
from typing import Any, Literal

DateOrder = Literal["day_first", "month_first"]
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TIME = r"(?P<before>오전|오후|AM|PM)?\s*(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?"
_DATES = tuple(
    re.compile(date + r",?\s+" + _TIME + r"(?:\.\d+)?\s*(?P<after>오전|오후|AM|PM)?", re.IGNORECASE)
    for date in (
        r"(?P<year>\d{4})[-./](?P<month>\d{1,2})[-./](?P<day>\d{1,2})",  # 2019-12-03
        r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})",  # 13.06.2016
        r"(?P<day>\d{1,2}) (?P<month>[A-Za-z]{3})[a-z]* (?P<year>\d{4})",  # 23 Dec 2015
    )
)

# 03/04/2024: either may be the day. 03.04.2024 is day first everywhere.
EITHER_ORDER = re.compile(
    r"(?<!\d)(?P<first>\d{1,2})(?P<mark>[/-])(?P<second>\d{1,2})(?P=mark)(?P<year>\d{4})(?!\d)"
)

LENGTHS_UM = {"fm": 1e-9, "pm": 1e-6, "nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "mm": 1e3}
LENGTHS_UM |= {"cm": 1e4, "m": 1e6}
_NAMED_LENGTHS_UM = {
    "micron": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "nanometer": 1e-3,
    "nanometre": 1e-3,
    "picometer": 1e-6,
    "picometre": 1e-6,
    "millimeter": 1e3,
    "millimetre": 1e3,
    "centimeter": 1e4,
    "centimetre": 1e4,
    "meter": 1e6,
    "metre": 1e6,
    "inch": 25400.0,
    "inche": 25400.0,  # inches
    "in": 25400.0,
    "å": 1e-4,
    "angstrom": 1e-4,
    "ångström": 1e-4,
    "ft": 304800.0,
    "thou": 25.4,
    "mil": 25.4,
    "yd": 914400.0,
    "dm": 1e5,
}
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


def find_um_per_unit(unit: str) -> float | None:
    """Return how many µm a unit of length has, however programs spell it; None if unknown."""
    name = unit.strip().replace("\\u00B5", "µ").replace("\\u00b5", "µ")
    if name in LENGTHS_UM:
        return LENGTHS_UM[name]
    name = name.lower().rstrip(".")
    return _NAMED_LENGTHS_UM.get(name, _NAMED_LENGTHS_UM.get(name.removesuffix("s")))


def find_date_order(text: str) -> DateOrder | None:
    """Return the order of day and month that a date proves: ``13/06/2016`` is day first."""
    match = EITHER_ORDER.search(text)
    if match is None or (int(match["first"]) > 12) == (int(match["second"]) > 12):
        return None
    return "day_first" if int(match["first"]) > 12 else "month_first"


def has_unclear_order(text: str) -> bool:
    """Whether a text has a date of which either number may be the day: ``03/04/2024``."""
    match = EITHER_ORDER.search(text)
    if match is None or match["first"] == match["second"]:
        return False
    return int(match["first"]) <= 12 and int(match["second"]) <= 12


def parse_date_time(text: str, day_first: bool | None = None) -> datetime | None:
    """Read date and time of day, 24 h or 12 h with AM/PM or Korean 오전/오후.

    Known dates: ``2019-12-03``, ``06/13/2016``, ``13.06.2016``, ``23 Dec 2015``.
    ``오전 12:05:00`` (12 AM) is 00:05. None for anything else, and for ``03/04/2024`` unless
    ``day_first`` says how it is meant.
    """
    either = EITHER_ORDER.search(text)
    if either is not None:
        proved = find_date_order(text)
        if proved is None and day_first is None and has_unclear_order(text):
            return None
        is_day_first = day_first if proved is None else proved == "day_first"
        day, month = either["first"], either["second"]
        if not is_day_first:
            day, month = month, day
        text = f"{either['year']}-{month}-{day}{text[either.end() :]}"
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
