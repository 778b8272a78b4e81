"""Where the pictures are, how they were labelled, or how to generate them."""

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, NonNegativeInt, PositiveInt, Tag, model_validator

from batteryscope.config.base import AS_NULL, CountsWith, Settings, Unsaid, validate_settings
from batteryscope.config.covariates import (
    COVARIATE_PREFIX,
    NAMING_COLUMNS,
    CovariateTable,
)
from batteryscope.config.cycling import CyclingTable
from batteryscope.config.picture_generators import Generator, PictureGenerator
from batteryscope.config.predicted import NoNumbers, Quantity
from batteryscope.config.table_format import DatedTableFormat, MetadataFormat
from batteryscope.config.targets import TargetSettings


class LabelSettings(Settings):
    """Where labels come from.

    ``folders``: ``pattern`` is a regular expression searched (ignoring case) in the
    folder path of each image relative to the data set; its named groups become
    manifest columns. ``table``: ``table`` is a CSV, Excel or parquet file inside the data
    set whose ``file_column`` names the images, all other columns are taken over;
    ``table_format`` says how it is written, where that cannot be told from it.
    Besides the label ``columns``, the names ``specimen_id``, ``session_id`` and
    ``domain`` fill those manifest columns. Without a pattern the whole folder path
    is the class. ``grades`` are the classes from the lowest to the highest, where they have an
    order: stages of ageing, severity of damage.
    """

    counts_with: ClassVar[tuple[CountsWith, ...]] = (
        CountsWith("table", "source", ("table",)),
        CountsWith("file_column", "source", ("table",)),
        CountsWith("table_format", "source", ("table",)),
    )
    named_once: ClassVar[tuple[str, ...]] = ("columns", "grades")

    source: Literal["folders", "table"] = "folders"
    pattern: str | None = None
    table: str | None = None
    file_column: str = "file"
    columns: list[str] = Field(default=["class"], min_length=1)
    grades: list[str] = []
    table_format: DatedTableFormat = DatedTableFormat()

    @property
    def groups(self) -> list[str] | None:
        """What the names of folders tell; None where a label table stands in their place."""
        return list(re.compile(self.pattern or "").groupindex) if self.source == "folders" else None

    @model_validator(mode="after")
    def _grades_are_an_order(self) -> Self:
        if 0 < len(self.grades) < 3:
            raise ValueError(
                f"labels.grades has {len(self.grades)} name(s); an order needs three classes at "
                "least. Leave it out."
            )
        return self

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.source == "table" and self.table is None:
            raise ValueError("labels.source is 'table' but labels.table names no file; add it.")
        if self.pattern is not None:
            try:
                groups = set(re.compile(self.pattern).groupindex)
            except re.error as error:
                raise ValueError(
                    f"labels.pattern '{self.pattern}' is not a valid regular expression ({error})."
                ) from None
            if missing := [c for c in self.columns if c not in groups]:
                raise ValueError(
                    f"labels.pattern has no named group (?P<{missing[0]}>…) "
                    f"for the label column '{missing[0]}'; add it."
                )
        return self


class VolumeSettings(Settings):
    """The data set holds scans, of which slices are the samples.

    A scan is an ISQ, NumPy or multi-page TIFF file, a zarr store, a DICOM series, or a folder of
    slices. The slices ``first`` to ``last`` (counted from 0, both included; null: the last one)
    are taken, every ``step``-th. A cell that the labels give no ``specimen_id`` is named after
    its scan. ``grey_range`` are the grey levels that become black and white where slices are shown
    with 8 bits; without it the bits in use of the scanner, or the lowest and highest of its scans.
    """

    first: NonNegativeInt = 0
    last: NonNegativeInt | None = None
    step: PositiveInt = 1
    grey_range: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last is not None and self.last < self.first:
            raise ValueError(f"last {self.last} is before first {self.first}; exchange them.")
        return self

    @model_validator(mode="after")
    def _some_contrast(self) -> Self:
        if self.grey_range is not None and not self.grey_range[0] < self.grey_range[1]:
            low, high = self.grey_range
            raise ValueError(f"grey_range {low:g} to {high:g} is empty; give the lower one first.")
        return self

    @property
    def slices(self) -> "VolumeSettings":
        """Which slices are samples: as said here."""
        return self

    def choose(self, n_slices: int) -> list[int]:
        """Return the chosen slices of a scan."""
        last = n_slices - 1 if self.last is None else min(self.last, n_slices - 1)
        return list(range(self.first, last + 1, self.step))

    def check_generator(self, drawn: PictureGenerator) -> None:
        """Refuse nothing: samples are slices of whatever is drawn."""

    def check_metadata(self) -> None:
        """Refuse a format of what stands beside pictures, since scans tell it themselves."""
        raise ValueError("metadata_format is for pictures, not for scans (volumes); drop it.")


class Pictures(Unsaid):
    """The data set holds pictures: nothing was said about scans."""

    @property
    def slices(self) -> VolumeSettings:
        """Which slices of a scan are samples: all."""
        return VolumeSettings()

    def check_generator(self, drawn: PictureGenerator) -> None:
        """Refuse a generator that makes no pictures.

        Raises
        ------
        ValueError
            It makes scans.
        """
        if drawn.makes_scans:
            raise ValueError("generator 'ct_cell' makes scans; add 'volumes: {}' to the data set.")

    def check_metadata(self) -> None:
        """Refuse nothing: a format says how what stands beside pictures is written."""


def _find_volumes(values: Any) -> str:
    return "pictures" if values is None or isinstance(values, Unsaid) else "scans"


Volumes = Annotated[
    Annotated[VolumeSettings, Tag("scans")] | Annotated[Pictures, Tag("pictures"), AS_NULL],
    Discriminator(_find_volumes),
]


def read_slices(text: str, option: str) -> VolumeSettings:
    """Read ``FIRST:LAST:STEP`` from a command line; an empty part is the default.

    Raises
    ------
    ConfigError
        A part is no number, or they contradict each other.
    """
    names = ("first", "last", "step")
    values = {n: v for n, v in zip(names, text.split(":"), strict=False) if v}
    return validate_settings(VolumeSettings, values, option)


BitDepth = Annotated[int, Field(ge=8, le=16)]
Conditions = dict[str, str | float | int | bool | list[str | float | int]]


class DatasetSettings(Settings):
    """One data set: a folder of images with labels; without a path, a generator makes one.

    ``where`` keeps the samples whose manifest columns have the given value (or one of
    a list), for example ``{magnification: 500}``. ``domains`` names kinds of samples by such
    conditions, for example ``{additive: {additive: [VC, FEC]}, plain: {additive: none}}``.
    ``volumes``: the data set holds scans of many slices, not pictures. With ``targets`` models
    predict numbers instead of the class, which then only groups the images: any ``quantities``, or
    capacities over the C-rate. ``covariates`` stand beside the picture of a sample and go into
    the networks with it (``model.covariates: false`` leaves them out). ``cycling`` names a table
    of capacities over the cycle number, which the report draws beside the states.
    ``bit_depth`` says how many bits the grey levels of 16-bit files use that do not say so
    themselves, for all or by instrument; without it the brightest picture of each decides.
    ``metadata_format`` says how numbers and dates beside the pictures are written, where that
    cannot be told from them.
    ``max_pixels`` guards against decompression bombs. ``masks`` is a folder with a PNG per image,
    under the same path and of the same size, in which places other than 0 show what a person
    would look at (``masks_show`` says what), such as cracks; images may lack one. Reports then tell
    how much of a model's attention lies there. Generated SEM pictures bring their own.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    path: str | None = None
    generator: Generator | None = None
    labels: LabelSettings = LabelSettings()
    where: Conditions = {}
    domains: dict[Annotated[str, Field(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$")], Conditions] = {}
    volumes: Volumes = Pictures()
    expected_size_px: tuple[PositiveInt, PositiveInt] | None = None
    max_pixels: PositiveInt = 200_000_000
    bit_depth: BitDepth | dict[str, BitDepth] | None = None
    metadata_format: MetadataFormat = MetadataFormat()
    targets: TargetSettings = NoNumbers()
    covariates: CovariateTable | None = Field(default=None, exclude_if=lambda value: value is None)
    cycling: CyclingTable | None = Field(default=None, exclude_if=lambda value: value is None)
    masks: str | None = None
    masks_show: str = "particle boundaries and cracks"

    @property
    def only_class(self) -> str | None:
        """The class of all samples where nothing but numbers describes them; else None."""
        has_classes = self.labels.source != "folders" or self.labels.pattern is not None
        return "all" if self.targets.replaces_class and not has_classes else None

    @property
    def cycle_table(self) -> CyclingTable | None:
        """The table of capacities over cycles: the user's, or the one that a generator writes."""
        if self.cycling is not None or self.path is not None or self.generator is None:
            return self.cycling
        own = self.generator.cycling
        known = own is not None and {own.match, own.state_column} <= set(self.labels.columns)
        return own if known and self.targets.fits_cycling else None

    @property
    def generated(self) -> bool:
        """Whether a program makes the pictures."""
        return self.path is None

    @property
    def origin(self) -> str:
        """Where the pictures lie; empty if they are generated."""
        return self.path or ""

    @property
    def slices(self) -> VolumeSettings:
        """Which slices of a scan are samples; all, if nothing is said."""
        return self.volumes.slices

    @property
    def quantities(self) -> list[Quantity]:
        """The numbers that models predict; none if they predict classes."""
        return self.targets.listed

    @property
    def target_names(self) -> list[str]:
        """Their columns of the manifest."""
        return self.targets.names

    @property
    def described_targets(self) -> str:
        """What is predicted, in words; empty for classes."""
        return self.targets.described

    @property
    def computes_targets(self) -> bool:
        """Whether the half-cell model computes the numbers, so that nobody measured them."""
        return self.targets.computed

    @model_validator(mode="after")
    def _some_origin(self) -> Self:
        if self.path is None and self.generator is None:
            raise ValueError(
                "the data set has neither a path (your images) nor a generator (demo data); "
                "add one."
            )
        return self

    @model_validator(mode="after")
    def _bits_of_files(self) -> Self:
        if self.bit_depth is not None and self.path is None:
            raise ValueError(
                "bit_depth is for your own 16-bit files, but no path is given; drop it."
            )
        return self

    @model_validator(mode="after")
    def _quantities_have_columns(self) -> Self:
        self.targets.check_labels(self.labels.columns, self.labels.groups)
        return self

    @model_validator(mode="after")
    def _covariates_are_no_answers(self) -> Self:
        given = self.covariates
        if given is None:
            return self
        answers = {*self.labels.columns, "class", *self.targets.names}
        answers |= self.targets.list_columns(given.table)
        for covariate in given.listed:
            name, column = covariate.name, covariate.column
            key = f"covariates.columns.{name}"
            if found := [n for n in (name, column) if n in answers]:
                raise ValueError(
                    f"{key}: '{found[0]}' is a label or target of the data set, which models shall "
                    "find from the picture; leave it out of the covariates."
                )
            if given.table is None and column in NAMING_COLUMNS:
                raise ValueError(
                    f"{key}: '{column}' names a sample and tells nothing about others; leave it "
                    "out."
                )
        if taken := [c for c in self.labels.columns if c.startswith(COVARIATE_PREFIX)]:
            raise ValueError(
                f"labels.columns: '{taken[0]}' begins as the columns of covariates do; give the "
                "label another name."
            )
        return self

    @model_validator(mode="after")
    def _cycling_beside_classes(self) -> Self:
        if self.cycling is not None and not self.targets.fits_cycling:
            raise ValueError(
                "cycling stands beside classes, but models predict numbers (targets); drop one of "
                "them."
            )
        return self

    @model_validator(mode="after")
    def _metadata_of_files(self) -> Self:
        if self.metadata_format == MetadataFormat():
            return self
        if self.path is None:
            raise ValueError(
                "metadata_format is for your own pictures, but no path is given; drop it."
            )
        self.volumes.check_metadata()
        return self

    @model_validator(mode="after")
    def _scans_are_volumes(self) -> Self:
        if not self.path and self.generator is not None:
            self.volumes.check_generator(self.generator)
        return self
