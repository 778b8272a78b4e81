"""The content of bundle.json of models that predict capacities."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat

from batteryscope.bundle.record import (
    RECORD_FILE,
    Member,
    PictureRecord,
    read_json,
    read_record_as,
)
from batteryscope.config.base import Settings
from batteryscope.config.preprocess import CoatingCropSettings
from batteryscope.errors import InputError

KIND = "capacity"


class CapacityTarget(Settings):
    """One output: its C-rate and unit, and how wide the interval of a prediction is.

    ``relative_half_width`` times the prediction is half of the interval; null if there were too
    few electrodes for ``coverage_wanted``, as is ``coverage_measured``.
    """

    name: str
    c_rate: PositiveFloat
    unit: str
    arm: str
    relative_half_width: PositiveFloat | None
    coverage_wanted: PositiveFloat
    coverage_measured: float | None


class CapacityMember(Member):
    """One trained model; ``arm`` says which targets it predicts."""

    arm: str

    @property
    def column(self) -> str:
        """Name of its column in training_images.csv."""
        return f"{self.arm}_{self.fit_name}"


class CapacityRecord(PictureRecord):
    """The whole of bundle.json."""

    kind: Literal["capacity"] = "capacity"
    backbone: str
    targets: list[CapacityTarget] = Field(min_length=1)
    preprocess: CoatingCropSettings
    members: Sequence[CapacityMember] = Field(min_length=1)


def is_capacity_bundle(folder: Path) -> bool:
    """Whether a folder holds a bundle of this kind; whatever cannot be read is not."""
    path = folder / RECORD_FILE
    if not path.is_file():
        return False
    try:
        values = read_json(path)
    except InputError:
        return False
    return isinstance(values, dict) and values.get("kind") == KIND


def read_capacity_record(folder: Path) -> CapacityRecord:
    """Read and check bundle.json.

    Raises
    ------
    InputError
        As :func:`batteryscope.bundle.record.read_record_as`, or if no network predicts a target.
    """
    record = read_record_as(CapacityRecord, folder)
    arms = sorted({member.arm for member in record.members})
    for target in record.targets:
        if target.arm not in arms:
            raise InputError(
                f"{folder / RECORD_FILE}: {target.name} is of the arm '{target.arm}', but the "
                f"networks are of {arms}. The bundle is damaged; publish or fetch it again."
            )
    return record
