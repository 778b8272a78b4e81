"""The order of DICOM slices, and what is wrong with it: twice there, not there, nowhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batteryscope.readers.dicom_header import Frame
from batteryscope.readers.picture import PictureError
from batteryscope.readers.volume_folder import describe_copies, find_gaps

_SAME_PLACE = 0.01  # of the usual distance of slices
_Read = Callable[[Frame], NDArray[Any]]


@dataclass(frozen=True)
class OrderedFrames:
    """Slices in order; by what they are sorted; what is missing or was left out, in sentences."""

    frames: list[Frame]
    order: str
    spacing_um: float | None
    missing: tuple[str, ...]
    left_out: tuple[str, ...]


def sort_frames(path: Path, frames: Sequence[Frame], read: _Read) -> OrderedFrames:
    """Sort slices by position, else by instance number, else by name; leave out copies.

    Parameters
    ----------
    path
        The scan, for messages.
    frames
        Slices of one orientation, at least one.
    read
        Reads the pixels of a slice; asked only where two slices claim one place.

    Raises
    ------
    PictureError
        Two slices with different pixels lie at one place.
    """
    from batteryscope.readers.scan import natural_key

    frames = sorted(frames, key=lambda f: (natural_key(f.header.file.name), f.index or 0))
    frames, copies = _leave_out_same_file(frames, read)
    places = _find_positions(frames)
    if places is not None:
        order = np.argsort(places, kind="stable")
        frames, places = [frames[i] for i in order], places[order]
        usual = _find_usual_step(places)
        same = [b - a < _SAME_PLACE * usual for a, b in pairwise(places)]
        words = [f"position {place:g} mm" for place in places]
        frames, kept, more = _leave_out_equal(path, frames, same, words, read)
        places = places[kept]
        spacing = 1000 * float(np.median(np.diff(places))) if len(places) > 1 else None
        missing = _find_gaps(places)
        return OrderedFrames(frames, "position", spacing, missing, _describe([*copies, *more]))
    thickness = frames[0].thickness_mm
    spacing = None if thickness is None else 1000 * thickness
    numbers = [frame.number for frame in frames]
    if len(frames) > 1 and None not in numbers and len(set(numbers)) > 1:
        frames = sorted(frames, key=lambda frame: frame.number or 0)
        numbers = [frame.number for frame in frames]
        same = [a == b for a, b in pairwise(numbers)]
        words = [f"number {number}" for number in numbers]
        frames, kept, more = _leave_out_equal(path, frames, same, words, read)
        gaps = find_gaps([words[i] for i in kept])
        return OrderedFrames(frames, "instance number", spacing, gaps, _describe([*copies, *more]))
    inside = all(frame.index is not None for frame in frames)
    order_name = "frame number" if inside else "file name"
    return OrderedFrames(list(frames), order_name, spacing, (), _describe(copies))


def _find_positions(frames: Sequence[Frame]) -> NDArray[np.float64] | None:
    """Return places along the normal of the slices; None if they are unknown or all one."""
    orientation = frames[0].orientation
    if not orientation or any(not frame.position for frame in frames):
        return None
    normal = np.cross(orientation[:3], orientation[3:])
    places = np.asarray([frame.position for frame in frames]) @ normal
    if not np.isfinite(places).all() or (len(frames) > 1 and np.ptp(places) <= 0):
        return None
    return places


def _find_usual_step(places: NDArray[np.float64]) -> float:
    """Return the median distance of neighbours, those at one place not counted."""
    steps = np.diff(places)
    apart = steps[steps > _SAME_PLACE * steps.mean()] if len(steps) else steps
    return float(np.median(apart)) if len(apart) else 0.0


def _leave_out_same_file(frames: Sequence[Frame], read: _Read) -> tuple[list[Frame], list[str]]:
    """Leave out copies of a file, which have its identity (SOPInstanceUID) and a longer name."""
    seen: dict[tuple[str, int | None], Frame] = {}
    kept: list[Frame] = []
    copies: list[str] = []
    for frame in sorted(frames, key=lambda f: len(f.header.file.name)):
        identity = str(frame.header.tags.get("SOPInstanceUID") or frame.header.file)
        twin = seen.setdefault((identity, frame.index), frame)
        if twin is frame:
            kept.append(frame)
        elif np.array_equal(read(frame), read(twin)):
            copies.append(frame.header.file.name)
        else:  # some programs write one identity into all files; places will tell
            kept.append(frame)
    order = {id(frame): place for place, frame in enumerate(frames)}
    return sorted(kept, key=lambda f: order[id(f)]), list(dict.fromkeys(copies))


def _leave_out_equal(
    path: Path, frames: Sequence[Frame], same: Sequence[bool], words: Sequence[str], read: _Read
) -> tuple[list[Frame], list[int], list[str]]:
    """Leave out slices equal to the one before them at the same place; refuse different ones."""
    kept = [0]
    copies: list[str] = []
    for i, is_same in enumerate(same, start=1):
        if not is_same:
            kept.append(i)
            continue
        twin = frames[kept[-1]]
        if not np.array_equal(read(frames[i]), read(twin)):
            raise _refuse(path, twin, frames[i], words[i])
        copies.append(frames[i].name)
    return [frames[i] for i in kept], kept, copies


def _refuse(path: Path, one: Frame, other: Frame, where: str) -> PictureError:
    detail = (
        f"{one.name} and {other.name} both have {where}, with different pixels (another time, "
        "echo or energy, or a second series?); keep one series."
    )
    return PictureError(path, "unsupported", detail)


def _describe(copies: Sequence[str]) -> tuple[str, ...]:
    return (describe_copies(copies),) if copies else ()


def _find_gaps(positions: NDArray[np.float64]) -> tuple[str, ...]:
    if len(positions) < 3:
        return ()
    steps = np.diff(positions)
    usual = float(np.median(steps))
    wide = np.flatnonzero(steps > 1.5 * usual)
    if not len(wide):
        return ()
    n_missing = int(np.round(steps[wide] / usual - 1).sum())
    return (
        f"about {n_missing} slices are missing (the first gap is between {positions[wide[0]]:g} "
        f"and {positions[wide[0] + 1]:g} mm); the slices on both sides count as neighbours. "
        "Export the whole series, if it exists.",
    )
