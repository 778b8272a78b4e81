"""The content of bundle.json of models that predict numbers: capacities, or any quantities."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, PositiveFloat, Tag, model_validator

from batteryscope.answers.quantities import QUANTITIES as ANSWER
from batteryscope.bundle.record import Member, PictureRecord, read_record_as
from batteryscope.config.base import Settings
from batteryscope.config.targets import Quantity, capacity_at
from batteryscope.core.conformal import IntervalKind, span_interval

CAPACITIES, QUANTITIES = KINDS = ANSWER.bundles["tiles"].names
DECIMALS = 3  # of capacities
SIGNIFICANT = 6  # digits of other quantities, which may be of any size


class CapacityTarget(Settings):
    """One output: its C-rate and unit, and how wide the interval of a prediction is.

    ``relative_half_width`` times the prediction is half of the interval; null if there were too
    few electrodes for ``coverage_wanted``, as is ``coverage_measured``.
    """

    name: str
    c_rate: PositiveFloat
    unit: str
    arm: str
    relative_half_width: PositiveFloat | None
    coverage_wanted: PositiveFloat
    coverage_measured: float | None

    @property
    def quantity(self) -> Quantity:
        """What it is."""
        return capacity_at(self.name, self.c_rate, self.unit)

    @property
    def half_width(self) -> float | None:
        """Half of the interval as a share of the prediction."""
        return self.relative_half_width

    @staticmethod
    def shorten(value: float) -> float:
        """Round to the decimals in which capacities are told."""
        return round(value, DECIMALS)

    @classmethod
    def describe(cls, quantity: Quantity, half_width: float, **common: Any) -> "CapacityTarget":
        """Return the output that a point of the capacity over the C-rate is."""
        assert quantity.at is not None
        known = round(half_width, 6) if 0 < half_width < math.inf else None
        return cls(
            name=quantity.name,
            c_rate=quantity.at,
            unit=quantity.unit,
            relative_half_width=known,
            **common,
        )


class QuantityTarget(Quantity):
    """One output, and how wide the interval of a prediction is.

    ``half_width``: the interval is the prediction ± so much (``absolute``), ± that share of it
    (``relative``), or from exp(−half_width) to exp(half_width) times it (``ratio``); null if
    there were too few specimens for ``coverage_wanted``, as is ``coverage_measured``.
    """

    arm: str
    interval_kind: IntervalKind
    half_width: PositiveFloat | None
    coverage_wanted: PositiveFloat
    coverage_measured: float | None

    @property
    def quantity(self) -> Quantity:
        """What it is."""
        return self

    @staticmethod
    def shorten(value: float) -> float:
        """Round to the digits in which values of any size are told."""
        return float(f"{value:.{SIGNIFICANT}g}")

    @classmethod
    def describe(cls, quantity: Quantity, half_width: float, **common: Any) -> "QuantityTarget":
        """Return the output that a quantity is."""
        known = cls.shorten(half_width) if 0 < half_width < math.inf else None
        kind = quantity.interval
        return cls(**quantity.model_dump(), **common, interval_kind=kind, half_width=known)


def span_target(
    target: "CapacityTarget | QuantityTarget", value: float
) -> tuple[float, float] | None:
    """Return the ends of the interval around a prediction, within the range of the quantity."""
    if target.half_width is None:
        return None
    low, high = span_interval(target.quantity.interval, target.half_width, [value])
    clip = target.quantity.clip
    return clip(float(low[0])), clip(float(high[0]))


def _find_kind(values: Any) -> str:
    has = "c_rate" in values if isinstance(values, dict) else hasattr(values, "c_rate")
    return CAPACITIES if has else QUANTITIES


NumberTarget = Annotated[
    Annotated[CapacityTarget, Tag(CAPACITIES)] | Annotated[QuantityTarget, Tag(QUANTITIES)],
    Discriminator(_find_kind),
]


def describe_target(quantity: Quantity, half_width: float, **common: Any) -> NumberTarget:
    """Return an output; capacities over the C-rate in the shorter form that they have always had.

    Parameters
    ----------
    quantity
        What it is.
    half_width
        Of the interval; not finite if there were too few specimens.
    **common
        ``arm, coverage_wanted, coverage_measured``.
    """
    short = capacity_at(quantity.name, quantity.at or 0.0, quantity.unit)
    return (CapacityTarget if quantity == short else QuantityTarget).describe(
        quantity, half_width, **common
    )


def find_kind(targets: Sequence[NumberTarget]) -> str:
    """Return how bundle.json calls a record of these outputs: as all of them, or quantities."""
    kinds = {_find_kind(target) for target in targets}
    return kinds.pop() if len(kinds) == 1 else QUANTITIES


class NumberMember(Member):
    """One trained model; ``arm`` says which targets it predicts."""

    arm: str

    @property
    def column(self) -> str:
        """Name of its column in training_images.csv."""
        return f"{self.arm}_{self.fit_name}"


class NumberRecord(PictureRecord):
    """The whole of bundle.json."""

    kinds = KINDS
    judged = "numbers of pictures"

    kind: str = CAPACITIES
    backbone: str
    targets: list[NumberTarget] = Field(min_length=1)
    members: Sequence[NumberMember] = Field(min_length=1)

    @model_validator(mode="after")
    def _networks_for_every_target(self) -> Self:
        arms = sorted({member.arm for member in self.members})
        for target in self.targets:
            if target.arm not in arms:
                raise ValueError(
                    f"{target.name} is of the arm '{target.arm}', but the networks are of {arms}."
                )
        return self

    @property
    def points(self) -> list[Quantity]:
        """The outputs that are points of curves."""
        return [target.quantity for target in self.targets if target.quantity.curve]


def read_record(folder: Path) -> NumberRecord:
    """Read and check bundle.json of models that predict numbers.

    Raises
    ------
    InputError
        As :func:`batteryscope.bundle.record.read_record_as`.
    """
    return read_record_as(NumberRecord, folder)
