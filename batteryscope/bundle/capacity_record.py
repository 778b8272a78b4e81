"""The content of bundle.json of models that predict capacities."""

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from batteryscope.bundle.record import (
    FORMAT_VERSION,
    RECORD_FILE,
    Licence,
    Member,
    TrainingData,
    read_json,
)
from batteryscope.config.base import Settings, validate_settings
from batteryscope.config.preprocess import CoatingCropSettings
from batteryscope.errors import ConfigError, InputError

KIND = "capacity"


class CapacityTarget(Settings):
    """One output: its C-rate and unit, and how wide the interval of a prediction is.

    ``relative_half_width`` times the prediction is half of the interval; null if there were too
    few validation images for ``coverage_wanted``.
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
    def name(self) -> str:
        """Name of its files without ending, for example ``fold_mass_r0_f3``."""
        return f"fold_{self.column}"

    @property
    def column(self) -> str:
        """Name of its column in training_images.csv."""
        return f"{self.arm}_{self.fit_name}"


class CapacityRecord(Settings):
    """The whole of bundle.json."""

    kind: Literal["capacity"] = "capacity"
    format_version: int
    batteryscope_version: str
    study: str
    title: str
    paper: str
    paper_doi: str
    backbone: str
    targets: list[CapacityTarget] = Field(min_length=1)
    preprocess: CoatingCropSettings
    max_pixels: PositiveInt
    members: list[CapacityMember] = Field(min_length=1)
    data: TrainingData
    metrics: dict[str, float | int]
    findings: list[dict[str, str]]
    licence: Licence


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
        If it is of another format version, or damaged.
    """
    path = folder / RECORD_FILE
    values = read_json(path)
    if (version := values.get("format_version")) != FORMAT_VERSION:
        raise InputError(
            f"{path}: format_version is {version!r}, but this version of Batteryscope reads "
            f"{FORMAT_VERSION}; use the version that wrote the bundle, or publish it again."
        )
    try:
        return validate_settings(CapacityRecord, values, str(path))
    except ConfigError as error:
        raise InputError(f"{error} The bundle is damaged; publish or fetch it again.") from None
