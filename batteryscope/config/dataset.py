"""Where the pictures are, how they were labelled, or how to generate them."""

import difflib
import re
from itertools import product
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

from batteryscope.config.base import Settings, validate_settings
from batteryscope.config.covariates import (
    COVARIATE_PREFIX,
    NAMING_COLUMNS,
    CovariateTable,
)
from batteryscope.config.table_format import DatedTableFormat, MetadataFormat
from batteryscope.config.targets import CapacityTargets, QuantityTargets, TargetSettings


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

    source: Literal["folders", "table"] = "folders"
    pattern: str | None = None
    table: str | None = None
    file_column: str = "file"
    columns: list[str] = Field(default=["class"], min_length=1)
    grades: list[str] = []
    table_format: DatedTableFormat = DatedTableFormat()

    @model_validator(mode="after")
    def _format_of_a_table(self) -> Self:
        if self.source != "table" and self.table_format != DatedTableFormat():
            raise ValueError(
                "labels.table_format is for a label table, but labels.source is 'folders'; drop it."
            )
        return self

    def choose_grades(self, outputs: str | list[str]) -> dict[str, list[str]]:
        """Return the order that a network with these ``model.outputs`` learns, if it does.

        Raises
        ------
        ValueError
            It shall learn one, and there is none.
        """
        if outputs != "grades":
            return {}
        if not self.grades:
            raise ValueError(
                "model.outputs is 'grades', but the classes have no order; list them from the "
                "lowest to the highest in dataset.labels.grades."
            )
        return {"grades": self.grades}

    @model_validator(mode="after")
    def _grades_are_an_order(self) -> Self:
        twice = sorted({name for name in self.grades if self.grades.count(name) > 1})
        if twice:
            raise ValueError(f"labels.grades names '{twice[0]}' twice; an order has each once.")
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


class SemTopViewGenerator(Settings):
    """Generated SEM top views of NCM cathodes (see ``batteryscope.demo.sem_frame``).

    The scale is always 0.2688 um per pixel (500x), so that a smaller frame shows a smaller
    field. One class, and one folder, for every composition, state and additive;
    ``images_of`` gives single folders (``ncm811_formation_VC``) another number of images,
    since real collections are seldom balanced.
    """

    kind: Literal["sem_top_view"] = "sem_top_view"
    images_per_class: PositiveInt = 14
    images_of: dict[str, PositiveInt] = {}
    width_px: Annotated[int, Field(ge=256)] = 640
    height_px: Annotated[int, Field(ge=192)] = 480
    compositions: list[Literal["333", "523", "622", "811"]] = Field(
        default=["333", "523", "622", "811"], min_length=1
    )
    states: list[Literal["pristine", "formation", "100cycles"]] = Field(
        default=["pristine", "formation", "100cycles"], min_length=1
    )
    additives: list[Literal["none", "VC", "FEC", "LiBOB"]] = Field(default=["none"], min_length=1)
    seed: int = 1

    @model_validator(mode="after")
    def _no_name_twice(self) -> Self:
        for key in ("compositions", "states", "additives"):
            names = getattr(self, key)
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{key} names {twice[0]!r} more than once; name it once.")
        return self

    @model_validator(mode="after")
    def _known_folders(self) -> Self:
        folders = [
            name_sem_folder(*names)
            for names in product(self.compositions, self.states, self.additives)
        ]
        if unknown := sorted(set(self.images_of) - set(folders)):
            near = difflib.get_close_matches(unknown[0], folders, n=3, cutoff=0.0)
            raise ValueError(
                f"images_of names {unknown[0]!r}, which is no generated folder; "
                f"the nearest ones are {', '.join(near)}."
            )
        return self


def name_sem_folder(composition: str, state: str, additive: str) -> str:
    """Return the folder of a class, for example ``ncm811_100cycles`` or ``ncm811_100cycles_VC``."""
    suffix = "" if additive == "none" else f"_{additive}"
    return f"ncm{composition}_{state}{suffix}"


class CheckSetGenerator(Settings):
    """Check sets: ``trivial`` must be solved, ``random`` must not be solvable."""

    kind: Literal["trivial", "random"]
    classes: Annotated[int, Field(ge=2, le=8)] = 3
    images_per_class: PositiveInt = 12
    width_px: Annotated[int, Field(ge=64)] = 160
    height_px: Annotated[int, Field(ge=64)] = 144
    seed: int = 1


class CtCellGenerator(Settings):
    """Generated micro-CT scans of cylindrical cells (see ``batteryscope.demo.ct_scan``).

    One scan per cell, ``cells_per_state`` cells of every state. Every cell has its own
    dimensions, position, tilt, noise and ring artefacts, drawn independently of its state.
    """

    kind: Literal["ct_cell"]
    cells_per_state: PositiveInt = 6
    slices: Annotated[int, Field(ge=3)] = 12
    size_px: Annotated[int, Field(ge=160)] = 256
    states: list[Literal["pristine", "cycle_aged", "calendar_aged", "thermal_cycled"]] = Field(
        default=["pristine", "cycle_aged", "calendar_aged", "thermal_cycled"], min_length=1
    )
    seed: int = 1

    @property
    def images_per_class(self) -> int:
        """Groups of every class, which a split divides: the cells."""
        return self.cells_per_state

    @property
    def width_px(self) -> int:
        """Edge of a slice."""
        return self.size_px

    @property
    def height_px(self) -> int:
        """Edge of a slice."""
        return self.size_px


class CrossSectionGenerator(Settings):
    """Generated light-microscopy cross-sections of NCM111 cathodes (Deeg et al. 2024).

    One folder per electrode, and ``capacities.csv`` with the capacities that the half-cell model
    gives for its porosity. Electrodes of one ``porosities`` level differ by ``electrode_spread``
    (standard deviation), the places on one electrode by ``local_spread``; the loading of a place
    by the share ``loading_spread``, so that thickness alone does not tell the porosity. Measured
    capacities have a relative error of ``capacity_error``. The scale is 0.123 um per pixel.
    The electrodes of a porosity are counted from ``first_electrode``: sets with other numbers have
    other electrodes.
    """

    kind: Literal["cross_section"] = "cross_section"
    porosities: list[Annotated[float, Field(gt=0.15, lt=0.55)]] = Field(
        default=[0.495, 0.346, 0.30, 0.254, 0.196], min_length=2
    )
    electrodes_per_porosity: PositiveInt = 6
    first_electrode: PositiveInt = 1
    images_per_electrode: PositiveInt = 10
    width_px: Annotated[int, Field(ge=320)] = 704
    electrode_spread: NonNegativeFloat = 0.002
    local_spread: NonNegativeFloat = 0.006
    loading_spread: NonNegativeFloat = 0.06
    capacity_error: NonNegativeFloat = 0.005
    seed: int = 1

    @property
    def images_per_class(self) -> int:
        """Images of one porosity."""
        return self.electrodes_per_porosity * self.images_per_electrode


Generator = Annotated[
    SemTopViewGenerator | CheckSetGenerator | CtCellGenerator | CrossSectionGenerator,
    Field(discriminator="kind"),
]


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

    def choose(self, n_slices: int) -> list[int]:
        """Return the chosen slices of a scan."""
        last = n_slices - 1 if self.last is None else min(self.last, n_slices - 1)
        return list(range(self.first, last + 1, self.step))


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
    the networks with it (``model.covariates: false`` leaves them out).
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
    volumes: VolumeSettings | None = None
    expected_size_px: tuple[PositiveInt, PositiveInt] | None = None
    max_pixels: PositiveInt = 200_000_000
    bit_depth: BitDepth | dict[str, BitDepth] | None = None
    metadata_format: MetadataFormat = MetadataFormat()
    targets: TargetSettings | None = None
    covariates: CovariateTable | None = Field(default=None, exclude_if=lambda value: value is None)
    masks: str | None = None
    masks_show: str = "particle boundaries and cracks"

    @property
    def only_class(self) -> str | None:
        """The class of all samples where nothing but numbers describes them; else None."""
        has_classes = self.labels.source != "folders" or self.labels.pattern is not None
        is_of_numbers = isinstance(self.targets, QuantityTargets)
        return "all" if is_of_numbers and not has_classes else None

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
        if not isinstance(self.targets, QuantityTargets):
            return self
        labels = self.labels
        pattern = re.compile(labels.pattern or "") if labels.source == "folders" else None
        groups = [] if pattern is None else list(pattern.groupindex)
        for name, column in self.targets.columns.items():
            if name in labels.columns or (self.targets.table and name in groups):
                raise ValueError(
                    f"targets.quantities: '{name}' is already a label; give the quantity another "
                    "name (its column may say where its values stand)."
                )
            if self.targets.table is None and pattern is not None and column not in groups:
                raise ValueError(
                    f"targets.quantities.{name}: the values of '{column}' stand nowhere; add a "
                    f"named group (?P<{column}>…) to labels.pattern, or name a targets.table with "
                    "its sample_column."
                )
        return self

    @model_validator(mode="after")
    def _covariates_are_no_answers(self) -> Self:
        given, targets = self.covariates, self.targets
        if given is None:
            return self
        for covariate in given.listed:
            name, column = covariate.name, covariate.column
            key = f"covariates.columns.{name}"
            labels = {*self.labels.columns, "class"}
            answers = labels if targets is None else {*labels, *targets.names}
            is_source = targets is not None and targets.table == given.table
            if isinstance(targets, QuantityTargets) and is_source:
                answers |= set(targets.columns.values())
            elif isinstance(targets, CapacityTargets) and is_source:
                answers.add(targets.capacity_column)
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
    def _metadata_of_files(self) -> Self:
        if self.metadata_format == MetadataFormat():
            return self
        if self.path is None:
            raise ValueError(
                "metadata_format is for your own pictures, but no path is given; drop it."
            )
        if self.volumes is not None:
            raise ValueError("metadata_format is for pictures, not for scans (volumes); drop it.")
        return self

    @model_validator(mode="after")
    def _scans_are_volumes(self) -> Self:
        if self.volumes is None and isinstance(self.generator, CtCellGenerator) and not self.path:
            raise ValueError("generator 'ct_cell' makes scans; add 'volumes: {}' to the data set.")
        return self
