"""The numbers that models predict: any quantities, or capacities over the C-rate."""

from collections.abc import Collection
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, FiniteFloat, PositiveFloat, Tag, model_validator

from batteryscope.config.base import AS_NULL, CountsWith, Settings, Unsaid
from batteryscope.config.joined_table import JoinedTable
from batteryscope.config.physics import HalfCellSettings
from batteryscope.config.predicted import ClassWords, NoNumbers, Predicted, Quantity, name_axis
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
# Columns of the table of curves beside that of the axis.
TAKEN_BY_CURVES = frozenset({
    "arm", "class", "unit", "measured", "predicted", "sd_images", "sd_folds", "n", "curve", "",
})  # fmt: skip
ENDINGS = ("_low", "_high", "_fold_sd", "_slice_sd")  # of the columns beside a prediction


class AxisSettings(Settings):
    """The place of a quantity on an axis, such as ``{name: frequency, unit: Hz, at: 10}``.

    Quantities with the same label are points of one curve. Where no value can be 0 (``low`` above
    0, or ``high`` below it) they are judged in percent, else in their unit.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z].*$", max_length=40)]
    unit: Annotated[str, Field(max_length=24)] = ""
    at: FiniteFloat


class QuantitySettings(Settings):
    """One quantity of ``dataset.targets.quantities``: unit, range, and where its values stand.

    ``column`` of the table (or of the labels, where ``targets`` name no table) holds the values;
    without it the column is called as the quantity. A sample whose value is missing, no number, or
    outside of ``low`` to ``high`` is rejected. ``transform: log`` lets the network learn the
    logarithm, for values that differ by powers of ten; ``low`` must then be above 0. ``axis``: it
    is a point of a curve, which ``label`` names.
    """

    unit: Annotated[str, Field(min_length=1, max_length=24)]
    label: str = ""
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    transform: Literal["none", "log"] = "none"
    column: str | None = None
    axis: AxisSettings | None = None

    @model_validator(mode="after")
    def _curve_has_a_name(self) -> Self:
        if self.axis is not None and not self.label:
            raise ValueError(
                f"axis: it is a point over the {self.axis.name}, but no label names the curve; "
                "give all points of one curve the same label, such as 'impedance'."
            )
        return self

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


class QuantityTargets(Predicted, JoinedTable):
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

    replaces_class: ClassVar[bool] = True

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

    @model_validator(mode="after")
    def _points_of_curves(self) -> Self:
        taken: dict[tuple[str, str, float], str] = {}
        first = ""
        common: AxisSettings | None = None
        for name, quantity in self.quantities.items():
            if (own := quantity.axis) is None:
                continue
            if common is None:
                first, common = name, own
            if (own.name, own.unit) != (common.name, common.unit):
                raise ValueError(
                    f"quantities: '{first}' lies on the axis {common.name} in '{common.unit}', but "
                    f"'{name}' on {own.name} in '{own.unit}'; write them alike, or put curves over "
                    "different axes into studies of their own."
                )
            if name_axis(own.name) in TAKEN_BY_CURVES:
                raise ValueError(
                    f"quantities: the axis of '{name}' is called '{own.name}', as a column of the "
                    "table of curves already is; give it a longer name."
                )
            other = taken.setdefault((quantity.label, quantity.unit, own.at), name)
            if other != name:
                raise ValueError(
                    f"quantities: '{other}' and '{name}' are both the {quantity.label} at "
                    f"{own.at:g}; correct axis.at of one of them, or give it another label."
                )
        return self

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
                **({} if q.axis is None else _place_on(q.axis)),
            )
            for name, q in self.quantities.items()
        ]

    @property
    def described(self) -> str:
        """What is predicted, in words."""
        return f"the quantities {', '.join(self.quantities)}"

    @property
    def columns(self) -> dict[str, str]:
        """Column of the values by name of the quantity."""
        return {name: q.column or name for name, q in self.quantities.items()}

    def list_columns(self, table: str | None) -> set[str]:
        """Return the columns of the quantities, if they stand in that table."""
        return set(self.columns.values()) if self.table == table else set()

    def check_labels(self, columns: Collection[str], groups: Collection[str] | None) -> None:
        """Refuse quantities that no label holds, or that are called as one."""
        for name, column in self.columns.items():
            if name in columns or (self.table and name in (groups or ())):
                raise ValueError(
                    f"targets.quantities: '{name}' is already a label; give the quantity another "
                    "name (its column may say where its values stand)."
                )
            if self.table is None and groups is not None and column not in groups:
                raise ValueError(
                    f"targets.quantities.{name}: the values of '{column}' stand nowhere; add a "
                    f"named group (?P<{column}>…) to labels.pattern, or name a targets.table with "
                    "its sample_column."
                )


class CapacityTargets(Predicted, Settings):
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

    counts_with: ClassVar[tuple[CountsWith, ...]] = (
        CountsWith("table_format", "source", ("table",)),
    )
    named_once: ClassVar[tuple[str, ...]] = ("c_rates", "units")

    source: Literal["table", "simulated"] = "table"
    table: str = "capacities.csv"
    electrode_column: str = "electrode"
    c_rate_column: str = "c_rate"
    capacity_column: str = "capacity"
    unit_column: str = "unit"
    table_format: TableFormat = TableFormat()
    c_rates: list[PositiveFloat] = Field(default=[0.2, 1.0, 2.0, 3.0, 5.0], min_length=1)
    units: list[Literal["Ah/kg", "Ah/L"]] = Field(default=["Ah/kg", "Ah/L"], min_length=1)

    class_words: ClassVar[ClassWords] = ClassWords("porosity", "porosities", "%")
    specimen: ClassVar[str] = "electrode"
    compares_porosities: ClassVar[bool] = True
    # What is measured on coatings stands for the paper's comparison, whatever the default adds.
    takes_more_baselines: ClassVar[bool] = False

    @property
    def computed(self) -> bool:
        """Whether nobody measured them."""
        return self.source == "simulated"

    @property
    def listed(self) -> list[Quantity]:
        """The quantities: C-rates by unit."""
        return [
            capacity_at(name_target(c_rate, unit), c_rate, unit)
            for unit in self.units
            for c_rate in self.c_rates
        ]

    @property
    def described(self) -> str:
        """What is predicted, in words."""
        return f"the capacities of the study, at {self.c_rates} C in {' and '.join(self.units)}"

    def list_columns(self, table: str | None) -> set[str]:
        """Return the column of the capacities, if they stand in that table."""
        return {self.capacity_column} if self.table == table else set()

    def check_computed(self, cell: HalfCellSettings | None, key: str) -> None:
        """Refuse capacities that the half-cell model of the study cannot give."""
        if not self.computed:
            return
        if cell is None:
            raise ValueError(
                f"{key}.source 'simulated' takes the capacities from the half-cell model; add "
                "physics: {}, or name a table of measured ones (source: table)."
            )
        for c_rate in self.c_rates:
            if not any(abs(rate - c_rate) <= RATE_TOLERANCE * c_rate for rate in cell.c_rates):
                raise ValueError(
                    f"{key}.c_rates: the half-cell model is not solved at {c_rate:g}C; add it to "
                    f"physics.c_rates {cell.c_rates}, or leave it out."
                )


def _find_alternative(values: Any) -> str:
    """Tell the settings apart: one is written as null, one has a key that the other one lacks."""
    if values is None or isinstance(values, Unsaid):
        return "nothing"
    has = "quantities" in values if isinstance(values, dict) else hasattr(values, "quantities")
    return "quantities" if has else "capacities"


TargetSettings = Annotated[
    Annotated[CapacityTargets, Tag("capacities")]
    | Annotated[QuantityTargets, Tag("quantities")]
    | Annotated[NoNumbers, Tag("nothing"), AS_NULL],
    Discriminator(_find_alternative),
]


def _place_on(axis: AxisSettings) -> dict[str, Any]:
    return {"axis": axis.name, "axis_unit": axis.unit, "at": axis.at}


def capacity_at(name: str, c_rate: float, unit: str) -> Quantity:
    """Return a point of the capacity over the C-rate, as a quantity of that name."""
    return Quantity(
        name=name, unit=unit, label="capacity", axis=C_RATE, axis_unit="C", at=c_rate, positive=True
    )


def name_target(c_rate: float, unit: str) -> str:
    """Return the column of a capacity.

    Examples
    --------
    >>> name_target(0.2, "Ah/kg")
    'capacity_0p2c_ah_kg'
    """
    rate = f"{c_rate:g}".replace(".", "p")
    return f"capacity_{rate}c_{unit.lower().replace('/', '_')}"
