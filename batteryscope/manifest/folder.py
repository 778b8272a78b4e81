"""What can be said of a data set's folder without opening a file."""

import hashlib
import os
from pathlib import Path

import yaml


def fingerprint_folder(path: str | None) -> str:
    """Return a short hash over names, sizes and modification times of all files below a folder.

    It changes when an image is added, edited or deleted. Hidden files do not count.
    An empty string stands for no folder (generated data).
    """
    if path is None:
        return ""
    digest = hashlib.sha256()
    for folder, subfolders, files in os.walk(path, followlinks=True):
        subfolders[:] = sorted(s for s in subfolders if not s.startswith("."))
        for name in sorted(f for f in files if not f.startswith(".")):
            status = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118 (half the time)
            place = os.path.relpath(folder, path)
            digest.update(f"{place}/{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
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
