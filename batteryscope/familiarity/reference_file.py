"""A reference as named arrays and back, without trust in what a file holds."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batteryscope.familiarity.reference import Measure, Reference

LIMIT, SEPARATOR = "limit", "/"
MOST_NUMBERS = 2_000_000
_DIMENSIONS = {"centre": 1, "scale": 1, "directions": 2, "spreads": 1, "points": 2}
_POSITIVE = {"scale", "spreads", "rest", "limit"}


def pack_reference(reference: Reference) -> dict[str, NDArray[np.float32]]:
    """Return all numbers of a reference as arrays with the names ``<measure>/<field>``."""
    packed = {LIMIT: np.asarray([reference.limit], np.float32)}
    for order, (name, measure) in enumerate(reference.measures.items()):
        for field in fields(Measure):
            value = np.atleast_1d(np.asarray(getattr(measure, field.name), np.float32))
            packed[SEPARATOR.join((str(order), name, field.name))] = np.ascontiguousarray(value)
    return packed


def unpack_reference(arrays: Mapping[str, NDArray[Any]]) -> Reference:
    """Return the reference that arrays hold.

    Raises
    ------
    ValueError
        Something is missing, of another shape, not finite, or larger than any that is written.
    """
    if sum(array.size for array in arrays.values()) > MOST_NUMBERS:
        raise ValueError("it holds more numbers than any that is written")
    for key, array in arrays.items():
        if not np.issubdtype(array.dtype, np.number) or not np.isfinite(array).all():
            raise ValueError(f"{key} holds what is no finite number")
    if LIMIT not in arrays:
        raise ValueError(f"{LIMIT} is missing")
    own = {tuple(key.split(SEPARATOR)[:2]) for key in arrays if key.count(SEPARATOR) == 2}
    if not own:
        raise ValueError("it holds no measure")
    measures = {name: _unpack_measure(arrays, order, name) for order, name in sorted(own)}
    if len({len(measure.points) for measure in measures.values()}) != 1:
        raise ValueError("its measures are of different numbers of samples")
    return Reference(measures, _take(arrays, LIMIT, "limit"))


def _unpack_measure(arrays: Mapping[str, NDArray[Any]], order: str, name: str) -> Measure:
    values: dict[str, Any] = {}
    for field in fields(Measure):
        values[field.name] = _take(arrays, SEPARATOR.join((order, name, field.name)), field.name)
    measure = Measure(**values)
    d, p = measure.directions.shape
    shapes = {"centre": (p,), "scale": (p,), "spreads": (d,), "points": (len(measure.points), d)}
    for field_name, shape in shapes.items():
        if getattr(measure, field_name).shape != shape or not min(shape):
            raise ValueError(f"{name}: {field_name} does not fit its directions")
    return measure


def _take(arrays: Mapping[str, NDArray[Any]], key: str, field: str) -> Any:
    if key not in arrays:
        raise ValueError(f"{key} is missing")
    array = np.asarray(arrays[key], dtype=np.float64)
    if field in _POSITIVE and not (array > 0).all():
        raise ValueError(f"{key} is not above 0")
    dimensions = _DIMENSIONS.get(field)
    if dimensions is None:
        if array.shape != (1,):
            raise ValueError(f"{key} is no single number")
        return float(array[0])
    if array.ndim != dimensions:
        raise ValueError(f"{key} has {array.ndim} dimensions")
    return array
