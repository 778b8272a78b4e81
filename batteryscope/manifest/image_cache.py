"""What was read of pictures before, so that an ingest reads only those that changed."""

import json
import logging
import os
import platform
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from pydantic import TypeAdapter
from pydantic_core import from_json

from batteryscope.manifest.inspect import ImageRecord
from batteryscope.manifest.picture_states import FileState, describe_state, is_settled, sum_up
from batteryscope.manifest.schema import Reject
from batteryscope.provenance import (
    PROJECT_ROOT,
    digest_file,
    digest_files,
    digest_json,
    find_imported_files,
)
from batteryscope.readers.text_sidecar import list_sidecar_names

log = logging.getLogger("batteryscope")

BUSY_AT_INGEST_SECONDS = 10.0  # without its cache an ingest decodes every picture
KEPT_AT_ONCE = 1000  # records; a kill loses as many at most

# Every run looks at all states (picture_states), so they have an index of their own.
_TABLES = """
CREATE TABLE IF NOT EXISTS basis (digest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS record (
    path TEXT NOT NULL, asked TEXT NOT NULL,
    files TEXT NOT NULL, text TEXT NOT NULL, pictures BLOB NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY (path, asked)
);
CREATE INDEX IF NOT EXISTS seen ON record (path, asked, files);
"""
_KEPT = "files, text, pictures, checksum"


class _Known(NamedTuple):
    """A record, and the picture and text files that it was read from."""

    states: list[FileState]
    digests: list[str]
    is_settled: bool
    record: ImageRecord


class ImageCache:
    """Records of pictures by path and state of their files: size, times and inode.

    Where the state is as it was, the record is taken as it is. Where it is another one, or a file
    changed within a tick of the clock before it was read, the SHA-256 of picture and text files
    beside it decides. Rejected pictures are read anew each time.

    A cache that is damaged, or was filled by other code, packages or settings, is emptied. It
    never stops an ingest: what cannot be kept is read again.

    Parameters
    ----------
    file
        SQLite database; it is made if there is none.
    root
        Folder of the data set.
    settings
        What decides how all pictures are read.
    """

    def __init__(self, file: Path, root: Path, settings: Mapping[str, Any]) -> None:
        self.file = file
        self.root = root
        self.n_taken = 0
        self._lock = threading.Lock()  # pictures are read in several threads
        self._beside: dict[str, tuple[str, dict[str, list[str]]]] = {}  # folder and its texts
        self._waiting: list[tuple[Any, ...]] = []
        self._asked: set[tuple[str, str]] = set()
        self._database: sqlite3.Connection | None = None
        self._open(digest_json([_name_code(), dict(settings)]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Keep what is not kept yet; after a complete ingest forget what nobody asked for."""
        with self._lock:
            self._write()
            if kind is None:
                self._forget_others()
            if self._database is not None:
                self._database.close()
                self._database = None

    def recall(self, asked: Mapping[str, str]) -> dict[str, ImageRecord]:
        """Return the records of pictures whose files are as they were, without opening them.

        One pass over all that is kept: a search for every picture takes three times as long.

        Parameters
        ----------
        asked
            What is asked of each picture beside the settings of all, by its POSIX path relative
            to the root.
        """
        recalled: dict[str, ImageRecord] = {}
        with self._lock:
            self._asked.update(asked.items())
            if self._database is None:
                return {}
            try:
                rows = self._database.execute(f"SELECT path, asked, {_KEPT} FROM record")
                for path, words, *row in rows:
                    known = _unpack_row(path, words, row) if asked.get(path) == words else None
                    if known and known.is_settled and known.states == self._look(path):
                        recalled[path] = known.record
            except sqlite3.Error as error:
                self._give_up(error)
        self.n_taken += len(recalled)
        return recalled

    def read(
        self, path: str, asked: str, inspect: Callable[[], ImageRecord | Reject]
    ) -> ImageRecord | Reject:
        """Return the old record if the content is the same; else ``inspect``, and keep its record.

        Parameters
        ----------
        path
            POSIX path relative to the root.
        asked
            What is asked of this picture beside the settings of all.
        inspect
            Reads the picture.
        """
        states = self._look(path)
        known = self._find(path, asked) if states else None
        if known is not None and known.is_settled and known.states == states:
            self.n_taken += 1
            return known.record
        answer: ImageRecord | Reject
        if known is not None and _digest_if(states, known, self.root / path) == known.digests:
            self.n_taken += 1
            answer, digests = known.record, known.digests
        else:
            answer = inspect()
            if not isinstance(answer, ImageRecord) or not states:
                # Else its old record has it found replaced in every run.
                with self._lock:
                    self._asked.discard((path, asked))
                return answer
            try:
                beside = [digest_file(_locate(self.root / path, s.name)) for s in states[1:]]
            except OSError:
                return answer
            digests = [answer.sha256, *beside]
        now = time.time_ns()
        if self._look(path) == states:  # otherwise somebody is writing to it
            self._keep(path, asked, _Known(states, digests, is_settled(states, now), answer))
        return answer

    def _look(self, path: str) -> list[FileState]:
        """States of a picture and of the text files beside it; none if one cannot be had."""
        place, _, name = path.rpartition("/")
        try:
            if place not in self._beside:
                folder = os.path.join(self.root, place)  # noqa: PTH118 (describe_state wants text)
                self._beside[place] = folder, _list_texts(folder)
            folder, texts = self._beside[place]
            beside: set[str] = set()
            for sidecar in list_sidecar_names(name) if texts else ():
                beside.update(texts.get(sidecar.casefold(), ()))
            states = [describe_state("", folder, name)]
            return states + [describe_state(text, folder, text) for text in sorted(beside)]
        except OSError:
            return []

    def _find(self, path: str, asked: str) -> _Known | None:
        """What is known of a picture, if it is undamaged."""
        with self._lock:
            self._asked.add((path, asked))
            if self._database is None:
                return None
            try:
                row = self._database.execute(
                    f"SELECT {_KEPT} FROM record WHERE path=? AND asked=?", (path, asked)
                ).fetchone()
            except sqlite3.Error as error:
                self._give_up(error)
                return None
        return None if row is None else _unpack_row(path, asked, row)

    def _keep(self, path: str, asked: str, known: _Known) -> None:
        if self._database is None:
            return
        files = json.dumps([known.states, known.digests, known.is_settled])
        text, pictures = _pack(known.record)
        checksum = sum_up(path, asked, files, text, pictures)
        with self._lock:
            self._waiting.append((path, asked, files, text, pictures, checksum))
            if len(self._waiting) >= KEPT_AT_ONCE:
                self._write()

    def _write(self) -> None:
        if self._database is None:
            return
        try:
            with self._database as transaction:
                transaction.executemany(
                    "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?)", self._waiting
                )
        except sqlite3.Error as error:
            self._give_up(error)
        self._waiting.clear()

    def _forget_others(self) -> None:
        if self._database is None:
            return
        try:
            kept = self._database.execute("SELECT path, asked FROM record").fetchall()
            gone = [key for key in kept if key not in self._asked]
            with self._database as transaction:
                transaction.executemany("DELETE FROM record WHERE path=? AND asked=?", gone)
        except sqlite3.Error as error:
            self._give_up(error)

    def _open(self, basis: str) -> None:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._database = self._connect()
            found = self._database.execute("SELECT digest FROM basis").fetchall()
            if found != [(basis,)]:
                with self._database as transaction:
                    transaction.executescript("DELETE FROM record; DELETE FROM basis;")
                    transaction.execute("INSERT INTO basis VALUES (?)", (basis,))
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(
            self.file, timeout=BUSY_AT_INGEST_SECONDS, check_same_thread=False
        )
        try:
            database.executescript(_TABLES)
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _give_up(self, error: Exception) -> None:
        """Go on without; a damaged database is removed, so that the next ingest makes another."""
        if self._database is not None:
            self._database.close()
            self._database = None
        self._waiting.clear()
        is_damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(
            error, sqlite3.OperationalError
        )
        if is_damaged:
            self.file.unlink(missing_ok=True)
        log.warning(
            "%s: what was read before cannot be used or kept (%s); %spictures are read anew.",
            self.file,
            error,
            "the damaged file is removed, " if is_damaged else "",
        )


@cache
def _name_code() -> list[Any]:
    """What reads and measures: our own code, installed packages with their versions, Python."""
    own = digest_files(find_imported_files(Path(__file__)), PROJECT_ROOT)
    packages = {
        entry.name
        for place in sys.path
        if Path(place).is_dir()
        for entry in Path(place).glob("*.dist-info")  # the name of this folder has the version
    }
    return [own, sorted(packages), platform.python_version(), platform.machine()]


def _list_texts(folder: str) -> dict[str, list[str]]:
    """Names of files that may belong to pictures, by their name in small letters."""
    suffixes = tuple({Path(name).suffix.casefold() for name in list_sidecar_names("a.b")})
    texts: dict[str, list[str]] = {}
    with os.scandir(folder) as listing:
        for entry in listing:
            small = entry.name.casefold()
            if small.endswith(suffixes):
                texts.setdefault(small, []).append(entry.name)
    return texts


def _unpack_row(path: str, asked: str, row: Sequence[Any]) -> _Known | None:
    """Make of the columns :data:`_KEPT` what is known of a picture, if they are undamaged."""
    files, text, pictures, checksum = row
    if checksum != sum_up(path, asked, files, text, pictures):
        return None
    states, digests, was_settled = from_json(files)
    record = _unpack(text, pictures)
    return _Known([FileState(*state) for state in states], digests, was_settled, record)


def _locate(picture: Path, beside: str) -> Path:
    return picture.with_name(beside) if beside else picture


def _digest_if(states: list[FileState], known: _Known, picture: Path) -> list[str]:
    """SHA-256 of picture and text files, if they are the same files; else none."""
    if [state.name for state in states] != [state.name for state in known.states]:
        return []
    try:
        return [digest_file(_locate(picture, state.name)) for state in states]
    except OSError:
        return []


# A record without what was measured, its numbers, and the lengths of its small pictures in bytes.
_Packed = tuple[ImageRecord, dict[str, Any], dict[str, int]]


@cache
def _packed_adapter() -> TypeAdapter[_Packed]:
    return TypeAdapter(_Packed)


def _pack(record: ImageRecord) -> tuple[str, bytes]:
    """Return a record as JSON text, and its small pictures one behind the other."""
    pictures = {name: v for name, v in record.measured.items() if isinstance(v, bytes)}
    numbers = {name: v for name, v in record.measured.items() if name not in pictures}
    lengths = {name: len(picture) for name, picture in pictures.items()}
    bare: _Packed = replace(record, measured={}), {}, {}
    values = _packed_adapter().dump_python(bare, mode="json")[0]
    return json.dumps([values, numbers, lengths]), b"".join(pictures.values())


def _unpack(text: str, pictures: bytes) -> ImageRecord:
    """Make a record of what :func:`_pack` returned."""
    record, numbers, lengths = _packed_adapter().validate_json(text)
    record.measured.update(numbers)
    start = 0
    for name, length in lengths.items():
        record.measured[name] = pictures[start : start + length]
        start += length
    return record
