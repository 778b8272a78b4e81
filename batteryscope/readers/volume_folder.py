"""A folder whose pictures are the slices of one scan."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batteryscope.core.plural import count_of
from batteryscope.provenance import digest_file
from batteryscope.readers.picture import PictureError
from batteryscope.readers.pixels import to_luminance
from batteryscope.readers.registry import is_picture_name, read_page, read_size
from batteryscope.readers.volume import Volume, check_type, describe_curve
from batteryscope.readers.volume_tiff import SliceFacts, read_slice_facts, read_tiff_slice

_LAST_NUMBER = re.compile(r"^(.*?)([0-9]+)([^0-9]*)$")
_COPY = re.compile(
    r"\s*[-_ ]?\s*(?:\(\d+\)|(?:\b|_)(?:copy|kopie|copie|copia)(?:\s*\(?\d+\)?)?)$", re.IGNORECASE
)
_PREVIEW = re.compile(r"(?:^|[_\W])(?:spr|preview|thumbnail|thumb)(?:$|[_\W])", re.IGNORECASE)
_TIFF_SUFFIXES = (".tif", ".tiff")
_MAX_LISTED = 5


def open_slice_folder(path: Path, names: Sequence[str] | None = None) -> Volume:
    """Open a folder of TIFF, PNG or other pictures in natural number order.

    Previews of reconstruction software are left out, and so are copies (``s_1 (1).tif``) of a
    slice that is there.

    Parameters
    ----------
    path
        The folder.
    names
        File names of its pictures; looked up if not given.

    Raises
    ------
    PictureError
        The pictures belong to several series or differ in size, or a slice is there twice with
        different content.
    """
    from batteryscope.readers.scan import natural_key

    if names is None:
        names = [
            f.name
            for f in path.iterdir()
            if f.is_file() and is_picture_name(f.name) and f.name[0] != "."
        ]
    ordered = sorted(names, key=natural_key)
    previews = find_previews(ordered)
    ordered, copies = _leave_out_copies(path, [n for n in ordered if n not in previews])
    left_out = [describe_copies(copies)] if copies else []
    if previews:
        left_out.append(f"previews, which are no slices, are left out: {', '.join(previews)}.")
    files = [path / name for name in ordered]
    _check_one_series(path, ordered)
    sizes = [read_size(file) for file in files]
    for file, size in zip(files, sizes, strict=True):
        if size != sizes[0]:
            detail = (
                f"the slice {file.name} has {size[0]} × {size[1]} pixels, {files[0].name} has "
                f"{sizes[0][0]} × {sizes[0][1]}; export all slices in one size."
            )
            raise PictureError(path, "wrong_size", detail)
    first = _read(files[0])
    is_tiff = files[0].suffix.lower() in _TIFF_SUFFIXES
    facts = read_slice_facts(files[0]) if is_tiff else SliceFacts(curve=read_page(files[0]).curve)
    left_out += describe_curve(facts.curve)
    return Volume(
        path,
        (len(files), *first.shape),
        first.dtype,
        lambda z: _read(files[z]),
        facts.size,
        missing=find_gaps(ordered),
        left_out=tuple(left_out),
        order="file name",
        stated_bits=facts.stated_bits,
    )


def find_previews(names: Sequence[str]) -> list[str]:
    """Return the pictures among slices that are previews of reconstruction software.

    Such as ``cell_spr.bmp`` beside ``cell_rec0001.bmp`` (Bruker NRecon), or ``preview.tif``. In a
    folder that holds nothing else they are taken for what they are.
    """
    previews = [name for name in names if is_preview(name)]
    return previews if len(names) - len(previews) >= 2 else []


def is_preview(name: str) -> bool:
    """Tell by its name whether a picture is a preview of a scan."""
    return _PREVIEW.search(Path(name).stem) is not None


def _leave_out_copies(path: Path, names: list[str]) -> tuple[list[str], list[str]]:
    """Leave out equal copies of slices; refuse a slice that is there twice but differs."""
    present = {Path(name).stem: name for name in reversed(names)}
    kept: list[str] = []
    copies: list[str] = []
    seen: dict[str, str] = {}
    for name in names:
        stem = Path(name).stem
        original = _COPY.sub("", stem)
        if original != stem and original in present:
            twin = present[original]
        elif (key := _number_key(stem)) in seen:
            twin = seen[key]
        else:
            seen[key] = name
            kept.append(name)
            continue
        if digest_file(path / name) != digest_file(path / twin):
            detail = (
                f"holds one slice twice, {twin} and {name}, with different content; keep the "
                "right one."
            )
            raise PictureError(path, "unsupported", detail)
        copies.append(name)
    return kept, copies


def describe_copies(names: Sequence[str]) -> str:
    """Say which copies of slices were left out."""
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return (
        f"{count_of(len(names), 'file')} of slices that are there already "
        f"{'is' if len(names) == 1 else 'are'} left out: {', '.join(names[:_MAX_LISTED])}{more}."
    )


def _number_key(stem: str) -> str:
    """The name with its last number without leading zeros: ``s_01`` and ``s_1`` are one slice."""
    match = _LAST_NUMBER.match(stem)
    return f"{match[1]}\0{int(match[2])}\0{match[3]}" if match else stem


def find_gaps(names: Sequence[str]) -> tuple[str, ...]:
    """Say which numbers are missing in a numbered series of file names.

    The most frequent step between neighbours counts as no gap, so that every second slice of a
    scan is a complete series.

    Parameters
    ----------
    names
        In natural order.
    """
    matches = [_LAST_NUMBER.match(Path(name).stem) for name in names]
    numbers = [int(m[2]) for m in matches if m is not None]
    if len(numbers) < max(3, len(names)):
        return ()
    steps = np.diff(numbers)
    if steps.min() < 1:
        return ()
    sizes, counts = np.unique(steps, return_counts=True)
    usual = int(sizes[counts.argmax()])  # the smallest of the most frequent
    gaps = [
        (numbers[i] + usual, numbers[i + 1] - usual) for i in np.flatnonzero(steps > usual).tolist()
    ]
    listed = ", ".join(f"{a}" if a >= b else f"{a} to {b}" for a, b in gaps[:_MAX_LISTED])
    if not gaps:
        return ()
    more = f" and {len(gaps) - _MAX_LISTED} more gaps" if len(gaps) > _MAX_LISTED else ""
    return (
        f"slice numbers are missing between {names[0]} and {names[-1]}: {listed}{more}; the "
        "slices on both sides of a gap count as neighbours. Copy the missing files, if they exist.",
    )


def _check_one_series(path: Path, names: Sequence[str]) -> None:
    """Refuse a mixture of series, such as pictures and their masks."""
    prefixes: dict[str, str] = {}
    for name in names:
        match = _LAST_NUMBER.match(Path(name).stem)
        prefixes.setdefault(f"{match[1]}\0{match[3]}" if match else name, name)
    if len(prefixes) > 1:
        first, second = list(prefixes.values())[:2]
        detail = (
            f"holds pictures of several series, such as {first} and {second}; "
            "put the slices of each scan into a folder of their own."
        )
        raise PictureError(path, "unsupported", detail)


def _read(file: Path) -> NDArray[Any]:
    if file.suffix.lower() in _TIFF_SUFFIXES:
        return read_tiff_slice(file)
    values = to_luminance(read_page(file).array)
    return values.astype(check_type(file, values.dtype), copy=False)
