"""What models predict: classes, where nobody says otherwise, or numbers."""

from collections.abc import Collection, Sequence
from typing import ClassVar, Literal

from batteryscope.config.base import Settings, Unsaid
from batteryscope.config.physics import HalfCellSettings


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


class Predicted:
    """What the rest asks about that which models predict; without numbers the answer is nothing."""

    # Whether numbers are all that describes a sample, so that it needs no class.
    replaces_class: ClassVar[bool] = False
    # Whether capacities over the cycle number may stand beside it.
    fits_cycling: ClassVar[bool] = False

    @property
    def listed(self) -> list[Quantity]:
        """The numbers in the order of the settings."""
        return []

    @property
    def described(self) -> str:
        """Which numbers they are, in words."""
        return ""

    @property
    def names(self) -> list[str]:
        """Names of the numbers, which are columns of the manifest."""
        return [quantity.name for quantity in self.listed]

    @property
    def computed(self) -> bool:
        """Whether the half-cell model computes the numbers, so that nobody measured them."""
        return False

    def list_columns(self, table: str | None) -> set[str]:
        """Return the columns of a table (None: of the labels) that hold the numbers."""
        return set()

    def complete(self, known: "Predicted") -> "Predicted":
        """Return these settings, or those of the study where nothing was said."""
        return self

    def check_labels(self, columns: Collection[str], groups: Collection[str] | None) -> None:
        """Refuse numbers that no label holds, or that are called as one.

        Parameters
        ----------
        columns
            Names of the labels.
        groups
            What the names of folders tell; None where a label table stands in their place.

        Raises
        ------
        ValueError
            One sentence that begins with the key.
        """

    def check_computed(self, cell: HalfCellSettings | None, key: str) -> None:
        """Refuse computed numbers that the half-cell model of the study cannot give.

        Parameters
        ----------
        cell
            The study's half cell.
        key
            Where the targets stand, for messages.

        Raises
        ------
        ValueError
            The study has no half cell, or it is not solved at one of the C-rates.
        """


class NoNumbers(Predicted, Unsaid):
    """Classes are predicted: nothing was said about numbers."""

    fits_cycling: ClassVar[bool] = True

    def complete(self, known: Predicted) -> Predicted:
        """Return what the study says."""
        return known


def choose_outputs(listed: Sequence[Quantity], outputs: str | Sequence[str]) -> list[Quantity]:
    """Return the quantities that ``model.outputs`` asks for, in the order of the settings.

    Parameters
    ----------
    listed
        All that the data set has.
    outputs
        ``all``, the unit of capacities, or names.

    Raises
    ------
    ValueError
        A name or unit is unknown.
    """
    if outputs == "all":
        return list(listed)
    # What a stage changes is not validated before: a number or null is an unknown name.
    wanted = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    keys = {q.name: {q.name, q.unit} if q.axis else {q.name} for q in listed}
    known = sorted({key for q in listed for key in ([q.unit] if q.axis else [q.name])})
    if unknown := [name for name in wanted if not any(name in of for of in keys.values())]:
        raise ValueError(
            f"model.outputs names '{unknown[0]}', which is none of the quantities "
            f"{', '.join(known)} of dataset.targets; name some of these, or say 'all'."
        )
    return [q for q in listed if keys[q.name] & set(wanted)]
