"""Room on the disk: asked for before work starts, and recognised when it has run out."""

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from batteryscope.errors import DiskFullError, InputError

# Settings, logs and notes of a run need less; every result needs more.
LEAST_FREE_BYTES = 1_000_000
_FULL = (errno.ENOSPC, errno.EDQUOT)


def check_free_space(folder: Path) -> None:
    """Raise if there is hardly any room on the disk that holds a folder, or will hold it.

    Raises
    ------
    DiskFullError
        With the folder, the space that is left, and what to do.
    """
    if is_disk_full(folder):
        raise DiskFullError(explain_full_disk(folder))


def check_writable(folder: Path) -> None:
    """Raise if nothing can be written into a folder, or it cannot be made where it shall be.

    Raises
    ------
    InputError
        With the folder that refuses, and what to do.
    """
    place = _existing_folder(folder)
    if not os.access(place, os.W_OK):
        raise InputError(
            f"{place}: cannot be written, but results go to {folder.as_posix()}; change its "
            "permissions, or run a copy of the project in a folder of your own."
        )


def is_disk_full(folder: Path) -> bool:
    """Tell whether a disk is as good as full; the folder on it need not exist yet."""
    return _count_free_bytes(folder) < LEAST_FREE_BYTES


def explain_full_disk(place: Path) -> str:
    """Return the sentence for a disk without room, known by a file or folder on it."""
    return (
        f"No space is left on the disk that holds {_existing_folder(place)}; "
        "free some space and run again, finished work is kept."
    )


def find_full_disk(error: BaseException, paths: Sequence[Path]) -> str | None:
    """Return the sentence for an error that comes from a full disk; None for all others.

    Libraries do not agree on how they report this: besides the operating system's own
    error number there are other types of exceptions, some with its text and some
    without. Hence an error counts as well if it comes while a disk is full.

    Parameters
    ----------
    error
        What was raised.
    paths
        Files and folders that the program deals with. If the error names no place, the
        fullest of their disks is meant; a program may have tidied up before this is asked.
    """
    fullest = min(reversed(paths or [Path()]), key=_count_free_bytes)
    for link in _chain(error):
        if isinstance(link, OSError) and link.errno in _FULL:
            # Of a copy from one disk to another both are named.
            named = [Path(n) for n in (link.filename2, link.filename) if isinstance(n, str)]
            return explain_full_disk(min(named or [fullest], key=_count_free_bytes))
        if "No space left on device" in str(link) or "disk is full" in str(link):
            return explain_full_disk(fullest)
    return explain_full_disk(fullest) if is_disk_full(fullest) else None


def _count_free_bytes(path: Path) -> int:
    return shutil.disk_usage(_existing_folder(path)).free


def _existing_folder(path: Path) -> Path:
    """The folder itself, or the nearest one above that is there."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what caused it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
