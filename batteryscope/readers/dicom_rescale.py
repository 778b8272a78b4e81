"""Rescale slope and intercept of DICOM: from stored numbers to the grey levels that are meant.

DICOM PS3.3, C.11.1 (one slice per file: every slice may have its own) and C.7.6.16.2.9 (several
frames per file: in the functional groups of all frames or of each).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

TAGS = ("RescaleSlope", "RescaleIntercept", "BitsStored", "PixelRepresentation")
GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")


class Rescale(NamedTuple):
    """Meant grey level = slope × stored number + intercept."""

    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, stored: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the meant grey levels of a slice as ``dtype``."""
        if self == Rescale():
            return stored.astype(dtype, copy=False)
        values = stored.astype(np.float64)
        values *= self.slope
        values += self.intercept
        return values.astype(dtype)


def read_rescale(tags: Any, n_frames: int = 1) -> list[Rescale]:
    """Return what the header states for every frame; slope 1 and intercept 0 if it says nothing.

    Parameters
    ----------
    tags
        A ``pydicom.Dataset``.
    n_frames
        Of the file.

    Raises
    ------
    ValueError
        A slope of 0 or no number, or functional groups for another number of frames.
    """
    shared = tags.get(GROUPS[0]) or [None]
    frames = tags.get(GROUPS[1]) or [None] * n_frames
    if len(frames) != n_frames:
        raise ValueError(f"describes {len(frames)} frames, but holds {n_frames}")
    common = _read_one(_find_step(shared[0]) or tags)
    return [common if (own := _find_step(f)) is None else _read_one(own) for f in frames]


def choose_type(stored: np.dtype[Any], tags: Any, steps: Sequence[Rescale]) -> np.dtype[Any]:
    """Return a type of grey levels that holds those of all slices.

    That of the file if nothing is rescaled; 16-bit integers if slopes and intercepts are whole
    numbers and all that the stored bits can hold fits; else 32-bit floats.
    """
    if all(step == Rescale() for step in steps):
        return stored
    bits = int(tags.get("BitsStored") or 8 * stored.itemsize)
    signed = int(tags.get("PixelRepresentation") or 0) == 1
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    whole = all(float(number).is_integer() for step in steps for number in step)
    ends = [step.slope * end + step.intercept for step in steps for end in (low, high)]
    for dtype in (np.dtype(np.uint16), np.dtype(np.int16)):
        limits = np.iinfo(dtype)
        if whole and min(ends) >= limits.min and max(ends) <= limits.max:
            return dtype
    return np.dtype(np.float32)


def _find_step(group: Any) -> Any:
    """The rescaling in a functional group, None if there is none."""
    found = None if group is None else group.get("PixelValueTransformationSequence")
    return found[0] if found else None


def _read_one(tags: Any) -> Rescale:
    slope, intercept = (tags.get(name) for name in TAGS[:2])
    step = Rescale(1.0 if slope is None else float(slope), float(intercept or 0.0))
    if not np.isfinite(step).all() or step.slope == 0:
        raise ValueError(f"states a rescale slope of {step.slope:g}, intercept {step.intercept:g}")
    return step
