"""By what a picture is known without opening it, and pictures replaced behind our back."""

import json
import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from batteryscope.provenance import digest_file

log = logging.getLogger("batteryscope")

# The coarsest clock of a file system (FAT). A file that changed so shortly before it was looked at
# may change once more without its times telling.
CLOCK_TICK_NS = 2_000_000_000
BUSY_SECONDS = 1.0

_COUNT_ONE = """
CREATE TABLE IF NOT EXISTS find (number INTEGER PRIMARY KEY);
INSERT INTO find DEFAULT VALUES;
"""


class FileState(NamedTuple):
    """By what a file is known without opening it; ``name`` is "" for the picture itself."""

    name: str
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def describe_state(called: str, folder: str, name: str) -> FileState:
    """Look at a file of a folder.

    Raises
    ------
    OSError
        It is not there, or cannot be looked at.
    """
    found = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118 (a third of the time)
    return FileState(called, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def is_settled(states: Sequence[FileState], now_ns: int) -> bool:
    """Whether the times of files would tell a change after ``now_ns``."""
    return max(max(state.mtime_ns, state.ctime_ns) for state in states) < now_ns - CLOCK_TICK_NS


def sum_up(path: str, asked: str, files: str, text: str, pictures: bytes) -> int:
    """Return the CRC-32 of a row: SQLite notices damage to its own pages only."""
    words = "\0".join((path, asked, files, text))
    return zlib.crc32(pictures, zlib.crc32(words.encode("utf-8", "surrogatepass")))


def find_replaced(cache: Path, root: Path) -> list[str]:
    """Find pictures that got another content, though neither size nor modification time tells.

    Only files are opened whose inode or change time is another one than at the last ingest, or
    that changed just before it; where the content is the same, the cache learns the new state.
    What size or modification time tell is not looked for: rules notice that themselves.
    The cache counts how often pictures were found (:func:`count_finds`).

    Parameters
    ----------
    cache
        Of :class:`batteryscope.manifest.image_cache.ImageCache`; one that cannot be read knows
        nothing.
    root
        Folder of the data set.

    Returns
    -------
    list of str
        POSIX paths relative to the root, sorted.
    """
    if not cache.is_file():
        return []
    found: set[str] = set()
    try:
        with closing(sqlite3.connect(cache, timeout=BUSY_SECONDS)) as database:
            rows = database.execute("SELECT path, asked, files FROM record").fetchall()
            found, moved = _compare(rows, root)
            with database as transaction:
                if found:
                    transaction.executescript(_COUNT_ONE)
                for path, asked, files in moved:
                    _renew(transaction, path, asked, files)
    except (OSError, sqlite3.Error, ValueError, TypeError) as error:
        log.debug("%s: %s", cache, error)
    return sorted(found)


def count_finds(cache: Path) -> int:
    """Return how often replaced pictures were found: another number has the data set read again."""
    if not cache.is_file():
        return 0
    try:
        with closing(sqlite3.connect(cache, timeout=BUSY_SECONDS)) as database:
            return len(database.execute("SELECT number FROM find").fetchall())
    except sqlite3.Error:  # none yet, or damaged
        return 0


def describe_replaced(study: str, replaced: Sequence[str]) -> str:
    """Return the line that tells of pictures that were replaced."""
    more = f" and {len(replaced) - 1} more" if len(replaced) > 1 else ""
    return (
        f"{study}: {replaced[0]}{more}: another picture, although size and date of the file are as "
        "they were; the data set is read again."
    )


def _compare(
    rows: Sequence[tuple[str, str, str]], root: Path
) -> tuple[set[str], list[tuple[str, str, str]]]:
    """Return replaced pictures, and rows whose files are the same in another state."""
    now_ns = time.time_ns()
    replaced: set[str] = set()
    moved = []
    for path, asked, files in rows:
        known, digests, was_settled = json.loads(files)
        place, _, name = path.rpartition("/")
        folder = os.path.join(root, place)  # noqa: PTH118
        try:
            states = [describe_state(called, folder, called or name) for called, *_ in known]
            if was_settled and all(s == tuple(k) for s, k in zip(states, known, strict=True)):
                continue
            if any(tuple(s[:3]) != tuple(k[:3]) for s, k in zip(states, known, strict=True)):
                continue
            content = [digest_file(Path(folder, state.name or name)) for state in states]
        except OSError:
            continue
        if content == digests:
            moved.append((path, asked, json.dumps([states, digests, is_settled(states, now_ns)])))
        else:
            replaced.add(path)
    return replaced, moved


def _renew(transaction: sqlite3.Connection, path: str, asked: str, files: str) -> None:
    key = (path, asked)
    held = transaction.execute(
        "SELECT files, text, pictures, checksum FROM record WHERE path=? AND asked=?", key
    ).fetchone()
    if held is not None and held[3] == sum_up(*key, *held[:3]):
        checksum = sum_up(*key, files, *held[1:3])
        transaction.execute(
            "UPDATE record SET files=?, checksum=? WHERE path=? AND asked=?",
            (files, checksum, *key),
        )
