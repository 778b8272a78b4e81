"""Which files of a data set are pictures, in an order that people expect."""

import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from batteryscope.errors import InputError
from batteryscope.manifest.folder import list_files
from batteryscope.readers.registry import SUFFIXES, is_picture_name

# Tables, notes and records that lie beside pictures; they are neither read nor reported.
COMPANION_SUFFIXES = (
    ".csv",
    ".dvc",
    ".json",
    ".md",
    ".parquet",
    ".tsv",
    ".txt",
    ".yaml",
    ".yml",
)
COMPANION_NAMES = ("desktop.ini", "thumbs.db")


@dataclass(frozen=True)
class FolderScan:
    """Files of a data set as POSIX paths relative to it, in natural order.

    ``images`` have a suffix that can be read, ``unsupported`` another one, and
    ``misnamed`` a name that is no valid UTF-8 (shown with escapes, for messages only).
    """

    images: tuple[str, ...]
    unsupported: tuple[str, ...] = ()
    misnamed: tuple[str, ...] = ()


def scan_images(root: Path) -> FolderScan:
    """List the pictures below a folder, following links and leaving out hidden files.

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
    images: list[str] = []
    unsupported: list[str] = []
    misnamed: list[str] = []
    for path in _walk(root):
        name = path.rpartition("/")[2]
        if not _is_utf8(path):
            misnamed.append(os.fsencode(path).decode("utf-8", "backslashreplace"))
        elif is_picture_name(name):
            images.append(path)
        elif not _is_companion(name):
            unsupported.append(path)
    if not images:
        others = (
            f" ({len(unsupported)} other files, such as {unsupported[0]})" if unsupported else ""
        )
        raise InputError(
            f"{root}: this folder holds no image that can be read{others}; "
            f"put files ending in {', '.join(SUFFIXES)} there."
        )
    return FolderScan(
        *(tuple(sorted(found, key=natural_key)) for found in (images, unsupported, misnamed))
    )


def natural_key(path: str) -> tuple[object, ...]:
    """Sort key of a POSIX path: folder by folder, numbers by value, ignoring case."""
    parts = unicodedata.normalize("NFC", path).casefold().split("/")
    # Digits sort before letters, as they do in a plain sort; the path itself breaks ties.
    pieces = tuple(
        tuple((0, int(p), "") if p.isdecimal() and p.isascii() else (1, 0, p) for p in _split(part))
        for part in parts
    )
    return (pieces, path)


def _split(part: str) -> list[str]:
    return [piece for piece in re.split(r"([0-9]+)", part) if piece]


def _walk(root: Path) -> list[str]:
    """List visible files; a folder that cannot be listed is an error."""

    def stop(error: OSError) -> None:
        raise InputError(
            f"{error.filename}: this folder cannot be read ({error.strerror}); "
            "check its permissions."
        ) from None

    return list_files(root, onerror=stop)


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_companion(name: str) -> bool:
    lower = name.lower()
    return lower.endswith(COMPANION_SUFFIXES) or lower in COMPANION_NAMES
