"""What is told while something works: messages, and how far it is."""

import logging
import sys
import traceback
from collections.abc import Iterable, Iterator
from typing import TypeVar

log = logging.getLogger("batteryscope")
T = TypeVar("T")


def show_progress(
    items: Iterable[T], description: str, total: int | None = None, unit: str = "it"
) -> Iterator[T]:
    """Iterate with a bar on a terminal, or with a plain line every 30 s elsewhere."""
    from tqdm import tqdm

    interactive = sys.stderr.isatty()
    yield from tqdm(
        items,
        desc=description,
        total=total,
        unit=unit,
        mininterval=0.1 if interactive else 30.0,
        delay=0.0 if interactive else 30.0,
        ascii=None if interactive else True,
        leave=False,
        dynamic_ncols=interactive,
    )


def note_traceback(error: BaseException) -> None:
    """Write the traceback of an error to the log file only; the terminal gets a sentence."""
    text = "".join(traceback.format_exception(error)).rstrip()
    for handler in log.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(log.makeRecord(log.name, logging.ERROR, "", 0, text, (), None))
