"""What the columns of a table hold: numbers or words, names, units, plausible ranges."""

import math
import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from batteryscope.config.table_format import TableFormat
from batteryscope.readers.table_lines import is_empty, name_option, read_table_lines
from batteryscope.readers.table_numbers import find_styles, parse_number, with_lines

NUMBER_SHARE = 0.9  # of the cells that are filled
LOG_FACTOR = 30  # values that differ by more are learnt by their logarithm
_UNITS = {
    "wt_percent": "wt%", "vol_percent": "vol%", "percent": "%", "um": "µm", "mm": "mm", "nm": "nm",
    "g_cm3": "g/cm³", "mg_cm2": "mg/cm²", "mah_g": "mAh/g", "ah_kg": "Ah/kg", "ah_l": "Ah/L",
    "m_min": "m/min", "mpa": "MPa", "kv": "kV", "ohm": "Ω", "min": "min", "h": "h", "v": "V",
}  # fmt: skip
_NUMBER = re.compile(r"[-+]?[0-9][0-9.,' ]*(?:[eE][-+]?[0-9]+)?")
_BRACKETS = re.compile(
    r"^(?P<name>.*?)\s*(?:\[(?P<a>[^\]]+)\]|\((?P<b>[^)]+)\)|\s/\s(?P<c>\S+))\s*$"
)


@dataclass(frozen=True)
class Column:
    """One column: its title, its cells as they are written, and as numbers where they are some."""

    title: str
    cells: list[Any]
    numbers: np.ndarray | None

    @property
    def texts(self) -> list[str]:
        """The cells that are filled, as text."""
        return [str(cell).strip() for cell in self.cells if not is_empty(cell)]


def read_columns(path: Path, written: TableFormat | None = None) -> dict[str, Column]:
    """Read a table column by column, by title; columns without a title are left out.

    Raises
    ------
    InputError
        The table cannot be read, or its numbers could be read in two ways.
    """
    written = written or TableFormat()
    titles, rows, _ = read_table_lines(path, written, name_option)
    lines = [number for number, _ in rows]
    cells = {
        title: [row[place] if place < len(row) else None for _, row in rows]
        for place, title in enumerate(titles)
        if title
    }
    numeric = {t: column for t, column in cells.items() if _looks_numeric(column)}
    styles = find_styles(
        {t: with_lines(lines, column) for t, column in numeric.items()},
        written.decimal, path, name_option,
    )  # fmt: skip
    found = {}
    for title, column in cells.items():
        numbers = None
        if title in numeric:
            style = styles[title]
            read = [parse_number(cell, style.decimal, style.grouped) for cell in column]
            numbers = np.array([np.nan if value is None else value for value in read], float)
            if np.isfinite(numbers).sum() < NUMBER_SHARE * sum(not is_empty(c) for c in column):
                numbers = None
        found[title] = Column(title, column, numbers)
    return found


def _looks_numeric(cells: list[Any]) -> bool:
    filled = [cell for cell in cells if not is_empty(cell)]
    alike = [
        not isinstance(cell, str) or bool(_NUMBER.fullmatch(cell.strip()))
        for cell in filled
    ]  # fmt: skip
    return bool(filled) and sum(alike) >= NUMBER_SHARE * len(alike)


def split_unit(title: str) -> tuple[str, str]:
    """Return a name for settings (``comma_gap_um``) and the unit that a title states ("" if none).

    Examples
    --------
    >>> split_unit("Comma gap (µm)"), split_unit("pore_percent")
    (('comma_gap', 'µm'), ('pore_percent', '%'))
    """
    bracketed = _BRACKETS.match(title)
    unit = next(filter(None, bracketed.group("a", "b", "c")), "") if bracketed else ""
    name = bracketed["name"] if bracketed else title
    name = re.sub(r"[^a-z0-9]+", "_", _spell(name)).strip("_")
    if not name[:1].isalpha():
        name = f"column_{name}".rstrip("_")
    if not unit:
        unit = next((u for end, u in _UNITS.items() if name.endswith(f"_{end}")), "")
    return name, unit


def _spell(text: str) -> str:
    """Write a title in Latin letters: ``σ (μm)`` as ``sigma (um)``, ``cm²`` as ``cm2``."""
    spelt = ""
    for letter in unicodedata.normalize("NFKD", text.casefold()):
        greek = re.match(r"GREEK SMALL LETTER (\w+)$", unicodedata.name(letter, ""))
        word = greek[1].casefold() if greek else letter
        spelt += "" if unicodedata.combining(letter) else {"mu": "u"}.get(word, word)
    return spelt


def find_range(numbers: np.ndarray, unit: str = "") -> tuple[float, float]:
    """Return a plausible range: what was seen, half of its width wider, without changing signs.

    Percentages up to 100 stay below 100.
    """
    known = numbers[np.isfinite(numbers)]
    low, high = float(known.min()), float(known.max())
    width = (high - low) / 2 or abs(high) / 2 or 1.0
    below = low - width if low < 0 or low - width > 0 else (low / 2 if low > 0 else 0.0)
    above = 100.0 if unit.endswith("%") and high <= 100 < high + width else high + width
    step = 10.0 ** (math.floor(math.log10(above - below)) - 2)  # three digits of the width
    rounded = math.floor(round(below / step, 6)) * step
    if below > 0 >= rounded:  # what is above 0 stays so
        rounded = min(float(f"{below:.3g}"), low)
    above = math.ceil(round(above / step, 6)) * step
    return float(f"{rounded:.12g}"), float(f"{above:.12g}")


def number_name(name: str, taken: Collection[str]) -> str:
    """Return a name that is free: ``gap_2`` where there is a gap already."""
    number = 2
    free = name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free


def spans_decades(numbers: np.ndarray) -> bool:
    """Whether positive values differ so much that their logarithm is better learnt."""
    known = numbers[np.isfinite(numbers)]
    return bool(len(known) and known.min() > 0 and known.max() / known.min() > LOG_FACTOR)
