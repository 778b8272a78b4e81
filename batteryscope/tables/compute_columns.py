"""Columns that a file does not have but that follow from others in it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.config.table_data import TableFile
from batteryscope.errors import ConfigError
from batteryscope.readers.table_lines import Say
from batteryscope.readers.table_numbers import (
    NumberStyle,
    find_styles,
    parse_number,
    scale_number,
    with_lines,
)


def compute_columns(
    file: TableFile, header: Sequence[str], rows: Sequence[tuple[int, Sequence[Any]]], say: Say
) -> dict[str, list[float | None]]:
    """Compute the columns that ``formulas`` of a file asks for.

    Parameters
    ----------
    file
        Formulas by name: arithmetic on titles of the file, as pandas evaluates it; titles
        that are no plain words stand in backticks.
    header, rows
        Titles of the file; line and cells of its rows.
    say
        How the user can state a property of the file.

    Returns
    -------
    dict
        Name → one value per row; None where a cell is missing or the result is not finite.

    Raises
    ------
    ConfigError
        If a formula cannot be read, or names a column that the file does not have.
    InputError
        The decimal sign of a column that a formula names cannot be told.
    """
    if not file.formulas:
        return {}
    named = "\n".join(file.formulas.values())
    lines = [line for line, _ in rows]
    cells = {
        title: with_lines(lines, [row[place] if place < len(row) else None for _, row in rows])
        for place, title in enumerate(header)
        if title and header.count(title) == 1
    }
    asked = {title: column for title, column in cells.items() if title in named}
    styles = find_styles(asked, file.decimal, file.path, say)
    numbers: Mapping[str, list[float]] = {
        title: [_read(cell, styles.get(title, NumberStyle())) for _, cell in column]
        for title, column in cells.items()
    }
    table = pd.DataFrame(numbers, dtype="float64")
    computed = {}
    for name, formula in file.formulas.items():
        try:
            if not is_arithmetic(formula):
                raise ValueError("it is more than arithmetic")
            # No names but the file's titles.
            result = table.eval(formula, engine="python", local_dict={}, global_dict={})
            values = np.broadcast_to(np.asarray(result, dtype="float64"), len(table))
        except Exception as error:  # pandas, its tokenizer and its parser each raise their own
            problem = str(error).splitlines()[0] if str(error) else type(error).__name__
            titles = ", ".join(f"'{title}'" for title in numbers)
            raise ConfigError(
                f"{file.path}: formulas.{name}: '{formula}' cannot be computed ({problem}); use "
                f"arithmetic on the titles of the file, in backticks where they are no plain "
                f"words: {titles}."
            ) from None
        computed[name] = [scale_number(v, 1) if np.isfinite(v) else None for v in values.tolist()]
    return computed


def is_arithmetic(formula: str) -> bool:
    """Whether a formula only adds, subtracts, multiplies and divides: no calls, no attributes.

    Examples
    --------
    >>> is_arithmetic("100 - (100 - `X.NMC`) * 1.5e-2 / z")
    True
    >>> is_arithmetic("z.to_csv('file')")
    False
    """
    plain = re.sub(r"`[^`]*`", "x ", formula)
    names = re.search(r"[^\W\d]\w*\s*[(.]", re.sub(r"\b\d[\d.]*([eE][+-]?\d+)?", "0", plain))
    return not names and re.fullmatch(r"[\w\s.+\-*/()]*", plain) is not None


def _read(cell: Any, style: NumberStyle) -> float:
    number = parse_number(cell, *style) if cell is not None else None
    return float("nan") if number is None else number
