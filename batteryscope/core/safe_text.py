"""Texts of strangers (names of files, labels, titles) made harmless for where they are shown."""

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# Controls other than tab and line end, marks that turn the direction of writing, and half
# characters, which stand for bytes of a file name that are no UTF-8.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")


def show_controls(text: str) -> str:
    r"""Write characters that command a terminal as their escapes.

    Examples
    --------
    >>> show_controls("a\x1b[2J.png")
    'a\\x1b[2J.png'
    """
    return _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


def first_line(error: Exception) -> str:
    """Return what an error of a library says, fit for the middle of a sentence."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def guard_cell(value: Any) -> Any:
    """Put ``'`` before a text that a spreadsheet would calculate; numbers and all else stay.

    Examples
    --------
    >>> guard_cell("=HYPERLINK(1)"), guard_cell("-5"), guard_cell("a=b")
    ("'=HYPERLINK(1)", '-5', 'a=b')
    """
    if not isinstance(value, str) or not value.startswith(_FORMULA_STARTS):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def guard_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Apply :func:`guard_cell` to all values of a row."""
    return {key: guard_cell(value) for key, value in row.items()}


def guard_table(table: "pd.DataFrame") -> "pd.DataFrame":
    """Apply :func:`guard_cell` to all texts of a table that is about to become a CSV file."""
    texts = [c for c in table.columns if table[c].dtype.kind not in "biufcmM"]
    return table.assign(**{c: table[c].map(guard_cell) for c in texts}) if texts else table


def guard_csv(content: bytes) -> bytes:
    r"""Apply :func:`guard_cell` to all cells of a CSV file, headings included.

    A file without such cells stays as it is, byte by byte.

    Examples
    --------
    >>> guard_csv(b"class,n\n=1+1,-2\n")
    b"class,n\n'=1+1,-2\n"
    """
    rows = list(csv.reader(io.StringIO(content.decode("utf-8"), newline="")))
    guarded = [[guard_cell(cell) for cell in row] for row in rows]
    if guarded == rows:
        return content
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(guarded)
    return text.getvalue().encode("utf-8")


def disarm_html(value: Any) -> Any:
    """Write ``<`` of what could be a tag in Markdown as ``&lt;``; ``p < 0.05`` stays.

    Examples
    --------
    >>> disarm_html("<script>1 < 2</script>")
    '&lt;script>1 < 2&lt;/script>'
    """
    return _TAG.sub("&lt;", value) if isinstance(value, str) else value


def fill_markdown(template: Path, **facts: Any) -> str:
    """Fill a Jinja template of Markdown, in which no text of a stranger can be a tag."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=disarm_html,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    return environment.from_string(template.read_text(encoding="utf-8")).render(facts)
