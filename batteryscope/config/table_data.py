"""Data sets that are tables: files, columns with units and plausible ranges, domains."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, PositiveInt, model_validator

from batteryscope.config.base import Settings
from batteryscope.config.table_format import TableFormat

ColumnName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
DOMAIN_COLUMN = "domain"
RESERVED_COLUMNS = frozenset(("sample_id", "path", "row", "domain", "group"))
DOMAIN_PATTERN = r"^[a-z0-9]+(_[a-z0-9]+)*$"
DomainName = Annotated[str, Field(pattern=DOMAIN_PATTERN)]


def spell_domain(text: str) -> str:
    """Return a domain's name in its one spelling: ``Si-Graphite`` is ``si_graphite``.

    Examples
    --------
    >>> spell_domain(" GDL 200")
    'gdl_200'
    """
    return "_".join(text.casefold().replace("-", " ").replace("_", " ").split())


class ColumnSettings(Settings):
    """One number column.

    ``unit`` and ``label`` are shown in figures; ``header`` is the column's title in the
    file (by default its name here); values outside ``range`` (inclusive, in ``unit``) are
    impossible, and their rows are rejected. ``scale`` multiplies what the file says, for
    example 100 for a share that is wanted in percent.
    """

    unit: str = ""
    label: str = ""
    header: str | None = None
    range: tuple[float, float] | None = None
    scale: float = 1.0

    @model_validator(mode="after")
    def _range_ascends(self) -> Self:
        if self.range is not None and self.range[0] >= self.range[1]:
            raise ValueError(f"range {list(self.range)} is empty; give the smaller number first.")
        return self


class Condition(Settings):
    """Which rows of a column: one of ``values``, or from ``min`` to ``max`` (inclusive)."""

    values: list[str | float | int] | None = None
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.values is None and self.min is None and self.max is None:
            raise ValueError("the condition is empty; give values, min or max.")
        return self


class TableFile(TableFormat):
    """One file with rows, and how it is written.

    ``domain`` says which domain all its rows belong to; otherwise ``domains`` of the data set does.
    ``headers`` gives columns their titles in this file. ``formulas`` computes columns that
    this file lacks from its titles, for example ``100 * `calender.gap.um` / thickness``.
    """

    path: str
    domain: DomainName | None = None
    headers: dict[ColumnName, str] = {}
    formulas: dict[ColumnName, str] = {}

    @model_validator(mode="after")
    def _one_way_each(self) -> Self:
        if both := sorted(set(self.headers) & set(self.formulas)):
            raise ValueError(f"'{both[0]}' has a header and a formula; give one of them.")
        return self


class ManufacturingGenerator(Settings):
    """Electrodes made by the laws of coating and calendering; rows per chemistry."""

    kind: Literal["electrode_manufacturing"]
    rows: dict[Literal["graphite", "si_graphite", "nmc"], PositiveInt] = {
        "graphite": 235,
        "si_graphite": 53,
        "nmc": 63,
    }
    noise: Annotated[float, Field(ge=0, le=0.2)] = 0.015
    seed: int = 1

    @property
    def description(self) -> str:
        """Say in a sentence how the rows come about."""
        return (
            "Generated rows: density and loading follow laws of coating and calendering, with "
            f"{100 * self.noise:g} % noise. As in the paper, the active material of Si-graphite is "
            "the silicon alone, which is another quantity in the same column."
        )


class GdlGenerator(Settings):
    """Gas diffusion layers drawn voxel by voxel, with their geometric tortuosity.

    ``size_um`` is (length, width) of each domain's samples in the plane of the fibres.
    """

    kind: Literal["gdl"]
    rows: dict[DomainName, PositiveInt] = {"gdl200": 240, "gdl1000": 78}
    size_um: dict[DomainName, tuple[float, float]] = {
        "gdl200": (2000, 200),
        "gdl1000": (1000, 1000),
    }
    voxel_size_um: Annotated[float, Field(gt=0)] = 1.0
    seed: int = 1

    @property
    def description(self) -> str:
        """Say in a sentence how the rows come about."""
        sizes = "; ".join(f"{d} {a:g} × {b:g} µm" for d, (a, b) in self.size_um.items())
        return (
            f"Generated layers of fibres and binder, drawn in voxels of {self.voxel_size_um:g} µm "
            f"({sizes}). The geometric tortuosity is the mean shortest way through the pores from "
            "one face to the other over the distance of the faces; it depends on the voxel size, "
            "so that values of different voxel sizes should not be compared."
        )

    @model_validator(mode="after")
    def _sizes_known(self) -> Self:
        if missing := sorted(set(self.rows) - set(self.size_um)):
            raise ValueError(f"size_um lacks '{missing[0]}', of which rows are wanted; add it.")
        return self


TableGenerator = Annotated[ManufacturingGenerator | GdlGenerator, Field(discriminator="kind")]


class TableGeneratorKind(Settings):
    """The one key that all generators of tables share; it decides which class reads the rest."""

    model_config = ConfigDict(extra="ignore")

    kind: Literal["electrode_manufacturing", "gdl"]


class TableDatasetSettings(Settings):
    """Rows with features and targets, from files or, where none are named, from a generator.

    ``domains`` names a domain by conditions on columns (all must hold) where the files do
    not; without either, a column ``domain`` of the table names it. ``source`` is the domain
    that teaches, all others are targets. ``group`` is a column whose equal values stay on one
    side of a split (a batch, an electrode); rows with identical features always do.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    files: list[TableFile] = []
    generator: TableGenerator | None = None
    features: dict[ColumnName, ColumnSettings] = Field(min_length=1)
    targets: dict[ColumnName, ColumnSettings] = Field(min_length=1)
    domains: dict[DomainName, dict[str, Condition]] = {}
    source: DomainName
    group: str | None = None

    @model_validator(mode="after")
    def _some_origin(self) -> Self:
        if not self.files and self.generator is None:
            raise ValueError(
                "the data set has neither files (your tables) nor a generator (demo data); add one."
            )
        if both := sorted(set(self.features) & set(self.targets)):
            raise ValueError(f"'{both[0]}' is a feature and a target; it can be one of them.")
        if taken := sorted(RESERVED_COLUMNS & (set(self.features) | set(self.targets))):
            raise ValueError(
                f"'{taken[0]}' is a column that every table gets; name the feature or target "
                "otherwise and give the title in the file as its header."
            )
        return self

    @property
    def generated(self) -> bool:
        """Whether the rows are those of the generator."""
        return not self.files

    @property
    def origin(self) -> str:
        """Where the tables lie; empty if they are generated."""
        return ", ".join(file.path for file in self.files)
