"""What can be said of a data set's folder without opening a file."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml


def list_files(root: Path, onerror: Callable[[OSError], None] | None = None) -> list[str]:
    """List the visible files below a folder as POSIX paths relative to it, in no order.

    Links are followed, but not back to a parent.

    Parameters
    ----------
    root
        The folder.
    onerror
        Is told of a folder that cannot be listed; without it, such a folder counts as empty.
    """
    found: list[str] = []
    for folder, subfolders, names in os.walk(root, onerror=onerror, followlinks=True):
        here = Path(folder).resolve()
        subfolders[:] = [
            name
            for name in subfolders
            if not name.startswith(".") and not here.is_relative_to((here / name).resolve())
        ]
        relative = Path(folder).relative_to(root)
        found.extend((relative / name).as_posix() for name in names if not name.startswith("."))
    return found


def fingerprint_folder(path: str | None) -> str:
    """Return a short hash over names, sizes and modification times of all files below a folder.

    It changes when an image is added, edited or deleted. Hidden files do not count.
    An empty string stands for no folder (generated data).
    """
    if path is None:
        return ""
    digest = hashlib.sha256()
    for name in sorted(list_files(Path(path))):
        try:
            status = os.stat(os.path.join(path, name))  # noqa: PTH116, PTH118 (half the time)
            state = f"{status.st_size}\0{status.st_mtime_ns}"
        except OSError:  # a link to nothing; ingestion lists it among the rejects
            state = "missing"
        digest.update(os.fsencode(f"{name}\0{state}\n"))
    return digest.hexdigest()[:16]


def find_data_version(path: str | None) -> str:
    """Return the MD5 by which DVC knows a data set, or "" if DVC does not know it."""
    if path is None:
        return ""
    pointer = Path(f"{path.rstrip('/')}.dvc")
    if not pointer.is_file():
        return ""
    outs = (yaml.safe_load(pointer.read_text(encoding="utf-8")) or {}).get("outs") or [{}]
    return str(outs[0].get("md5", ""))


def find_table_version(paths: Sequence[str]) -> str:
    """Return the MD5s by which DVC knows tables, or the folders that hold them, joined by ``+``.

    "" if there are no tables, or DVC does not know one of them.
    """
    versions = []
    for path in paths:
        above = [Path(path), *Path(path).parents]
        versions.append(next(filter(None, (find_data_version(p.as_posix()) for p in above)), ""))
    return "+".join(dict.fromkeys(versions)) if all(versions) else ""
