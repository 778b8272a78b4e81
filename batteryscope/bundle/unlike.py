"""What a prediction says of a sample that is unlike all that the models were trained on."""

from dataclasses import dataclass
from typing import Any, Protocol

from batteryscope.bundle.record import FamiliarityRecord
from batteryscope.familiarity.reference import Calibrated

# The status of a row without an answer, and the class that stands in its place.
UNLIKE = "unlike_training"
ORIGIN_COLUMN = "trained_on"
DIGITS = 3
NO_SCORE = (
    "This bundle has no score that tells {noun} unlike those of its training: it answers whatever "
    "it is given. Publish the study again to have one."
)


class _Origin(Protocol):
    name: str
    generated: bool


@dataclass(frozen=True)
class Unlike:
    """How unlike the training samples one sample is.

    ``score``: 1 is the limit. ``nearest`` names the nearest training sample. ``reasons`` are
    phrases, none if it is like them.
    """

    score: float
    nearest: str
    reasons: tuple[str, ...]


def name_columns(noun: str = "image") -> tuple[str, str, str]:
    """Name the columns that tell how unlike the training images (rows) one is."""
    return UNLIKE, f"nearest_training_{noun}", "unlike_reasons"


def describe_unlike(
    unlike: Unlike, answer_anyway: bool, noun: str = "image", digits: int = DIGITS
) -> dict[str, Any]:
    """Return the part of a row that tells how unlike the training an image is.

    The status says whether the answer stands; a reason or a note why not, or why it is doubtful.
    """
    told = (round(unlike.score, digits), unlike.nearest, "; ".join(unlike.reasons))
    row: dict[str, Any] = dict(zip(name_columns(noun), told, strict=True))
    if not unlike.reasons:
        return row | {"status": "ok"}
    why = f"unlike the training {noun}s: {unlike.reasons[0]}; the nearest is {unlike.nearest}"
    if answer_anyway:
        return row | {"status": "ok", "note": why}
    return row | {"status": UNLIKE, "reason": why}


def name_origin(data: _Origin, noun: str = "pictures") -> str:
    """Say what the models were trained on: generated pictures, or the data set of that name."""
    return f"generated {noun}" if data.generated else data.name


def describe_caution(data: _Origin, has_score: bool, noun: str = "pictures") -> list[str]:
    """Say at the terminal what a user must know of all answers of a bundle."""
    lines = [] if has_score else [NO_SCORE.format(noun=noun)]
    if data.generated:
        lines.append(f"These models were trained on generated {noun}: they know no real ones.")
    return lines


def describe_calibrated(
    found: Calibrated, measure: str, false_alarms: float, n_reference: int
) -> FamiliarityRecord:
    """Return what bundle.json says of the limits."""
    return FamiliarityRecord(
        measure=measure,
        false_alarms=false_alarms,
        false_alarms_attained=round(found.share, 6),
        n_held_out=found.n_held_out,
        n_groups=found.n_groups,
        n_reference=n_reference,
    )
