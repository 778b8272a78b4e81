"""The entrance to all volume formats: what below a folder is a scan, and opening one."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from batteryscope.core.plural import count_of
from batteryscope.errors import InputError
from batteryscope.readers.folder import name_foreign
from batteryscope.readers.picture import PictureError
from batteryscope.readers.registry import is_picture_name
from batteryscope.readers.scan import (
    FolderScan,
    describe_foreign,
    is_companion,
    look_into,
    natural_key,
    show_name,
)
from batteryscope.readers.tiff_page import TIFF_SIGNATURES
from batteryscope.readers.volume import Volume
from batteryscope.readers.volume_array import NPY_SIGNATURE, ZARR_MARKS, open_npy, open_zarr
from batteryscope.readers.volume_dicom import has_several_frames, is_dicom, open_dicom
from batteryscope.readers.volume_folder import is_preview, open_slice_folder
from batteryscope.readers.volume_isq import SIGNATURE as ISQ_SIGNATURE
from batteryscope.readers.volume_isq import open_isq
from batteryscope.readers.volume_tiff import has_several_pages, open_tiff_stack

SHOWS_A_SCAN = "a picture that shows the scan beside it"
MANY_SLICES = 8  # as many files in one folder are slices of one scan if the first two are
FORMATS = "ISQ, TIFF stack, NumPy, zarr, DICOM, or a folder of slices"


@dataclass(frozen=True)
class _Content:
    """What lies in one folder.

    Scans in files of their own, slices, DICOM slices, pictures that only show a scan, the rest.
    """

    scans: list[str] = field(default_factory=list)
    slices: list[str] = field(default_factory=list)
    dicom: list[str] = field(default_factory=list)
    previews: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def find_volumes(root: Path, skip_locked: bool = False) -> FolderScan:
    """List the scans below a folder: files and folders that :func:`open_volume` opens.

    Parameters
    ----------
    root
        The folder, or one scan.
    skip_locked
        Whether a folder in it that cannot be listed costs itself alone, and is no error.

    Returns
    -------
    FolderScan
        ``images`` are the scans, as POSIX paths relative to ``root`` ("." is itself one);
        ``unsupported`` are files that are neither scans nor their companions.

    Raises
    ------
    InputError
        The folder does not exist or holds no scan.
    """
    if not root.exists():
        raise InputError(f"{root}: this folder does not exist; check the path, or run dvc pull.")
    if root.is_file():
        return FolderScan((root.name,))
    content = look_into(root, _is_zarr, skip_locked)
    found = list(content.closed)
    others: list[str] = []
    by_folder: dict[str, list[str]] = {}
    for path in content.files:
        folder, _, name = path.rpartition("/")
        by_folder.setdefault(folder, []).append(name)
    for folder, names in sorted(by_folder.items()):
        sorted_files = _sort_files(root / folder, sorted(names))
        before = f"{folder}/" if folder else ""
        found += [before + name for name in sorted_files.scans]
        if sorted_files.slices or sorted_files.dicom:
            found.append(folder or ".")
        others += [before + name for name in sorted_files.others]
        content.foreign += [(before + name, SHOWS_A_SCAN) for name in sorted_files.previews]
    misnamed = [path for path in found if show_name(path) != path]
    found = [path for path in found if path not in misnamed]
    if not found:
        named = (
            f" ({count_of(len(others), 'other file')}, such as {show_name(others[0])})"
            if others
            else ""
        )
        raise InputError(f"{root}: this folder holds no scan{named}; put a scan there ({FORMATS}).")
    return FolderScan(
        tuple(sorted(found, key=natural_key)),
        tuple(sorted(map(show_name, others), key=natural_key)),
        tuple(sorted(map(show_name, misnamed), key=natural_key)),
        special=tuple(sorted(map(show_name, content.special), key=natural_key)),
        foreign=describe_foreign(content),
        locked=tuple(sorted(map(show_name, content.locked), key=natural_key)),
    )


def _list_names(folder: Path) -> list[str]:
    """Return the files of a folder, each once, without those of systems."""
    here, found, links = folder.resolve(), set(), []
    for file in folder.iterdir():
        is_file = os.path.isfile(file)  # noqa: PTH113 (no, where the folder may not be entered)
        if file.name.startswith(".") or name_foreign(file.name) or not is_file:
            continue
        if file.is_symlink():
            links.append(file)
        else:
            found.add(file.name)
    seen: set[Path] = set()
    for link in sorted(links):
        target = link.resolve()
        is_listed = target.parent == here and target.name in found
        if not is_listed and target not in seen:
            found.add(link.name)
        seen.add(target)
    return sorted(found)


def _is_zarr(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in ZARR_MARKS)


def open_volume(path: Path) -> Volume:
    """Open a scan, whatever its format; content decides, not the name.

    Parameters
    ----------
    path
        An ISQ, NumPy, multi-page TIFF or DICOM file, a zarr store, or a folder of slices.

    Raises
    ------
    PictureError
        It is none of these, is damaged or cut off, or its slices do not belong together.
    """
    if path.is_dir():
        if _is_zarr(path):
            return open_zarr(path)
        content = _sort_files(path, _list_names(path))
        if content.dicom:
            volume = open_dicom(path, content.dicom)
            if not content.slices:
                return volume
            words = f"pictures beside the DICOM slices are left out, such as {content.slices[0]}."
            return replace(volume, left_out=(*volume.left_out, words))
        if content.slices:
            return open_slice_folder(path, content.slices)
        detail = f"holds no slices; expected a scan ({FORMATS})."
        raise PictureError(path, "unsupported", detail)
    if os.path.exists(path) and not os.path.isfile(path):  # noqa: PTH110, PTH113 (a fifo waits)
        raise PictureError(path, "unreadable", "is no ordinary file; take it out.")
    start = _read_start(path)
    if start.startswith(ISQ_SIGNATURE):
        return open_isq(path)
    if start.startswith(NPY_SIGNATURE):
        return open_npy(path)
    if start[128:132] == b"DICM":
        return open_dicom(path)
    if start.startswith(TIFF_SIGNATURES) and has_several_pages(path):
        return open_tiff_stack(path)
    if is_picture_name(path.name):
        return open_slice_folder(path.parent, [path.name])
    detail = f"is no scan that can be read; expected {FORMATS}."
    raise PictureError(path, "unsupported", detail)


def _sort_files(folder: Path, names: list[str]) -> _Content:
    content = _Content()
    pictures = [name for name in names if is_picture_name(name)]
    # In a folder of many slices one look is enough: stacks do not lie among slices.
    tiffs = [name for name in pictures if name.lower().endswith((".tif", ".tiff"))]
    all_slices = len(tiffs) > MANY_SLICES and not any(
        has_several_pages(folder / n) for n in tiffs[:2]
    )
    for name in names:
        path = folder / name
        if name in set(tiffs) and not all_slices and has_several_pages(path):
            content.scans.append(name)
        elif is_picture_name(name):
            content.slices.append(name)
        elif is_companion(name):
            continue
        elif (start := _peek(path)) is None or start.startswith((ISQ_SIGNATURE, NPY_SIGNATURE)):
            content.scans.append(name)  # one that cannot be opened says so when it is read
        elif is_dicom(path):
            content.dicom.append(name)
        else:
            content.others.append(name)
    # As above: in a folder of many slices the first two tell.
    few = content.dicom if len(content.dicom) <= MANY_SLICES else content.dicom[:2]
    frames = [name for name in few if has_several_frames(folder / name)]
    if frames:
        every = [name for name in content.dicom if has_several_frames(folder / name)]
        content.scans.extend(every)
        content.dicom[:] = [name for name in content.dicom if name not in set(every)]
    if content.scans:
        stems = [Path(name).stem.lower() for name in content.scans]
        content.previews[:] = [
            name
            for name in content.slices
            if is_preview(name) or any(_belongs(Path(name).stem.lower(), stem) for stem in stems)
        ]
        content.slices[:] = [name for name in content.slices if name not in content.previews]
    return content


def _belongs(stem: str, scan: str) -> bool:
    """Whether a picture has the name of a scan: ``cell_1_side`` for ``cell_1``, not ``cell_12``."""
    return stem.startswith(scan) and not stem[len(scan) : len(scan) + 1].isdigit()


def _read_start(path: Path, n_bytes: int = 132) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(n_bytes)
    except OSError as error:
        detail = f"cannot be opened ({error.strerror}); check path and permissions."
        raise PictureError(path, "unreadable", detail) from None


def _peek(path: Path) -> bytes | None:
    """Return the first bytes of a file, None if it cannot be opened."""
    try:
        return _read_start(path, 16)
    except PictureError:
        return None
