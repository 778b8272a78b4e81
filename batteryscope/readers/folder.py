"""What can be said of a data set's folder without opening a file."""

import hashlib
import os
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from batteryscope.errors import InputError

DVC_MD5 = re.compile(r"[0-9a-f]+(\.dir)?")

# Thumbnails, indices and bins of operating systems and network storages; folders end in "/".
FOREIGN_NAMES = {
    "thumbs.db": "thumbnails of Windows",
    "ehthumbs.db": "thumbnails of Windows",
    "desktop.ini": "folder settings of Windows",
    "system volume information/": "an index of Windows",
    "$recycle.bin/": "a recycle bin of Windows",
    ".ds_store": "folder settings of macOS",
    "icon\r": "folder settings of macOS",
    "__macosx/": "attributes of macOS from an archive",
    "@eadir/": "thumbnails of a Synology storage",
    "#recycle/": "a recycle bin of a Synology storage",
    "#snapshot/": "snapshots of a Synology storage",
    "@recycle/": "a recycle bin of a QNAP storage",
    "@recently-snapshot/": "snapshots of a QNAP storage",
    ".@__thumb/": "thumbnails of a QNAP storage",
    ".thumbnails/": "thumbnails of Linux",
    "lost+found/": "what a file system check found",
    "dicomdir": "a list of DICOM files, no slice",
}
_APPLE_DOUBLE = "attributes of macOS beside a file"


@dataclass
class FolderContent:
    """What lies below a folder, as POSIX paths relative to it, in no order.

    Attributes
    ----------
    files
        Visible regular files, each real one once, and links to nothing.
    foreign
        Path of a thumbnail or index of a system or storage, and what it is.
    special
        What is neither file nor folder, such as a fifo; reading one could take for ever.
    repeated
        Links to what is listed under its own name, or by another link.
    closed
        Folders that were not looked into, since ``is_closed`` said so.
    locked
        Folders below the first that could not be listed.
    """

    files: list[str] = field(default_factory=list)
    foreign: list[tuple[str, str]] = field(default_factory=list)
    special: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)


def name_foreign(name: str, is_folder: bool = False) -> str:
    """Say what a file or folder of a system or storage is; "" for anything else."""
    if name.startswith("._"):
        return _APPLE_DOUBLE
    return FOREIGN_NAMES.get(name.lower() + ("/" if is_folder else ""), "")


def walk_folder(
    root: Path,
    onerror: Callable[[Path, OSError], None] | None = None,
    is_closed: Callable[[Path], bool] | None = None,
) -> FolderContent:
    """List what lies below a folder. Links are followed, but every real folder is listed once.

    Real folders go before links to them, so that a file has its own name. Of links to one file
    outside, the first in each folder counts.

    Parameters
    ----------
    root
        The folder.
    onerror
        Is told of a folder that cannot be listed, and why; without it, such a folder counts as
        empty. The error may name a file in it that could not be looked for.
    is_closed
        Tells a folder that is not looked into, such as a zarr store.
    """
    found = FolderContent()
    waiting = deque([("", False)])  # path, whether it is a link
    linked_folders: list[str] = []
    linked_files: list[str] = []
    seen: set[tuple[int, int]] = set()
    real_files: set[str] = set()  # below the folder itself, where links to them are second names
    real_root = os.path.realpath(root)
    while waiting or linked_folders:
        place, is_link = waiting.popleft() if waiting else (linked_folders.pop(0), True)
        folder = os.path.join(root, place)  # noqa: PTH118 (half the time)
        try:
            status = os.stat(folder)  # noqa: PTH116
            real = os.path.realpath(folder)
            above = os.path.realpath(os.path.dirname(folder))  # noqa: PTH120
            if (status.st_dev, status.st_ino) in seen or (is_link and _holds(real, above)):
                found.repeated.append(place)
                continue
            seen.add((status.st_dev, status.st_ino))
            if is_closed is not None and is_closed(Path(folder)):
                found.closed.append(place or ".")
                continue
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            if onerror is not None:
                onerror(Path(folder), error)
            if place:
                found.locked.append(place)
            continue
        below, real_below = f"{place}/" if place else "", os.path.join(real, "")  # noqa: PTH118
        is_own = _holds(real_root, real)
        for entry in entries:
            path = below + entry.name
            is_folder = _is_folder(entry)
            if words := name_foreign(entry.name, is_folder):
                found.foreign.append((path, words))
            elif entry.name.startswith("."):
                continue
            elif is_folder and entry.is_symlink():
                linked_folders.append(path)
            elif is_folder:
                waiting.append((path, False))
            elif entry.is_symlink():
                linked_files.append(path)
            elif entry.is_file():
                found.files.append(path)
                if is_own:
                    real_files.add(real_below + entry.name)
            else:
                found.special.append(path)
    outside: set[tuple[str, str]] = set()
    for path in sorted(linked_files):
        link = os.path.join(root, path)  # noqa: PTH118
        real = os.path.realpath(link)
        # In two folders it may have two labels, which only a comparison of contents can tell.
        place_and_file = (os.path.dirname(path), real)  # noqa: PTH120
        if real in real_files or place_and_file in outside:
            found.repeated.append(path)
        elif os.path.isfile(link) or not os.path.exists(link):  # noqa: PTH110, PTH113
            found.files.append(path)
            outside.add(place_and_file)
        else:
            found.special.append(path)
    return found


def list_files(root: Path) -> list[str]:
    """List the files of :func:`walk_folder`: visible, regular, each real one once."""
    return walk_folder(root).files


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links that lead to each other; they count as links to nothing
        return False


def _holds(folder: str, inside: str) -> bool:
    """Whether a folder is another one or one of its parents."""
    return inside == folder or inside.startswith(folder.rstrip("/") + "/")


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
            status = os.stat(f"{path}/{name}")  # noqa: PTH116 (half the time)
            state = f"{status.st_size}\0{status.st_mtime_ns}"
        except OSError:  # a link to nothing; ingestion lists it among the rejects
            state = "missing"
        digest.update(os.fsencode(f"{name}\0{state}\n"))
    return digest.hexdigest()[:16]


def find_data_version(path: str | None) -> str:
    """Return the MD5 by which DVC knows a data set, or "" if DVC does not know it.

    Raises
    ------
    InputError
        If the file beside the data set holds no such number.
    """
    if path is None:
        return ""
    pointer = Path(f"{path.rstrip('/')}.dvc")
    if not pointer.is_file():
        return ""
    try:
        written = yaml.safe_load(pointer.read_text(encoding="utf-8")) or {}
        version = str((written.get("outs") or [{}])[0].get("md5") or "")
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError, LookupError):
        raise InputError(f"{pointer}: not a file of DVC; renew it with: dvc add {path}") from None
    if version and not DVC_MD5.fullmatch(version):
        raise InputError(
            f"{pointer}: md5 holds {version[:60]!r}; expected hexadecimal digits, with .dir after "
            f"those of a folder; renew it with: dvc add {path}"
        )
    return version


def find_table_version(paths: Sequence[str]) -> str:
    """Return the MD5s by which DVC knows tables, or the folders that hold them, joined by ``+``.

    "" if there are no tables, or DVC does not know one of them.
    """
    versions = []
    for path in paths:
        above = [Path(path), *Path(path).parents]
        versions.append(next(filter(None, (find_data_version(p.as_posix()) for p in above)), ""))
    return "+".join(dict.fromkeys(versions)) if all(versions) else ""
