"""The numbers that models predict: any quantities, or capacities over the C-rate."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, FiniteFloat, PositiveFloat, Tag, model_validator

from batteryscope.config.base import Settings
from batteryscope.config.joined_table import JoinedTable
from batteryscope.config.physics import HalfCellSettings
from batteryscope.config.table_format import TableFormat

RATE_TOLERANCE = 1e-6
C_RATE = "C-rate"
# Columns of the sample table and of the tables of predictions; no quantity may be called so.
TAKEN_NAMES = frozenset({
    "sample_id", "path", "sha256", "specimen_id", "session_id", "domain", "class", "width_px",
    "height_px", "bit_depth", "bit_depth_source", "stored_type", "grey_low", "grey_high",
    "pixel_size_um", "magnification", "voltage_kv", "working_distance_mm", "brightness",
    "contrast", "detector", "acquired_at", "data_bar_px", "instrument", "volume", "slice",
    "file", "level", "status", "reason", "note", "seen_in_training", "tiles_used",
    "tiles_rejected", "slices_used", "slices_rejected", "arm", "repeat", "fold", "role", "tile",
})  # fmt: skip
ENDINGS = ("_low", "_high", "_fold_sd", "_slice_sd")  # of the columns beside a prediction


class Quantity(Settings):
    """One number that models predict.

    ``at`` is its place on the ``axis``, where it is a point of a curve (C-rate). The network
    learns the values, or with ``transform: log`` their logarithms; all values that are reported
    are in ``unit``. True values and intervals lie between ``low`` and ``high``.
    """

    name: str
    unit: str
    label: str
    low: float | None = None
    high: float | None = None
    transform: Literal["none", "log"] = "none"
    axis: str = ""
    at: float | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is measured; a percentage only where no value can be 0."""
        if self.axis:
            return ("mape", "mae", "r2")
        return ("mae", "rmse", "r2", "mape") if self.excludes_zero else ("mae", "rmse", "r2")

    @property
    def excludes_zero(self) -> bool:
        """Whether all values are above 0, or all below it."""
        return (self.low is not None and self.low > 0) or (self.high is not None and self.high < 0)

    @property
    def interval(self) -> Literal["relative", "absolute", "ratio"]:
        """Errors that an interval is made of: shares of the prediction, differences or factors."""
        if self.axis:
            return "relative"
        return "ratio" if self.transform == "log" else "absolute"

    @property
    def title(self) -> str:
        """What heads its column: the place on the axis, or label and unit."""
        return f"{self.at:g}C" if self.at is not None else f"{self.label} / {self.unit}"

    def clip(self, value: float) -> float:
        """Return the value, or ``low`` or ``high`` if it lies below or above."""
        raised = value if self.low is None else max(value, self.low)
        return raised if self.high is None else min(raised, self.high)


class QuantitySettings(Settings):
    """One quantity of ``dataset.targets.quantities``: unit, range, and where its values stand.

    ``column`` of the table (or of the labels, where ``targets`` name no table) holds the values;
    without it the column is called as the quantity. A sample whose value is missing, no number, or
    outside of ``low`` to ``high`` is rejected. ``transform: log`` lets the network learn the
    logarithm, for values that differ by powers of ten; ``low`` must then be above 0.
    """

    unit: Annotated[str, Field(min_length=1, max_length=24)]
    label: str = ""
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    transform: Literal["none", "log"] = "none"
    column: str | None = None

    @model_validator(mode="after")
    def _range_in_order(self) -> Self:
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(
                f"low {self.low:g} is not below high {self.high:g}; exchange or correct them."
            )
        if self.transform == "log" and (self.low is None or self.low <= 0):
            found = "no low" if self.low is None else f"low {self.low:g}"
            raise ValueError(
                f"transform 'log' needs values above 0, found {found}; set low to the smallest "
                "value that can occur (above 0), or transform to 'none'."
            )
        return self


class QuantityTargets(JoinedTable):
    """Any numbers that models predict from a picture or a scan: names, units, ranges.

    ``table`` is a CSV, Excel or parquet file inside the data set with one row per sample
    (``table_format`` says how it is written, where that cannot be told from it); its
    ``sample_column`` names the file (or its path within the data set), the scan, or the specimen.
    Without a table the values are label columns: named groups of ``labels.pattern``, or columns of
    the label table.
    """

    quantities: dict[
        Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$")], QuantitySettings
    ] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        for name in self.quantities:
            if name in TAKEN_NAMES or name.startswith(("p_", "capacity_", "y_true_", "y_pred_")):
                raise ValueError(
                    f"quantities: '{name}' is a column that tables of samples or predictions "
                    "already have; give it another name (column says where its values stand)."
                )
            for end in ENDINGS:
                if name.removesuffix(end) != name and name.removesuffix(end) in self.quantities:
                    raise ValueError(
                        f"quantities: '{name}' is what the column beside the predicted "
                        f"'{name.removesuffix(end)}' is called; give it another name."
                    )
        return self

    @property
    def computed(self) -> bool:
        """Whether nobody measured them."""
        return False

    @property
    def listed(self) -> list[Quantity]:
        """The quantities in the order of the settings."""
        return [
            Quantity(
                name=name,
                unit=q.unit,
                label=q.label or name.replace("_", " "),
                low=q.low,
                high=q.high,
                transform=q.transform,
            )
            for name, q in self.quantities.items()
        ]

    @property
    def names(self) -> list[str]:
        """Names of the targets, which are columns of the manifest."""
        return list(self.quantities)

    @property
    def described(self) -> str:
        """What is predicted, in words."""
        return f"the quantities {', '.join(self.quantities)}"

    @property
    def columns(self) -> dict[str, str]:
        """Column of the values by name of the quantity."""
        return {name: q.column or name for name, q in self.quantities.items()}


class CapacityTargets(Settings):
    """Capacities of every electrode: quantities with the C-rate as their axis.

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
    def listed(self) -> list[Quantity]:
        """The quantities: C-rates by unit."""
        return [
            Quantity(
                name=name_target(c_rate, unit), unit=unit, label="capacity", axis=C_RATE, at=c_rate
            )
            for unit in self.units
            for c_rate in self.c_rates
        ]

    @property
    def names(self) -> list[str]:
        """Names of the targets, which are columns of the manifest."""
        return [quantity.name for quantity in self.listed]

    @property
    def described(self) -> str:
        """What is predicted, in words."""
        return f"the capacities of the study, at {self.c_rates} C in {' and '.join(self.units)}"


def _find_kind(values: Any) -> str:
    """Tell the settings apart by the key that one of them alone has."""
    has = "quantities" in values if isinstance(values, dict) else hasattr(values, "quantities")
    return "quantities" if has else "capacities"


TargetSettings = Annotated[
    Annotated[CapacityTargets, Tag("capacities")] | Annotated[QuantityTargets, Tag("quantities")],
    Discriminator(_find_kind),
]


def choose_outputs(
    targets: "CapacityTargets | QuantityTargets", outputs: str | Sequence[str]
) -> list[Quantity]:
    """Return the quantities that ``model.outputs`` asks for, in the order of the settings.

    Parameters
    ----------
    targets
        Of the data set.
    outputs
        ``all``, the unit of capacities, or names.

    Raises
    ------
    ValueError
        A name or unit is unknown.
    """
    listed = targets.listed
    if outputs == "all":
        return listed
    wanted = [outputs] if isinstance(outputs, str) else list(outputs)
    keys = {q.name: {q.name, q.unit} if q.axis else {q.name} for q in listed}
    known = sorted({key for q in listed for key in ([q.unit] if q.axis else [q.name])})
    if unknown := [name for name in wanted if not any(name in of for of in keys.values())]:
        raise ValueError(
            f"model.outputs names '{unknown[0]}', which is none of the quantities "
            f"{', '.join(known)} of dataset.targets; name some of these, or say 'all'."
        )
    return [q for q in listed if keys[q.name] & set(wanted)]


def choose_targets(
    targets: "CapacityTargets | QuantityTargets | None", outputs: str | Sequence[str]
) -> dict[str, list[str]]:
    """Return which numbers a training stage learns: ``targets, log_targets, zero_targets``.

    Parameters
    ----------
    targets
        Of the data set; None if the study predicts classes.
    outputs
        ``model.outputs``.

    Raises
    ------
    ValueError
        The study predicts numbers and the outputs are classes, or a name is unknown.
    """
    if targets is None:
        return {}
    if outputs in ("class", "grades"):
        raise ValueError(
            f"the study predicts numbers (dataset.targets), but model.outputs is '{outputs}'; say "
            "'all', or name the quantities."
        )
    chosen = choose_outputs(targets, outputs)
    return {
        "targets": [q.name for q in chosen],
        "log_targets": [q.name for q in chosen if q.transform == "log"],
        "zero_targets": [q.name for q in chosen if "mape" not in q.metrics],
    }


def name_target(c_rate: float, unit: str) -> str:
    """Return the column of a capacity.

    Examples
    --------
    >>> name_target(0.2, "Ah/kg")
    'capacity_0p2c_ah_kg'
    """
    rate = f"{c_rate:g}".replace(".", "p")
    return f"capacity_{rate}c_{unit.lower().replace('/', '_')}"


def check_computed(
    targets: CapacityTargets | QuantityTargets, cell: HalfCellSettings | None, key: str
) -> None:
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
    if not isinstance(targets, CapacityTargets) or not targets.computed:
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
