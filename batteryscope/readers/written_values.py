"""Numbers, quantities and dates as microscopes write them into tags and text files."""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")  # x10,000
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d{1,2}|[-+]?\d+,\d{4,}")  # 1,50
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
_MAGNIFICATION_MARKS = {"": 1.0, "k": 1e3, "m": 1e6}
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
    """Return the number that a text is: ``-169`` → -169.0, ``1,50`` → 1.5.

    None for anything else: ``20 kV``, and ``1,500``, which may be a thousand and a half or one and
    a half.
    """
    text = text.strip()
    if _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    return as_number(text) if _NUMBER.fullmatch(text) else None


def parse_quantity(text: str, units: Mapping[str, float]) -> float | None:
    """Convert ``5mm``, ``20 kV`` or ``14,8 mm`` by a table unit → factor.

    None unless the whole text is a number and a known unit.
    """
    number, unit = _split_unit(text)
    factor = units.get(unit)
    return None if number is None or factor is None else number * factor


def parse_magnification(text: str) -> float | None:
    """Convert ``x500``, ``500 X``, ``1.50 K X``, ``1,50 K X`` or ``x10,000`` to a plain number.

    None unless the whole text is a number with these marks.
    """
    text = text.strip().lstrip("xX× ")
    match = _GROUPED.match(text)
    if match and not text[match.end() :].strip().lower().startswith("k"):
        text = (
            match.group().replace(",", "") + text[match.end() :]
        )  # nothing is magnified 1.5 times
    number, marks = _split_unit(text)
    factor = _MAGNIFICATION_MARKS.get(re.sub(r"[\s×x]", "", marks.lower()))
    return None if number is None or factor is None else as_positive(number * factor)


def find_um_per_unit(unit: str) -> float | None:
    """Return how many µm a unit of length has, however programs spell it; None if unknown."""
    name = unit.strip().replace("\\u00B5", "µ").replace("\\u00b5", "µ")
    if name in LENGTHS_UM:
        return LENGTHS_UM[name]
    name = name.lower().rstrip(".")
    return _NAMED_LENGTHS_UM.get(name, _NAMED_LENGTHS_UM.get(name.removesuffix("s")))


def _split_unit(text: str) -> tuple[float | None, str]:
    """Split ``14.8 mm`` into its number (None if there is none in front) and its unit."""
    match = re.match(r"[-+]?[\d.,]+(?:[eE][-+]?\d+)?", text.strip())
    if match is None:
        return None, ""
    return parse_number(match.group()), text.strip()[match.end() :].strip()


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
