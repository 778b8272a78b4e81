"""Which files of a data set are pictures, in an order that people expect."""

import os
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from batteryscope.errors import InputError
from batteryscope.readers.folder import FolderContent, walk_folder
from batteryscope.readers.registry import SUFFIXES, is_picture_name

# Tables, notes and records that lie beside pictures; they are neither read nor reported.
COMPANION_SUFFIXES = (
    ".csv",
    ".dvc",
    ".hdr",
    ".ini",
    ".json",
    ".log",
    ".md",
    ".parquet",
    ".tsv",
    ".txt",
    ".xml",
    ".yaml",
    ".yml",
)


LOCKED = "this folder cannot be read; check its permissions"
_DIGITS = re.compile(r"([0-9]+)")


@dataclass(frozen=True)
class FolderScan:
    """Files of a data set as POSIX paths relative to it, in natural order.

    ``images`` have a suffix that can be read, ``unsupported`` another one, and
    ``misnamed`` a name that is no valid UTF-8 (shown with escapes, for messages only).
    ``special`` are neither files nor folders. ``foreign`` says of thumbnails, indices and links
    to what is listed already, by the first path of each kind, why they are left out. ``locked``
    are folders that cannot be listed.
    """

    images: tuple[str, ...]
    unsupported: tuple[str, ...] = ()
    misnamed: tuple[str, ...] = ()
    special: tuple[str, ...] = ()
    foreign: tuple[tuple[str, str], ...] = ()
    locked: tuple[str, ...] = ()


def scan_images(root: Path, skip_locked: bool = False) -> FolderScan:
    """List the pictures below a folder, following links and leaving out hidden files.

    Parameters
    ----------
    root
        The folder.
    skip_locked
        Whether a folder in it that cannot be listed costs itself alone, and is no error.

    Raises
    ------
    InputError
        The folder does not exist, is no folder, cannot be listed, or holds no picture.
    """
    if not root.exists():
        raise InputError(
            f"{root}: this data set folder does not exist; check the path, "
            "or fetch the data (dvc pull)."
        )
    if not root.is_dir():
        raise InputError(f"{root}: the data set is a file; name the folder that holds the images.")
    content = look_into(root, skip_locked=skip_locked)
    images: list[str] = []
    unsupported: list[str] = []
    misnamed: list[str] = []
    for path in content.files:
        name = path.rpartition("/")[2]
        if not _is_utf8(path):
            misnamed.append(show_name(path))
        elif is_picture_name(name):
            images.append(path)
        elif not is_companion(name):
            unsupported.append(path)
    if not images:
        others = (
            f" ({len(unsupported)} other files, such as {unsupported[0]})" if unsupported else ""
        )
        raise InputError(
            f"{root}: this folder holds no image that can be read{others}; "
            f"put files ending in {', '.join(SUFFIXES)} there."
        )
    special = [show_name(path) for path in content.special]
    return FolderScan(
        images=tuple(sorted(images, key=natural_key)),
        unsupported=tuple(sorted(unsupported, key=natural_key)),
        misnamed=tuple(sorted(misnamed, key=natural_key)),
        special=tuple(sorted(special, key=natural_key)),
        foreign=describe_foreign(content),
        locked=tuple(sorted(map(show_name, content.locked), key=natural_key)),
    )


def natural_key(path: str) -> tuple[object, ...]:
    """Sort key of a POSIX path: folder by folder, numbers by value, ignoring case."""
    folder, _, name = unicodedata.normalize("NFC", path).casefold().rpartition("/")
    pieces = (*_order_folder(folder), _order_name(name))
    return (pieces, path)


@lru_cache(maxsize=1000)  # many files lie in one folder
def _order_folder(folder: str) -> tuple[object, ...]:
    return tuple(_order_name(part) for part in folder.split("/")) if folder else ()


def _order_name(name: str) -> tuple[object, ...]:
    """Digits sort before letters, as they do in a plain sort; the path itself breaks ties."""
    return tuple(
        (0, int(piece), "") if piece.isdecimal() and piece.isascii() else (1, 0, piece)
        for piece in _DIGITS.split(name)
        if piece
    )


def look_into(
    root: Path, is_closed: Callable[[Path], bool] | None = None, skip_locked: bool = False
) -> FolderContent:
    """List what lies below a folder; a folder that cannot be listed is an error.

    With ``skip_locked`` only ``root`` itself is.

    Raises
    ------
    InputError
        Naming the folder.
    """

    def stop(folder: Path, error: OSError) -> None:
        if not skip_locked or folder == root:
            raise InputError(f"{folder}: {LOCKED} ({error.strerror}).") from None

    return walk_folder(root, stop, is_closed)


def describe_foreign(content: FolderContent) -> tuple[tuple[str, str], ...]:
    """Say of every kind of foreign file, by its first path, what it is and how many there are."""
    by_kind: dict[str, list[str]] = {}
    for path, words in content.foreign:
        by_kind.setdefault(f"holds {words}", []).append(path)
    for path in content.repeated:
        by_kind.setdefault("is a link to what is listed already", []).append(path)
    notes = []
    for words, paths in by_kind.items():
        paths.sort(key=natural_key)
        more = f", with {len(paths) - 1} more of this kind" if len(paths) > 1 else ""
        notes.append((show_name(paths[0]), f"{words}; it is left out{more}."))
    return tuple(sorted(notes))


def show_name(path: str) -> str:
    """Return a path that can be shown, with escapes where it is no valid UTF-8."""
    return path if _is_utf8(path) else os.fsencode(path).decode("utf-8", "backslashreplace")


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_companion(name: str) -> bool:
    """Tell whether a file is a table, a note or a record beside pictures."""
    return name.lower().endswith(COMPANION_SUFFIXES)
