"""Numbers out of cells as people write them: the decimal sign is a property of a column."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from batteryscope.config.table_format import AUTO
from batteryscope.errors import InputError
from batteryscope.readers.number_text import (
    DecimalSign,
    is_grouped,
    is_unclear,
    list_meanings,
    proves_sign,
    read_decimal,
    tidy_number,
)
from batteryscope.readers.table_decisions import note_decimal_signs
from batteryscope.readers.table_sheets import FormulaWithoutResult, Percentage
from batteryscope.readers.table_text import Say

MISSING_WORDS = frozenset(
    ("", "-", "–", "—", "?", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "missing")
)
Cell = tuple[int, Any]  # its line, what is written in it
# So many proofs must there be for every one against before the latter count as slips.
STRONG_MAJORITY = 10


class NumberStyle(NamedTuple):
    """How a column writes numbers: its decimal sign; whether the other sign groups thousands."""

    decimal: DecimalSign = "."
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
    styles = _decide_styles(columns, stated, where, say)
    signs: dict[str, str] = {
        name: styles[name].decimal
        for name, cells in columns.items()
        if any(isinstance(cell, str) and not is_missing(cell) for _, cell in cells)
    }
    note_decimal_signs(where, signs)
    return styles


def _decide_styles(
    columns: Mapping[str, Sequence[Cell]], stated: str, where: Path | str, say: Say
) -> dict[str, NumberStyle]:
    if stated != AUTO:
        return dict.fromkeys(columns, NumberStyle("," if stated == "," else ".", grouped=True))
    styles: dict[str, NumberStyle] = {}
    unclear: dict[str, Cell] = {}
    for name, cells in columns.items():
        texts = [(line, tidy_number(cell)) for line, cell in cells if isinstance(cell, str)]
        proofs: dict[DecimalSign, list[Cell]] = {
            sign: [cell for cell in texts if proves_sign(cell[1], sign)] for sign in (".", ",")
        }
        rarer, sign = sorted(proofs, key=lambda sign: len(proofs[sign]))
        if len(proofs[rarer]) * STRONG_MAJORITY > len(proofs[sign]):
            (line, one), (other_line, other) = proofs[rarer][0], proofs[sign][0]
            raise InputError(
                f"{where}: the column '{name}' has '{one}' in line {line} and '{other}' in line "
                f"{other_line}; write all with one decimal sign, or state the one that "
                f"counts ({say('decimal', sign)}); rows with the other one are then left out."
            )
        doubtful = next((cell for cell in texts if is_unclear(cell[1])), None)
        if proofs[sign]:
            grouped = any(is_grouped(t, sign) and not is_unclear(t) for _, t in texts)
            styles[name] = NumberStyle(sign, grouped)
        elif doubtful:
            unclear[name] = doubtful
    signs = {style.decimal for style in styles.values()}
    for name, (line, text) in unclear.items():
        marks = {mark for _, cell in columns[name] if isinstance(cell, str)
                 for mark in ".," if is_unclear(tidy_number(cell)) and mark in cell}  # fmt: skip
        if len(signs) != 1 or marks != signs:
            meant = list_meanings(text)
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


def parse_number(cell: Any, decimal: DecimalSign, grouped: bool = False) -> float | None:
    """Read a finite number; None if the cell is something else.

    A number is its whole text: units, percent signs and signs of thousands in the wrong places
    make a cell something else, since a guess could be wrong by a factor of 1000.
    """
    if isinstance(cell, (bool, np.bool_)):
        return None
    if isinstance(cell, Real | Decimal):
        value = float(cell)
    else:
        read = read_decimal(tidy_number(str(cell)), decimal, grouped)
        if read is None:
            return None
        value = read
    return value if math.isfinite(value) else None


def explain_no_number(name: str, cell: Any, style: NumberStyle | None = None) -> str:
    """Say why :func:`parse_number` refuses a cell."""
    if isinstance(cell, FormulaWithoutResult):
        return (
            f"{name} is a formula without a stored result ({cell}); open and save the file in Excel"
        )
    if isinstance(cell, datetime | date | time | timedelta):
        return (
            f"{name} is '{cell}', a date or time (perhaps a number such as 1.5 that Excel took for "
            "one); write the number"
        )
    style = style or NumberStyle()
    words = f"{name} is '{cell}', not a number with a decimal '{style.decimal}'"
    grouped = isinstance(cell, str) and is_grouped(tidy_number(cell), style.decimal)
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
