"""The numbers that models of electrodes predict: measured, or computed by the half-cell model."""

from typing import Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from batteryscope.config.base import Settings
from batteryscope.config.physics import HalfCellSettings
from batteryscope.config.table_format import TableFormat

RATE_TOLERANCE = 1e-6


class CapacityTargets(Settings):
    """Capacities of every electrode: what a study of rate capability predicts.

    ``source``: ``table``, measured capacities; ``simulated``, capacities that the half-cell
    model (``physics``) computes from the porosity of the electrode, which stands in the label
    column that ``physics.porosity_column`` names. Models then learn the law of that model, and
    ``table`` and its columns are not read.

    ``table`` is a CSV, Excel or parquet file inside the data set with one row per electrode,
    C-rate and unit (``table_format`` says how it is written, where that cannot be told from it);
    its electrodes are the ``specimen_id`` of the images. Several rows of the same electrode, C-rate
    and unit (several cells) are averaged. ``units``: ``Ah/kg`` of active material (mAh/g is the
    same), ``Ah/L`` of coating (mAh/cm³ is the same).
    """

    source: Literal["table", "simulated"] = "table"
    table: str = "capacities.csv"
    electrode_column: str = "electrode"
    c_rate_column: str = "c_rate"
    capacity_column: str = "capacity"
    unit_column: str = "unit"
    table_format: TableFormat = TableFormat()
    c_rates: list[PositiveFloat] = Field(default=[0.2, 1.0, 2.0, 3.0, 5.0], min_length=1)
    units: list[Literal["Ah/kg", "Ah/L"]] = Field(default=["Ah/kg", "Ah/L"], min_length=1)

    @model_validator(mode="after")
    def _format_of_a_table(self) -> Self:
        if self.computed and self.table_format != TableFormat():
            raise ValueError(
                "table_format is for a table of capacities, but source is 'simulated'; drop it."
            )
        return self

    @property
    def computed(self) -> bool:
        """Whether nobody measured them."""
        return self.source == "simulated"

    @property
    def names(self) -> list[str]:
        """Names of the targets, which are columns of the manifest: C-rates by unit."""
        return [name_target(c_rate, unit) for unit in self.units for c_rate in self.c_rates]


def name_target(c_rate: float, unit: str) -> str:
    """Return the column of a capacity.

    Examples
    --------
    >>> name_target(0.2, "Ah/kg")
    'capacity_0p2c_ah_kg'
    """
    rate = f"{c_rate:g}".replace(".", "p")
    return f"capacity_{rate}c_{unit.lower().replace('/', '_')}"


def check_computed(targets: CapacityTargets, cell: HalfCellSettings | None, key: str) -> None:
    """Refuse computed capacities that the half-cell model of the study cannot give.

    Parameters
    ----------
    targets
        Of the study's own or of its external data set.
    cell
        The study's half cell.
    key
        Where the targets stand, for messages.

    Raises
    ------
    ValueError
        The study has no half cell, or it is not solved at one of the C-rates.
    """
    if not targets.computed:
        return
    if cell is None:
        raise ValueError(
            f"{key}.source 'simulated' takes the capacities from the half-cell model; add "
            "physics: {}, or name a table of measured ones (source: table)."
        )
    for c_rate in targets.c_rates:
        if not any(abs(rate - c_rate) <= RATE_TOLERANCE * c_rate for rate in cell.c_rates):
            raise ValueError(
                f"{key}.c_rates: the half-cell model is not solved at {c_rate:g}C; add it to "
                f"physics.c_rates {cell.c_rates}, or leave it out."
            )
