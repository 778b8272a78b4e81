"""By what a picture is known without opening it, and pictures replaced behind our back."""

import json
import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from pydantic_core import from_json

from batteryscope.provenance import digest_file, digest_json

log = logging.getLogger("batteryscope")

# The coarsest clock of a file system (FAT). A file that changed so shortly before it was looked at
# may change once more without its times telling.
CLOCK_TICK_NS = 2_000_000_000
# Every run looks at each of its studies before its first job.
BUSY_AT_LOOK_SECONDS = 1.0


class FileState(NamedTuple):
    """By what a file is known without opening it; ``name`` is "" for the picture itself."""

    name: str
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class Replaced(NamedTuple):
    """Pictures that were replaced (POSIX paths relative to the root, sorted), and a mark.

    The mark is another one after each find, so that what depends on it is done anew: a digest of
    states and contents of all that the last find found, "" before the first.
    """

    paths: list[str]
    mark: str


def describe_state(called: str, folder: str, name: str) -> FileState:
    """Look at a file of a folder.

    Raises
    ------
    OSError
        It is not there, or cannot be looked at.
    """
    found = os.stat(f"{folder}/{name}")  # noqa: PTH116 (a third of the time)
    return FileState(called, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def is_settled(states: Sequence[FileState], now_ns: int) -> bool:
    """Whether the times of files would tell a change after ``now_ns``."""
    return max(max(state.mtime_ns, state.ctime_ns) for state in states) < now_ns - CLOCK_TICK_NS


def sum_up(path: str, asked: str, files: str, text: str, pictures: bytes) -> int:
    """Return the CRC-32 of a row: SQLite notices damage to its own pages only."""
    words = "\0".join((path, asked, files, text))
    return zlib.crc32(pictures, zlib.crc32(words.encode("utf-8", "surrogatepass")))


def find_replaced(
    cache: Path, root: Path, look: Callable[[str, str, str], FileState] = describe_state
) -> Replaced:
    """Find pictures that got another content, though neither size nor modification time tells.

    Only files are opened whose inode or change time is another one than at the last ingest, or
    that changed just before it; where the content is the same, the cache learns the new state.
    What size or modification time tell is not looked for: rules notice that themselves.

    Parameters
    ----------
    cache
        Of :class:`batteryscope.manifest.image_cache.ImageCache`; one that cannot be read knows
        nothing, and a warning says so. The mark of the last find lies beside it.
    root
        Folder of the data set.
    look
        What looks at a file; studies of the same pictures may share what was seen.
    """
    if not cache.is_file():
        return Replaced([], read_mark(cache))
    try:
        with closing(sqlite3.connect(cache, timeout=BUSY_AT_LOOK_SECONDS)) as database:
            rows = database.execute(
                "SELECT path, asked, files FROM record ORDER BY path, asked"
            ).fetchall()
    except sqlite3.Error as error:
        log.warning(
            "%s: cannot be read (%s): pictures that were replaced by others of the same size and "
            "date are not noticed; delete the file if this stays so.",
            cache,
            error,
        )
        return Replaced([], read_mark(cache))
    found, moved = _compare(rows, root, look)
    if moved:
        _renew(cache, moved)
    if not found:
        return Replaced([], read_mark(cache))
    # It says what was found, so it is the right one in this run even where it cannot be kept.
    mark = digest_json(found)[:16]
    try:
        partial = _locate_mark(cache).with_suffix(".partial")
        partial.write_text(mark, encoding="utf-8")
        partial.replace(_locate_mark(cache))
    except OSError as error:
        log.warning("%s; a later run may read the pictures once more.", error)
    return Replaced(sorted({path for path, *_ in found}), mark)


def read_mark(cache: Path) -> str:
    """Return the mark of the last find; a run with another one reads the data set again."""
    try:
        return _locate_mark(cache).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError:  # which is no reason to take that none was found
        return "unreadable"


def _locate_mark(cache: Path) -> Path:
    """A file of its own: the cache may be locked, or be removed where it is damaged."""
    return cache.with_suffix(".replaced")


def describe_replaced(study: str, replaced: Sequence[str]) -> str:
    """Return the line that tells of pictures that were replaced."""
    more = f" and {len(replaced) - 1} more" if len(replaced) > 1 else ""
    return (
        f"{study}: {replaced[0]}{more}: another picture, although size and date of the file are as "
        "they were; the data set is read again, unless it was since."
    )


def _compare(
    rows: Sequence[tuple[str, str, str]],
    root: Path,
    look: Callable[[str, str, str], FileState],
) -> tuple[list[tuple[str, list[FileState], list[str]]], list[tuple[str, str, str, str]]]:
    """Return replaced pictures as they are now, and rows whose files moved without a change."""
    now_ns = time.time_ns()
    replaced = []
    moved = []
    for path, asked, files in rows:
        place, _, name = path.rpartition("/")
        folder = os.path.join(root, place)  # noqa: PTH118
        try:
            known, digests, was_settled = from_json(files)
            states = [look(called, folder, called or name) for called, *_ in known]
            if was_settled and all(s == tuple(k) for s, k in zip(states, known, strict=True)):
                continue
            if any(tuple(s[:3]) != tuple(k[:3]) for s, k in zip(states, known, strict=True)):
                continue
            content = [digest_file(Path(folder, state.name or name)) for state in states]
        except OSError:
            continue
        except (ValueError, TypeError) as error:  # a damaged row hides no other picture
            log.debug("%s: %s", path, error)
            continue
        if content == digests:
            renewed = json.dumps([states, digests, is_settled(states, now_ns)])
            moved.append((path, asked, files, renewed))
        else:
            replaced.append((path, states, content))
    return replaced, moved


def _renew(cache: Path, moved: Sequence[tuple[str, str, str, str]]) -> None:
    """Tell the cache of new states; where that cannot be, contents are compared again."""
    try:
        with closing(sqlite3.connect(cache, timeout=BUSY_AT_LOOK_SECONDS)) as database, database:
            for path, asked, seen, files in moved:
                _renew_row(database, (path, asked), seen, files)
    except sqlite3.Error as error:
        log.debug("%s: %s", cache, error)


def _renew_row(
    transaction: sqlite3.Connection, key: tuple[str, str], seen: str, files: str
) -> None:
    """Change a row, unless it is damaged or an ingest has changed it since it was seen."""
    held = transaction.execute(
        "SELECT files, text, pictures, checksum FROM record WHERE path=? AND asked=?", key
    ).fetchone()
    if held is not None and held[0] == seen and held[3] == sum_up(*key, *held[:3]):
        checksum = sum_up(*key, files, *held[1:3])
        transaction.execute(
            "UPDATE record SET files=?, checksum=? WHERE path=? AND asked=?",
            (files, checksum, *key),
        )
