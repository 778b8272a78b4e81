"""A table as the report's template wants it: columns, alignment, rows of text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

# Widths are told in em of the table's letters, for the widest of the fonts that a page may get.
LETTER_EM = 0.65
TABLE_REM = 0.92
PADDING_EM = 1.2
NUMBER_PADDING_EM = 1.9
BAR_EM = 6.0  # as in base.css.j2
MOST_ROWS = 500  # of a table in a page; files beside it have all
LONGEST_NUMBER = 36
SHORT_WORD = 6
LONGEST_WORD = 26  # longer ones, such as paths, are broken
COMFORTABLE, COMFORTABLE_FIRST = 12, 18  # letters in a line of text
WIDEST_REM = 56.0  # of a table on a usual screen; one that needs more has shorter lines of text
TABLE_STEPS = (12, 16, 20, 24, 28, 32, 36, 40, 45, 50, 56, 60, 66, 72, 84, 100, 130)


@dataclass(frozen=True)
class ShownTable:
    """A table for the template; ``marked`` rows are drawn bold, ``bars`` are shares per cell."""

    title: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: frozenset[int] = frozenset()
    bars: Mapping[tuple[int, int], float] | None = None

    @property
    def name(self) -> str:
        """What a screen reader calls the table."""
        return self.title or f"Table: {', '.join(filter(None, self.columns))}"

    @property
    def widths_em(self) -> tuple[float, ...]:
        """For every column the least width of its content, at which nothing is cut."""
        tried = [
            self._measure(*letters)
            for letters in ((COMFORTABLE, COMFORTABLE_FIRST), (0, COMFORTABLE_FIRST), (0, 0))
        ]
        return next((widths for widths in tried if self._add_up(widths) <= WIDEST_REM), tried[-1])

    @property
    def need(self) -> int:
        """The width in rem below which rows are set as lists, since columns would be cut."""
        wide = self._add_up(self.widths_em)
        return next((step for step in TABLE_STEPS if wide <= step), TABLE_STEPS[-1])

    def _measure(self, *comfortable: int) -> tuple[float, ...]:
        """The least widths in em, where lines of text have so many letters (others, first)."""
        barred = {column for _, column in self.bars or ()}
        letters = [self._count_letters(i, comfortable[i == 0]) for i in range(len(self.columns))]
        return tuple(
            round(max(LETTER_EM * n, BAR_EM if i in barred else 0), 2)
            for i, n in enumerate(letters)
        )

    def _add_up(self, widths_em: Sequence[float]) -> float:
        """The width in rem of the whole table."""
        paddings = [NUMBER_PADDING_EM if numeric else PADDING_EM for numeric in self.numeric]
        return TABLE_REM * (sum(widths_em) + sum(paddings))

    def _count_letters(self, column: int, comfortable: int) -> int:
        """Letters that stand in one line at least."""
        cells = [row[column] for row in self.rows]
        heading = max((len(word) for word in self.columns[column].split()), default=0)
        longest = max(map(len, cells), default=0)
        if self.numeric[column]:
            return max(heading, longest)
        if self.marked and longest <= SHORT_WORD:  # a unit: bold letters are wider
            return max(heading, longest) + 1
        word = max((len(w) for cell in cells for w in cell.split()), default=0)
        return max(min(max(heading, word), LONGEST_WORD), min(longest, comfortable))


def is_long(cell: str) -> bool:
    """Whether a cell holds a sentence, which may be broken, and no number."""
    return len(cell) > LONGEST_NUMBER


def show_table(
    frame: pd.DataFrame,
    title: str = "",
    text_columns: Sequence[str] = (),
    marked: Sequence[int] = (),
) -> ShownTable | None:
    """Turn a table of texts into a :class:`ShownTable`; None if it is empty.

    All columns but ``text_columns``, the first, and those with long texts are aligned as numbers.
    """
    if frame.empty:
        return None
    columns = tuple(str(column) for column in frame.columns)
    return ShownTable(
        title=title,
        columns=columns,
        numeric=tuple(
            i > 0 and c not in text_columns and not frame.iloc[:, i].astype(str).map(is_long).any()
            for i, c in enumerate(columns)
        ),
        rows=tuple(tuple(str(v) for v in row) for row in frame.itertuples(index=False)),
        marked=frozenset(marked),
    )
