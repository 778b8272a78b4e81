"""What models predict: classes, where nobody says otherwise, or numbers."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from batteryscope.config.base import Settings, Unsaid
from batteryscope.config.physics import HalfCellSettings


def name_axis(axis: str) -> str:
    """Return the column of an axis.

    Examples
    --------
    >>> name_axis("C-rate")
    'c_rate'
    """
    return re.sub(r"[^a-z0-9]+", "_", axis.lower()).strip("_")


# Units that are written close to their number.
CLOSE_UNITS = ("C",)


class Quantity(Settings):
    """One number that models predict.

    ``at`` is its place on the ``axis``, where it is a point of a curve (capacity over the C-rate,
    impedance over the frequency). The network learns the values, or with ``transform: log`` their
    logarithms; all values that are reported are in ``unit``. True values and intervals lie between
    ``low`` and ``high``; ``positive`` says that the values are above 0 by their nature, without
    a lowest one that settings could name.
    """

    name: str
    unit: str
    label: str
    low: float | None = None
    high: float | None = None
    transform: Literal["none", "log"] = "none"
    axis: str = ""
    axis_unit: str = ""
    at: float | None = None
    positive: bool = False

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is measured; a percentage only where no value can be 0."""
        if self.relative:
            return ("mape", "mae", "r2")
        return ("mae", "rmse", "r2", "mape") if self.excludes_zero else ("mae", "rmse", "r2")

    @property
    def excludes_zero(self) -> bool:
        """Whether all values are above 0, or all below it."""
        below = self.high is not None and self.high < 0
        return self.positive or (self.low is not None and self.low > 0) or below

    @property
    def relative(self) -> bool:
        """Whether it is judged by percent of the true value.

        Along a curve values may differ by powers of ten, so that the errors of its points can be
        averaged in percent only.
        """
        return bool(self.axis) and self.excludes_zero

    @property
    def main_metric(self) -> str:
        """The error that is told first: ``mape``, or ``mae`` where percentages say nothing."""
        return "mape" if self.relative else "mae"

    @property
    def interval(self) -> Literal["relative", "absolute", "ratio"]:
        """Errors that an interval is made of: shares of the prediction, differences or factors."""
        if self.transform == "log":
            return "ratio"
        return "relative" if self.relative else "absolute"

    @property
    def place(self) -> str:
        """Its place on the axis in words, such as ``0.2C`` or ``10 Hz``; empty without an axis."""
        if self.at is None:
            return ""
        if self.axis_unit in CLOSE_UNITS:
            return f"{self.at:g}{self.axis_unit}"
        return f"{self.at:g} {self.axis_unit}" if self.axis_unit else f"{self.axis} {self.at:g}"

    @property
    def axis_title(self) -> str:
        """What stands beside the axis, such as ``frequency / Hz``."""
        is_apart = self.axis_unit and self.axis_unit not in CLOSE_UNITS
        return f"{self.axis} / {self.axis_unit}" if is_apart else self.axis

    @property
    def axis_column(self) -> str:
        """Column of the axis in the table of curves."""
        return name_axis(self.axis)

    @property
    def curve(self) -> str:
        """The curve that it is a point of, such as ``capacity over the C-rate``; or empty."""
        return f"{self.label} over the {self.axis}" if self.axis else ""

    @property
    def told_as(self) -> str:
        """What it is called together with those that it is told with: its curve, or its label."""
        return self.curve or self.label

    @property
    def judged_with(self) -> tuple[str, ...]:
        """Key of the quantities whose errors can be averaged with its own, else its name.

        They are points of curves over the same axis: all that are judged in percent, or those of
        the same curve and unit.
        """
        if not self.axis:
            return (self.name,)
        return (self.axis, "%") if self.relative else (self.axis, self.label, self.unit)

    @property
    def title(self) -> str:
        """What heads its column: the place on the axis, or label and unit."""
        return self.place or f"{self.label} / {self.unit}"

    def clip(self, value: float) -> float:
        """Return the value, or ``low`` or ``high`` if it lies below or above."""
        raised = value if self.low is None else max(value, self.low)
        return raised if self.high is None else min(raised, self.high)


@dataclass(frozen=True)
class ClassWords:
    """What the classes of samples are called beside numbers.

    Attributes
    ----------
    noun, plural
        In a sentence.
    unit
        Of classes that are numbers; empty where a number is a mere name.
    """

    noun: str = "class"
    plural: str = "classes"
    unit: str = ""

    @property
    def title(self) -> str:
        """Head of a column."""
        return f"{self.noun} / {self.unit}" if self.unit else self.noun

    def say(self, name: str) -> str:
        """Return how a class is called, such as ``30 % porosity``."""
        is_number = bool(self.unit) and name.replace(".", "", 1).isdigit()
        return f"{name} {self.unit} {self.noun}" if is_number else f"'{name}'"


class Predicted:
    """What the rest asks about that which models predict; without numbers the answer is nothing."""

    # Whether numbers are all that describes a sample, so that it needs no class.
    replaces_class: ClassVar[bool] = False
    # Whether capacities over the cycle number may stand beside it.
    fits_cycling: ClassVar[bool] = False
    # What the classes of samples are, and what a thing is called of which there are several.
    class_words: ClassVar[ClassWords] = ClassWords()
    specimen: ClassVar[str] = "specimen"
    # Whether evaluate.baselines can add to those that are always there.
    takes_more_baselines: ClassVar[bool] = True
    # Whether the classes are porosities, so that dense electrodes are compared with porous ones.
    compares_porosities: ClassVar[bool] = False

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

    def find_order(self, targets: Sequence[str]) -> str:
        """Return the quantity by whose values samples are put in order; empty: by their class."""
        return targets[0] if self.replaces_class else ""

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


def group_quantities(listed: Sequence[Quantity]) -> list[list[Quantity]]:
    """Put quantities together whose errors can be averaged, in the order of the settings."""
    groups: dict[tuple[str, ...], list[Quantity]] = {}
    for quantity in listed:
        groups.setdefault(quantity.judged_with, []).append(quantity)
    return list(groups.values())


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
    keys = {q.name: {q.name, q.unit} if q.curve else {q.name} for q in listed}
    known = sorted({key for q in listed for key in ([q.unit] if q.curve else [q.name])})
    if unknown := [name for name in wanted if not any(name in of for of in keys.values())]:
        raise ValueError(
            f"model.outputs names '{unknown[0]}', which is none of the quantities "
            f"{', '.join(known)} of dataset.targets; name some of these, or say 'all'."
        )
    return [q for q in listed if keys[q.name] & set(wanted)]
