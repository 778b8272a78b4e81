"""Reading the values of a microscope's tags and text files, none of which is guessed.

``10.000 X`` is ten or ten thousand, ``03/04/2024`` in March or April. Other values of the same
file tell, or those of other pictures of the instrument, or the user; else the value is left out.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from batteryscope.readers.number_text import (
    DecimalSign,
    is_unclear,
    proves_sign,
    read_decimal,
    tidy_number,
)
from batteryscope.readers.picture import (
    UNKNOWN_STYLE,
    AcquisitionMetadata,
    WritingEvidence,
    WritingStyle,
)
from batteryscope.readers.written_values import (
    DateOrder,
    as_positive,
    find_date_order,
    has_unclear_order,
    parse_date_time,
)

_NUMBER = r"[-+\N{MINUS SIGN}]?[.,]?\d(?:[\d.,\u00a0\u202f\u2009'’]*\d)?[.,]?(?:[eE][-+]?\d+)?"
_QUANTITY = re.compile(rf"(?P<number>{_NUMBER})\s*(?P<unit>.*)", re.ASCII | re.DOTALL)
_UNIT = re.compile(r"[^\W\d_][\w/%°²³ ]{0,11}|%|°")
_EXPONENT = re.compile(r"\d[eE][-+]?\d")
_NO_QUANTITY = re.compile(r"version|software|firmware|build|serial|release", re.IGNORECASE)
_MAGNIFICATION_MARKS = {"": 1.0, "k": 1e3, "m": 1e6}
_PAIR = re.compile(r"\d{3,},\d{3,}")  # 1280,960
T = TypeVar("T")
_SIGNS: tuple[DecimalSign, DecimalSign] = (".", ",")


@dataclass
class ValueReader:
    """Reads the values of one source of metadata (a tag, a text file) in one style.

    Parameters
    ----------
    entries
        All that the source says, name → text: what proves a style, even where nothing is taken
        from it.
    style
        What was decided for the pictures of this instrument.
    """

    entries: Mapping[str, str]
    style: WritingStyle = UNKNOWN_STYLE
    _decimals: frozenset[DecimalSign] = field(init=False)
    _orders: frozenset[DateOrder] = field(init=False)
    _unclear: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        texts = [text for name, text in self.entries.items() if not _NO_QUANTITY.search(name)]
        self._decimals = _find_signs(texts)
        orders = {find_date_order(text) for text in texts}
        self._orders = frozenset(order for order in orders if order is not None)

    def number(self, name: str, text: str) -> float | None:
        """Read a text that is a number as a whole: ``-169``, ``1,50``; None for anything else.

        Parameters
        ----------
        name
            Field of :class:`AcquisitionMetadata` that it is for.
        text
            What is written.
        """
        tidy = tidy_number(text)
        sign = self._decimal
        if is_unclear(tidy):
            if sign is None:
                self._unclear.setdefault(name, text.strip())
                return None
        elif proved := [one for one in _SIGNS if proves_sign(tidy, one)]:
            sign = proved[0]
        value = read_decimal(tidy, sign or ".", grouped=True)
        return value if value is not None and math.isfinite(value) else None

    def positive(self, name: str, text: str) -> float | None:
        """The same, only above zero."""
        return as_positive(self.number(name, text))

    def quantity(self, name: str, text: str, units: Mapping[str, float]) -> float | None:
        """Convert ``5mm``, ``20 kV`` or ``14,8 mm`` by a table unit → factor.

        None unless the whole text is a number and a known unit.
        """
        match = _QUANTITY.fullmatch(text.strip())
        factor = units.get(match["unit"].strip()) if match else None
        if match is None or factor is None:
            return None
        number = self.number(name, match["number"])
        return None if number is None else number * factor

    def magnification(self, text: str) -> float | None:
        """Convert ``x500``, ``500 X``, ``1.50 K X``, ``1,50 K X`` or ``x10,000``.

        None unless the whole text is a number with these marks.
        """
        match = _QUANTITY.fullmatch(text.strip().lstrip("xX× "))
        if match is None:
            return None
        marks = re.sub(r"[\s×x]", "", match["unit"].lower())
        factor = _MAGNIFICATION_MARKS.get(marks)
        if factor is None:
            return None
        number = self.number("magnification", match["number"])
        if number is None and "magnification" in self._unclear:
            self._unclear["magnification"] = text.strip()
        return None if number is None else as_positive(number * factor)

    def date_time(self, text: str) -> datetime | None:
        """Read when the picture was taken; None for anything else."""
        order = self._date_order
        if order is None and has_unclear_order(text):
            self._unclear.setdefault("acquired_at", text.strip())
            return None
        return parse_date_time(text, None if order is None else order == "day_first")

    def finish(self, found: AcquisitionMetadata) -> AcquisitionMetadata:
        """Note in metadata what proves a style, and which of its values had to be left out."""
        unclear = {n: text for n, text in self._unclear.items() if getattr(found, n) is None}
        return replace(found, writing=WritingEvidence(self._decimals, self._orders, unclear))

    @property
    def _decimal(self) -> DecimalSign | None:
        return _choose(self._decimals, self.style.decimal, self.style.stated)

    @property
    def _date_order(self) -> DateOrder | None:
        return _choose(self._orders, self.style.dates, self.style.stated)


def _choose(proved: frozenset[T], decided: T | None, stated: bool) -> T | None:
    """The user's word, the file's own, that of the instrument; none of a file that contradicts."""
    if (stated and decided is not None) or not proved:
        return decided
    return next(iter(proved)) if len(proved) == 1 else None


def _find_signs(texts: Iterable[str]) -> frozenset[DecimalSign]:
    """Return the decimal signs that texts prove.

    A number with a unit or an exponent is a measurement; one without may be a pair or a version,
    and counts if there is no other.
    """
    strong: set[DecimalSign] = set()
    weak: set[DecimalSign] = set()
    for text in texts:
        match = _QUANTITY.fullmatch(text.strip().lstrip("xX× "))
        if match is None:
            continue
        number, unit = tidy_number(match["number"]), match["unit"].strip()
        if unit and not _UNIT.fullmatch(unit):
            continue
        proved = {sign for sign in _SIGNS if proves_sign(number, sign)}
        if unit or _EXPONENT.search(number):
            strong |= proved
        elif not _PAIR.fullmatch(number):
            weak |= proved
    return frozenset(strong or weak)
