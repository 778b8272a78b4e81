"""Numbers and names that stand beside the pictures of a sample: thickness, loading, cycles."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from batteryscope.config.base import Settings
from batteryscope.config.joined_table import JoinedTable

COVARIATE_PREFIX = "covariate_"  # of their columns in the sample table
# Columns that name a sample; what names it tells nothing about others.
NAMING_COLUMNS = ("sample_id", "path", "sha256", "class", "specimen_id")
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$")]
Category = Annotated[str, Field(min_length=1, max_length=60)]


class Covariate(Settings):
    """One covariate: what it is called, and where its values stand.

    ``categories``: the names that it may have; none for a number, which has a ``unit``.
    ``column`` is its title in tables, ``sample_column`` that of what names the samples there.
    """

    name: str
    label: str
    unit: str = ""
    categories: list[str] = []
    column: str
    sample_column: str = "file"

    @property
    def inputs(self) -> list[str]:
        """What networks are given: the number, or a 0 or 1 for each category.

        Examples
        --------
        >>> Covariate(name="binder", label="", categories=["CMC", "PVDF"], column="b").inputs
        ['binder=CMC', 'binder=PVDF']
        """
        return [f"{self.name}={c}" for c in self.categories] if self.categories else [self.name]

    @property
    def title(self) -> str:
        """Label and unit."""
        return f"{self.label} / {self.unit}" if self.unit else self.label


class CovariateSettings(Settings):
    """One covariate of ``dataset.covariates.columns``: a number with a unit, or one of a few names.

    ``column`` is its title in the table; without it the column is called as the covariate.
    ``categories`` lists all names that may occur; each becomes an input of its own.
    """

    named_once: ClassVar[tuple[str, ...]] = ("categories",)

    unit: Annotated[str, Field(max_length=24)] = ""
    label: str = ""
    categories: list[Category] = []
    column: str | None = None

    @model_validator(mode="after")
    def _number_or_name(self) -> Self:
        if not self.unit and not self.categories:
            raise ValueError(
                "neither unit nor categories are given; state the unit of a number (for a count "
                "what is counted, such as 'cycles'), or list the names that may occur."
            )
        if self.unit and self.categories:
            raise ValueError(f"names have no unit, found '{self.unit}'; leave it out.")
        if len(self.categories) == 1:
            raise ValueError(f"categories {self.categories}: two or more names are needed.")
        return self


class CovariateTable(JoinedTable):
    """What is known of every sample beside its picture, and goes into the networks with it.

    ``table`` is a CSV, Excel or parquet file inside the data set with one row per sample; its
    ``sample_column`` names the file (or its path within the data set), the scan, or the specimen.
    Without a table the values are columns of the sample table: named groups of
    ``labels.pattern``, columns of the label table, or what files say of themselves
    (``magnification``, ``voltage_kv``, …). A sample without all values is rejected.
    """

    columns: dict[Name, CovariateSettings] = Field(min_length=1)

    @property
    def listed(self) -> list[Covariate]:
        """The covariates in the order of the settings."""
        return [
            Covariate(
                name=name,
                label=c.label or name.replace("_", " "),
                unit=c.unit,
                categories=c.categories,
                column=c.column or name,
                sample_column=self.sample_column or "file",
            )
            for name, c in self.columns.items()
        ]


def list_inputs(covariates: list[Covariate]) -> list[str]:
    """Return what networks are given of all covariates, in order."""
    return [name for covariate in covariates for name in covariate.inputs]


def choose_covariates(known: CovariateTable | None, used: bool | None) -> dict[str, Any]:
    """Return what a training stage is given beside pictures, ``covariates``, if anything.

    Parameters
    ----------
    known
        Those of the data set.
    used
        ``model.covariates``; None: if there are any.

    Raises
    ------
    ValueError
        The data set has none, so that the choice has no effect.
    """
    if known is None and used is not None:
        raise ValueError(
            f"model.covariates {str(used).lower()} has no effect, since the data set has none; add "
            "dataset.covariates, or leave it out."
        )
    if known is None or used is False:
        return {}
    return {"covariates": [c.model_dump(mode="json") for c in known.listed]}
