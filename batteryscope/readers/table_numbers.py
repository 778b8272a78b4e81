"""Numbers out of cells as people write them: the decimal sign is a property of a column."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal as ExactNumber
from numbers import Real
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from batteryscope.config.table_format import AUTO
from batteryscope.errors import InputError
from batteryscope.readers.table_sheets import FormulaWithoutResult, Percentage
from batteryscope.readers.table_text import Say

MISSING_WORDS = frozenset(
    ("", "-", "–", "—", "?", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "missing")
)
Decimal = Literal[".", ","]
Cell = tuple[int, Any]  # its line, what is written in it
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
# So many proofs must there be for every one against before the latter count as slips.
STRONG_MAJORITY = 10


class NumberStyle(NamedTuple):
    """How a column writes numbers: its decimal sign; whether the other sign groups thousands."""

    decimal: Decimal = "."
    grouped: bool = False


def is_missing(cell: Any) -> bool:
    """Whether a cell is empty or says that nothing is known."""
    if isinstance(cell, str):
        return cell.strip().casefold() in MISSING_WORDS
    return cell is None or (pd.api.types.is_scalar(cell) and bool(pd.isna(cell)))


def find_styles(
    columns: Mapping[str, Sequence[Cell]], stated: str, where: Path | str, say: Say
) -> dict[str, NumberStyle]:
    """Decide for every column of a table how its numbers are written.

    A cell such as ``0,5``, ``1234.5`` or ``1.234.567`` proves a decimal sign; ``1.025`` does not,
    since it may be a thousand and 25. A column without proof follows the others of the table if it
    uses their decimal sign. Thousands by ``.`` or ``,`` are only read where the decimal sign is
    stated, or where other cells of the column prove them.

    Parameters
    ----------
    columns
        Name → lines and cells; numbers that are no text tell nothing and need no decision.
    stated
        The decimal sign that the user states, or ``auto``.
    where
        The file, for messages.
    say
        How the user can state it.

    Raises
    ------
    InputError
        A column could be read in two ways, or holds both signs. The sentence says what to write.
    """
    if stated != AUTO:
        return dict.fromkeys(columns, NumberStyle("," if stated == "," else ".", grouped=True))
    styles: dict[str, NumberStyle] = {}
    unclear: dict[str, Cell] = {}
    for name, cells in columns.items():
        texts = [(line, _tidy(cell)) for line, cell in cells if isinstance(cell, str)]
        proofs: dict[Decimal, list[Cell]] = {
            sign: [cell for cell in texts if _proves(cell[1], sign)] for sign in (".", ",")
        }
        rarer, sign = sorted(proofs, key=lambda sign: len(proofs[sign]))
        if len(proofs[rarer]) * STRONG_MAJORITY > len(proofs[sign]):
            (line, one), (other_line, other) = proofs[rarer][0], proofs[sign][0]
            raise InputError(
                f"{where}: the column '{name}' has '{one}' in line {line} and '{other}' in line "
                f"{other_line}; write all with one decimal sign, or state the one that "
                f"counts ({say('decimal', sign)}); rows with the other one are then left out."
            )
        doubtful = next((cell for cell in texts if _UNCLEAR.fullmatch(cell[1])), None)
        if proofs[sign]:
            grouped = any(
                _GROUPED[sign].fullmatch(t) and not _UNCLEAR.fullmatch(t) for _, t in texts
            )
            styles[name] = NumberStyle(sign, grouped)
        elif doubtful:
            unclear[name] = doubtful
    signs = {style.decimal for style in styles.values()}
    for name, (line, text) in unclear.items():
        marks = {mark for _, cell in columns[name] if isinstance(cell, str)
                 for mark in ".," if _UNCLEAR.fullmatch(_tidy(cell)) and mark in cell}  # fmt: skip
        if len(signs) != 1 or marks != signs:
            mark = "." if "." in text else ","
            meant = {
                mark: text.replace(",", "."),
                "," if mark == "." else ".": re.sub("[.,]", "", text),
            }
            advice = ", ".join(
                f"{say('decimal', sign)} if it is {meant[sign]}" for sign in (".", ",")
            )
            raise InputError(
                f"{where}: '{text}' in line {line} of the column '{name}' may be {meant['.']} or "
                f"{meant[',']}, and no other number of the column tells; state the decimal sign "
                f"({advice})."
            )
    usual = NumberStyle(signs.pop() if len(signs) == 1 else ".")
    return {name: styles.get(name, usual) for name in columns}


def parse_number(cell: Any, decimal: Decimal, grouped: bool = False) -> float | None:
    """Read a finite number; None if the cell is something else.

    A number is its whole text: units, percent signs and signs of thousands in the wrong places
    make a cell something else, since a guess could be wrong by a factor of 1000.
    """
    if isinstance(cell, (bool, np.bool_)):
        return None
    if isinstance(cell, Real | ExactNumber):
        value = float(cell)
    else:
        text = _tidy(str(cell))
        other = "," if decimal == "." else "."
        if grouped and _GROUPED[decimal].fullmatch(text):
            text = text.replace(other, "")
        elif _SPACED[decimal].fullmatch(text):
            text = text.translate(_GAPS)
        elif not _PLAIN[decimal].fullmatch(text):
            return None
        value = float(text.replace(",", "."))
    return value if math.isfinite(value) else None


def explain_no_number(name: str, cell: Any, style: NumberStyle | None = None) -> str:
    """Say why :func:`parse_number` refuses a cell."""
    if isinstance(cell, FormulaWithoutResult):
        return (
            f"{name} is a formula without a stored result ({cell}); open and save the file in Excel"
        )
    style = style or NumberStyle()
    words = f"{name} is '{cell}', not a number with a decimal '{style.decimal}'"
    grouped = isinstance(cell, str) and _GROUPED[style.decimal].fullmatch(_tidy(cell))
    return f"{words} (thousands are read where the decimal sign is stated)" if grouped else words


def scale_number(value: float, scale: float) -> float:
    """Multiply, without the noise of binary fractions (0.58 × 100 is 58, not 57.999…)."""
    return value + 0.0 if scale == 1 else float(f"{value * scale:.12g}") + 0.0


def parse_measure(cell: Any, style: NumberStyle, scale: float, unit: str) -> float | None:
    """Read a number in the unit of its column: what the cell says times ``scale``.

    What Excel shows as 5 % is stored as 0.05; in a column in percent without a scale it is 5.
    """
    value = parse_number(cell, *style)
    if value is None:
        return None
    shown = isinstance(cell, Percentage) and scale == 1 and "%" in unit
    return scale_number(value, 100 if shown else scale)


def with_lines(lines: Iterable[int], cells: Iterable[Any]) -> list[Cell]:
    """Pair cells with their lines."""
    return list(zip(lines, cells, strict=True))


def _proves(text: str, sign: Decimal) -> bool:
    """Whether a text can only be a number with this decimal sign."""
    if _UNCLEAR.fullmatch(text):
        return False
    plain = sign in text and _PLAIN[sign].fullmatch(text) is not None
    spaced = sign in text and _SPACED[sign].fullmatch(text) is not None
    return plain or spaced or _GROUPED[sign].fullmatch(text) is not None


def _tidy(text: str) -> str:
    return text.strip().replace("\N{MINUS SIGN}", "-")
