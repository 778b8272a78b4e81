"""Numbers out of cells as people write them."""

import math
import re
from collections.abc import Iterable
from numbers import Real
from typing import Any, Literal

import numpy as np
import pandas as pd

MISSING_WORDS = frozenset(
    ("", "-", "–", "—", "?", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "missing")
)
_DIGITS = r"[+-]?(\d+{0}?\d*|{0}\d+)([eE][+-]?\d+)?"
_PATTERNS = {".": re.compile(_DIGITS.format(r"\.")), ",": re.compile(_DIGITS.format(","))}
Decimal = Literal[".", ","]


def is_missing(cell: Any) -> bool:
    """Whether a cell is empty or says that nothing is known."""
    if isinstance(cell, str):
        return cell.strip().casefold() in MISSING_WORDS
    return cell is None or (pd.api.types.is_scalar(cell) and bool(pd.isna(cell)))


def find_decimal(cells: Iterable[Any]) -> Decimal:
    """Return the decimal sign that more of these cells are written with; a point in a tie."""
    texts = [_tidy(cell) for cell in cells if isinstance(cell, str)]
    commas = sum("," in text and _PATTERNS[","].fullmatch(text) is not None for text in texts)
    points = sum("." in text and _PATTERNS["."].fullmatch(text) is not None for text in texts)
    return "," if commas > points else "."


def parse_number(cell: Any, decimal: Decimal) -> float | None:
    """Read a finite number; None if the cell is something else.

    Separators of thousands, units and percent signs make a cell something else: a guess
    could be wrong by a factor of 1000.
    """
    if isinstance(cell, (bool, np.bool_)):
        return None
    if isinstance(cell, Real):
        value = float(cell)
    else:
        text = _tidy(str(cell))
        if not _PATTERNS[decimal].fullmatch(text):
            return None
        value = float(text.replace(",", "."))
    return value if math.isfinite(value) else None


def scale_number(value: float, scale: float) -> float:
    """Multiply, without the noise of binary fractions (0.58 × 100 is 58, not 57.999…)."""
    return value + 0.0 if scale == 1 else float(f"{value * scale:.12g}") + 0.0


def _tidy(text: str) -> str:
    return text.strip().replace("\N{MINUS SIGN}", "-")
