"""A table as the report's template wants it: columns, alignment, rows of text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class ShownTable:
    """A table for the template; ``marked`` rows are drawn bold, ``bars`` are shares per cell."""

    title: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: frozenset[int] = frozenset()
    bars: Mapping[tuple[int, int], float] | None = None


def show_table(
    frame: pd.DataFrame,
    title: str = "",
    text_columns: Sequence[str] = (),
    marked: Sequence[int] = (),
) -> ShownTable | None:
    """Turn a table of texts into a :class:`ShownTable`; None if it is empty.

    All columns but ``text_columns`` and the first are aligned as numbers.
    """
    if frame.empty:
        return None
    columns = tuple(str(column) for column in frame.columns)
    return ShownTable(
        title=title,
        columns=columns,
        numeric=tuple(i > 0 and c not in text_columns for i, c in enumerate(columns)),
        rows=tuple(tuple(str(v) for v in row) for row in frame.itertuples(index=False)),
        marked=frozenset(marked),
    )
