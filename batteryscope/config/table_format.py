"""How a table file is written: its encoding, separator, decimal sign and dates."""

from typing import Final, Literal

from batteryscope.config.base import Settings

AUTO: Final = "auto"


class TableFormat(Settings):
    """How a table is written; everything that is ``auto`` is found in the file, or refused.

    ``encoding``: UTF-8, UTF-16 and UTF-32 are recognised, and what a western European Windows
    writes. ``separator`` is one character. ``decimal`` is the sign of decimals in text; the other
    one of ``.`` and ``,`` then separates thousands. ``sheet`` of Excel files: name, or number
    from 0.
    """

    encoding: str = AUTO
    separator: str = AUTO
    decimal: Literal["auto", ".", ","] = AUTO
    sheet: str | int = 0


class DatedTableFormat(TableFormat):
    """The same for tables with dates; ``dates``: how 03/04/2024 is meant."""

    dates: Literal["auto", "day_first", "month_first"] = AUTO


class MetadataFormat(Settings):
    """How microscopes' tags and text files write what could be read in two ways.

    ``decimal`` is the sign of decimals in ``10.000 X``, ``dates`` how 03/04/2024 is meant. What is
    ``auto`` is decided by what other values and pictures of the instrument prove, else left out.
    """

    decimal: Literal["auto", ".", ","] = AUTO
    dates: Literal["auto", "day_first", "month_first"] = AUTO
