"""The content of bundle.json: all that a published model needs beside its weights.

Here is what all have, its one reader, and the record of classes; those of numbers and of rows are
in ``number_record`` and ``tables.bundle_record``.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from batteryscope import __version__
from batteryscope.answers.classes import CLASSES
from batteryscope.config.base import Settings, validate_settings
from batteryscope.config.covariates import Covariate
from batteryscope.config.preprocess import PreprocessSettings
from batteryscope.config.targets import Quantity
from batteryscope.errors import ConfigError, InputError
from batteryscope.models.weights_file import WeightsOrigin
from batteryscope.samples.choose import samples_cut_by
from batteryscope.samples.kind import Samples

# Rises when a bundle means something else than before. A new field is left out where it is empty
# and may be lacking, so that older bundles load; a version that does not know it refuses the bundle
# with the sentence of explain_bad_record. One number for models of pictures and of rows.
FORMAT_VERSION = 1
RECORD_FILE = "bundle.json"
TRAINING_IMAGES_FILE = "training_images.csv"
EXAMPLE_INPUT_FILE = "example_input.png"
EXAMPLE_OUTPUT_FILE = "example_output.json"
EXAMPLE_COVARIATES_FILE = "example_covariates.csv"
CARD_FILE = "MODEL_CARD.md"
LARGEST_JSON_BYTES = 64_000_000
RANGE_COLUMNS = (
    "width_px", "height_px", "magnification", "pixel_size_um", "voltage_kv", "brightness",
    "contrast",
)  # fmt: skip

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0, le=1)]


class BundleSettings(Settings):
    """What the study says about the models that are bundled; ``quantities`` if they predict any."""

    study: str
    arm: str
    title: str
    data_name: str
    label_columns: list[str] = Field(min_length=1)
    preprocess: PreprocessSettings
    max_pixels: PositiveInt
    generated: bool
    paper: str = ""
    paper_doi: str = ""
    quantities: list[Quantity] = []
    false_alarms: float | None = None


class FamiliarityRecord(Settings):
    """How the models tell what is unlike all that they were trained on.

    ``false_alarms`` is the share of new samples of the same kind that should be called unlike,
    ``false_alarms_attained`` what ``n_held_out`` samples could tell of it: few tell no small share.
    Those of one of the ``n_groups`` count together as one; older bundles counted each.
    """

    measure: str
    false_alarms: float = Field(gt=0, lt=1)
    false_alarms_attained: float = Field(gt=0, lt=1)
    n_held_out: PositiveInt
    n_groups: PositiveInt | None = Field(default=None, exclude_if=lambda v: v is None)
    n_reference: PositiveInt


class Member(Settings):
    """One trained model of the bundle; ``pretrained`` is what its training began with."""

    repeat: NonNegativeInt
    fold: NonNegativeInt
    weights_sha256: Digest
    best_epoch: NonNegativeInt
    n_train_images: NonNegativeInt
    pretrained: WeightsOrigin | None = None

    @property
    def name(self) -> str:
        """Name of its files without ending, for example ``fold_r0_f3``."""
        return f"fold_{self.column}"

    @property
    def fit_name(self) -> str:
        """Repeat and fold, for example ``r0_f3``."""
        return f"r{self.repeat}_f{self.fold}"

    @property
    def column(self) -> str:
        """Name of its column in training_images.csv."""
        return self.fit_name


class TrainingData(Settings):
    """Identity and extent of the data that the models were trained and tested on.

    ``digest`` is a hash over the contents of all images. ``ranges`` gives lowest and
    highest value of frame size and settings of the microscope, where known. ``bit_depths`` are the
    bits in use that were decided for 16-bit pictures, by instrument ("" if no file names it);
    ``grey_ranges`` the grey levels of scans that became 0 and 255, by scanner and type of number.
    """

    name: str
    generated: bool
    digest: Digest
    n_images: PositiveInt
    n_images_per_class: dict[str, NonNegativeInt]
    ranges: dict[str, tuple[float, float]]
    instruments: list[str]
    n_sessions: NonNegativeInt
    bit_depths: dict[str, int] = {}
    grey_ranges: dict[str, tuple[float, float]] = {}


class Licence(Settings):
    """Terms of use."""

    software: str = "MIT"
    weights: str


class TrainedCovariate(Covariate):
    """What networks are given beside the picture, and its range in their training.

    ``ranges``: lowest and highest value, of names (0, 1) or, for one that never occurred, (0, 0).
    """

    ranges: list[tuple[float, float]] = Field(min_length=1)

    @model_validator(mode="after")
    def _range_of_every_input(self) -> Self:
        if len(self.ranges) != len(self.inputs):
            raise ValueError(f"ranges has {len(self.ranges)} entries for {len(self.inputs)} inputs")
        return self

    @property
    def seen(self) -> str:
        """The range in training, in words."""
        if not self.categories:
            low, high = self.ranges[0]
            return f"{low:g} to {high:g} {self.unit}"
        pairs = zip(self.categories, self.ranges, strict=True)
        return ", ".join(name for name, (_, high) in pairs if high > 0)


class ModelRecord(Settings):
    """What bundle.json holds for all published models, whatever they judge and predict.

    ``kinds``: what ``kind`` may be of models of this class; "" is a description without that key.
    """

    kinds: ClassVar[tuple[str, ...]]
    judged: ClassVar[str]

    format_version: int
    batteryscope_version: str
    study: str
    title: str
    paper: str
    paper_doi: str
    metrics: dict[str, float | int]
    findings: list[dict[str, str]]
    licence: Licence

    @property
    def samples(self) -> Samples:
        """What the models judge."""
        raise NotImplementedError


class PictureRecord(ModelRecord):
    """What bundle.json holds for all models of pictures, whatever they predict."""

    preprocess: PreprocessSettings
    max_pixels: PositiveInt
    members: Sequence[Member] = Field(min_length=1)
    data: TrainingData
    covariates: list[TrainedCovariate] = Field(default=[], exclude_if=lambda value: not value)
    familiarity: FamiliarityRecord | None = Field(default=None, exclude_if=lambda v: v is None)

    @property
    def samples(self) -> Samples:
        """What the models judge."""
        return samples_cut_by(self.preprocess)


class SetLimit(Settings):
    """From where on a class is in the set of possible ones, at one level.

    ``threshold`` is null if ``n_groups`` independent units were too few to calibrate;
    ``coverage_measured`` is the share of sets of test images that held the true class, with the
    ends of its 95 % interval, which rests on ``n_measured`` units; null if it was not measured.
    """

    threshold: Share | None
    n_groups: NonNegativeInt
    calibrated_on: Literal["test", "validation"]
    coverage_measured: Share | None
    coverage_low: Share | None
    coverage_high: Share | None
    n_measured: NonNegativeInt
    mean_size: Annotated[float, Field(ge=0)] | None


class PublishedSets(Settings):
    """Sets that hold the true class of ``coverage`` of new images, slices and specimens.

    A class is in the set if the probability of all that join before it is at most the threshold
    (``batteryscope.evaluation.prediction_sets``); ``grades`` is the order of classes that have one.
    """

    coverage: Annotated[float, Field(gt=0.5, lt=1)]
    levels: dict[Literal["image", "slice", "specimen"], SetLimit] = Field(min_length=1)
    grades: list[str] = []

    @property
    def is_usable(self) -> bool:
        """Whether there is a set at any level that predictions have."""
        limits = (self.find_limit(of_scan) for of_scan in (False, True))
        return any(limit is not None and limit.threshold is not None for limit in limits)

    def find_limit(self, of_scan: bool) -> SetLimit | None:
        """Return the limit for a scan, or for an image or slice."""
        single = self.levels.get("image") or self.levels.get("slice")
        return self.levels.get("specimen") if of_scan else single


class BundleRecord(PictureRecord):
    """The whole of bundle.json of models that predict classes."""

    kinds = CLASSES.bundles["tiles"].names
    judged = "classes of pictures"

    arm: str
    classes: list[str] = Field(min_length=2)
    label_columns: list[str] = Field(min_length=1)
    class_labels: dict[str, dict[str, str]]
    input_px: PositiveInt
    temperature: PositiveFloat
    sets: PublishedSets | None = Field(default=None, exclude_if=lambda value: value is None)

    @model_validator(mode="after")
    def _labels_of_every_class(self) -> Self:
        labels, wanted = self.class_labels, set(self.label_columns) - {"class"}
        for name in self.classes:
            if name not in labels:
                raise ValueError(f"class_labels lacks the class '{name}'.")
            if lacking := wanted - labels[name].keys():
                raise ValueError(f"class_labels.{name} lacks {', '.join(sorted(lacking))}.")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class is listed twice.")
        return self


R = TypeVar("R", bound=ModelRecord)


def read_record_as(model: type[R], folder: Path) -> R:
    """Read bundle.json as the kind of record that is expected.

    Raises
    ------
    InputError
        If the folder or the file is missing, is no JSON, is of another format version or kind,
        lacks something or contradicts itself.
    """
    path = folder / RECORD_FILE
    if not folder.is_dir():
        raise InputError(
            f"{folder}: this bundle folder does not exist; name the folder of a published model "
            "(models/<study>), or fetch it (dvc pull)."
        )
    if not path.is_file():
        raise InputError(
            f"{folder}: this is no bundle, since it holds no {RECORD_FILE}; name the folder of a "
            "published model (models/<study>)."
        )
    values = read_json(path)
    values = values if isinstance(values, dict) else {}
    version = values.get("format_version")
    if version != FORMAT_VERSION:
        raise InputError(
            f"{path}: format_version is {version!r}, but this version of Batteryscope reads "
            f"{FORMAT_VERSION}; use the version that wrote the bundle, or publish it again."
        )
    if (kind := values.get("kind", "")) not in model.kinds:
        raise InputError(
            f"{path}: this is no bundle of models that predict {model.judged} (its kind is "
            f"{kind!r}); `batteryscope predict` applies models of every kind that it knows."
        )
    try:
        return validate_settings(model, values, str(path))
    except ConfigError as error:
        raise InputError(f"{error} {explain_bad_record(values)}") from None


def explain_bad_record(values: Mapping[str, Any]) -> str:
    """Say what is wrong with a bundle.json of other fields: damage, or another version's."""
    version = values.get("batteryscope_version")
    if version == __version__ or not isinstance(version, str):
        return "The bundle is damaged; publish or fetch it again."
    return (
        f"The bundle is damaged, or the version of Batteryscope that wrote it ({version[:40]!r}) "
        f"knows other fields than this one ({__version__}); use that one, or publish or fetch the "
        "bundle again."
    )


def read_record(folder: Path) -> BundleRecord:
    """Read and check bundle.json of models that predict classes.

    Raises
    ------
    InputError
        As :func:`read_record_as`.
    """
    return read_record_as(BundleRecord, folder)


def read_json(path: Path) -> Any:
    """Read a JSON file of a bundle.

    Raises
    ------
    InputError
        If it is missing, no valid JSON, holds a number that is not finite, or is larger or
        deeper than any that we write.
    """
    try:
        if path.stat().st_size > LARGEST_JSON_BYTES:
            raise ValueError(f"it has {path.stat().st_size} bytes")
        text = path.read_text(encoding="utf-8")
        return json.loads(text, parse_float=_read_finite, parse_constant=_read_finite)
    except FileNotFoundError:
        raise InputError(
            f"{path}: this file of the bundle is missing; publish or fetch the bundle again."
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: not readable as JSON ({error}); publish or fetch the bundle again."
        ) from None
    except RecursionError:
        raise InputError(
            f"{path}: not readable as JSON (too deeply nested); publish or fetch the bundle again."
        ) from None


def _read_finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def write_json(path: Path, value: Any) -> None:
    """Write JSON that is the same for the same value."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
