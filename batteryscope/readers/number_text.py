"""What a text says about the way in which numbers are written: one set of rules for all readers.

Tables decide over a column (:mod:`batteryscope.readers.table_numbers`), microscopes' tags and
text files over all pictures of an instrument (:mod:`batteryscope.readers.written_values`).
"""

import re
from typing import Literal

DecimalSign = Literal[".", ","]
# Digits are those of ASCII: others may run the other way.
_PLAIN = {
    sign: re.compile(rf"[+-]?([0-9]+{mark}?[0-9]*|{mark}[0-9]+)([eE][+-]?[0-9]+)?")
    for sign, mark in ((".", r"\."), (",", ","))
}
# Thousands by the other sign (only where that is sure), or by what never is a decimal sign.
_GROUPED = {
    sign: re.compile(rf"[+-]?[1-9][0-9]{{0,2}}({other}[0-9]{{3}})+({mark}[0-9]*)?")
    for sign, mark, other in ((".", r"\.", ","), (",", ",", r"\."))
}
_SPACED = {
    sign: re.compile(rf"[+-]?[1-9][0-9]{{0,2}}(?P<gap>[\u00a0\u202f\u2009'’])[0-9]{{3}}"
                     rf"((?P=gap)[0-9]{{3}})*({mark}[0-9]*)?")
    for sign, mark in ((".", r"\."), (",", ","))
}  # fmt: skip
_GAPS = str.maketrans("", "", "\u00a0\u202f\u2009'’")
# 1.025: one mark, and what stands around it could be thousands.
_UNCLEAR = re.compile(r"[+-]?[1-9][0-9]{0,2}[.,][0-9]{3}")


def tidy_number(text: str) -> str:
    """Drop blanks around a number and write its minus as ``-``."""
    return text.strip().replace("\N{MINUS SIGN}", "-")


def is_unclear(text: str) -> bool:
    """Whether a tidy text may be a number with either decimal sign: ``1.025``, ``10,000``."""
    return _UNCLEAR.fullmatch(text) is not None


def is_grouped(text: str, decimal: DecimalSign) -> bool:
    """Whether a tidy text has thousands separated by the other sign: ``1,234.5`` of ``.``."""
    return _GROUPED[decimal].fullmatch(text) is not None


def proves_sign(text: str, sign: DecimalSign) -> bool:
    """Whether a tidy text can only be a number with this decimal sign: ``0,5``, ``1.234.567``."""
    if is_unclear(text):
        return False
    plain = sign in text and _PLAIN[sign].fullmatch(text) is not None
    spaced = sign in text and _SPACED[sign].fullmatch(text) is not None
    return plain or spaced or is_grouped(text, sign)


def read_decimal(text: str, decimal: DecimalSign, grouped: bool = False) -> float | None:
    """Read a tidy text as a number with this decimal sign; None if it is something else.

    ``grouped`` accepts thousands separated by the other sign. Infinite for too many digits.
    """
    other = "," if decimal == "." else "."
    if grouped and is_grouped(text, decimal):
        text = text.replace(other, "")
    elif _SPACED[decimal].fullmatch(text):
        text = text.translate(_GAPS)
    elif not _PLAIN[decimal].fullmatch(text):
        return None
    return float(text.replace(",", "."))


def list_meanings(text: str) -> dict[DecimalSign, str]:
    """Return what an unclear text is with either decimal sign: ``1.025`` is 1.025 or 1025."""
    mark: DecimalSign = "." if "." in text else ","
    other: DecimalSign = "," if mark == "." else "."
    return {mark: text.replace(",", "."), other: re.sub("[.,]", "", text)}
