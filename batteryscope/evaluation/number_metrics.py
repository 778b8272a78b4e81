"""Errors of predicted numbers: overall, per quantity (C-rate), per class (porosity), for both."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from batteryscope.config.predicted import Quantity
from batteryscope.config.targets import capacity_at
from batteryscope.evaluation.metric_catalogue import (
    measure_mae,
    measure_mape,
    measure_r2,
    measure_rmse,
)
from batteryscope.evaluation.number_predictions import FIT

AXIS_COLUMN = "c_rate"  # of capacities; curves over something else have a column for that
CURVE_COLUMNS = [
    "arm", "class", "unit", AXIS_COLUMN, "measured", "predicted", "sd_images", "sd_folds", "n",
    "curve",
]  # fmt: skip
_TARGET = re.compile(r"^capacity_(?P<rate>[0-9p.]+)c_(?P<unit>ah_kg|ah_l)$")
_UNITS = {"ah_kg": "Ah/kg", "ah_l": "Ah/L"}
_SHOWN_UNITS = {"Ah/kg": "mAh/g"}


def read_target(name: str) -> tuple[float, str]:
    """Return C-rate and unit of a target column.

    Examples
    --------
    >>> read_target("capacity_0p2c_ah_kg")
    (0.2, 'Ah/kg')
    """
    match = _TARGET.match(name)
    if match is None:
        raise ValueError(f"'{name}' is no capacity target")
    return float(match["rate"].replace("p", ".")), _UNITS[match["unit"]]


def show_unit(unit: str) -> str:
    """Return a unit as people in the field write it; the numbers stay the same.

    Examples
    --------
    >>> show_unit("Ah/kg")
    'mAh/g'
    """
    return _SHOWN_UNITS.get(unit, unit)


def find_quantity(name: str, quantities: Sequence[Quantity] = ()) -> Quantity:
    """Return the quantity of that name; without any that is called so, the capacity.

    Raises
    ------
    ValueError
        It is neither.
    """
    for quantity in quantities:
        if quantity.name == name:
            return quantity
    c_rate, unit = read_target(name)
    return capacity_at(name, c_rate, unit)


def measure_errors(
    y_true: ArrayLike, y_pred: ArrayLike, quantity: Quantity | None = None
) -> dict[str, float]:
    """Return ``mape`` (percent), ``mae`` (unit of the values) and ``r2``; or what a quantity has.

    R² is NaN where the true values hardly vary (:func:`hardly_varies`), as capacities at a low
    C-rate do; MAPE where a true value is 0. Quantities without an axis have ``rmse`` as well, and
    ``mape`` only where their range excludes 0.
    """
    measures: dict[str, Callable[[], float]] = {
        "mape": lambda: measure_mape(y_true, y_pred),
        "mae": lambda: measure_mae(y_true, y_pred),
        "rmse": lambda: measure_rmse(y_true, y_pred),
        "r2": lambda: measure_r2(y_true, y_pred),
    }
    metrics = ("mape", "mae", "r2") if quantity is None else quantity.metrics
    return {metric: measures[metric]() for metric in metrics}


def measure_fits(images: pd.DataFrame, quantity: Quantity | None = None) -> list[dict[str, float]]:
    """Measure the errors of every fit, all points of a curve together; in the order of the fits."""
    by_fit = images.groupby(FIT)[["y_true", "y_pred"]]
    return [measure_errors(part["y_true"], part["y_pred"], quantity) for _, part in by_fit]


def have_one_error(quantities: Iterable[Quantity]) -> bool:
    """Whether the errors of all of them can be averaged."""
    return len({quantity.judged_with for quantity in quantities}) == 1


def score_images(
    images: pd.DataFrame, quantities: Sequence[Quantity] = (), sample: str = "image"
) -> pd.DataFrame:
    """Score the test images of all arms in every cut.

    Parameters
    ----------
    images
        Rows of ``gather_images``; only the role test counts.
    quantities
        What the targets are; without any, capacities.
    sample
        The level of a single sample, ``image`` or ``slice``.

    Returns
    -------
    DataFrame
        ``arm, target, domain, level, metric, mean, sd, n, fits``: ``target`` empty for all outputs
        of an arm together, ``domain`` the class (porosity) or empty; level ``image``, and
        ``specimen`` (the mean over the images of an electrode) for the overall errors and those
        of single quantities without an axis; mean and standard deviation over fits, ``n`` in
        images (electrodes). Different quantities have no error in common: together they have the
        mean of their R² and of their MAPE, where all have one.
    """
    test = images[images["role"] == "test"]
    specimens = (
        test.groupby(["arm", "target", *FIT, "role", "specimen_id", "class"])[["y_true", "y_pred"]]
        .mean()
        .reset_index()
        .assign(sample_id=lambda t: t["specimen_id"])
    )
    rows: list[dict[str, object]] = []
    for arm in dict.fromkeys(test["arm"]):
        mine = _Judged.of(test[test["arm"] == arm])
        known = {t: find_quantity(str(t), quantities) for t in dict.fromkeys(mine.target)}
        alike = have_one_error(known.values())
        domains = sorted(set(mine.domain))
        if len(domains) == 1 and not all(q.curve for q in known.values()):
            domains = []  # they would say the same again
        of_arm = _Judged.of(specimens[specimens["arm"] == arm])
        for level, judged in ((sample, mine), ("specimen", of_arm)):
            rows += _score_all(judged, arm, level, known, alike)
        for target, quantity in known.items():
            part = mine.take(mine.target == target)
            rows += _score_cut(part, arm, target, "", sample, quantity)
            if not quantity.curve:
                part = of_arm.take(of_arm.target == target)
                rows += _score_cut(part, arm, target, "", "specimen", quantity)
        if alike:
            first = next(iter(known.values()))
            for domain in domains:
                part = mine.take(mine.domain == domain)
                rows += _score_cut(part, arm, "", domain, sample, first)
        for target, domain in dict.fromkeys(zip(mine.target, mine.domain, strict=True)):
            if domain in domains:
                both = (mine.target == target) & (mine.domain == domain)
                rows += _score_cut(mine.take(both), arm, target, domain, sample, known[target])
    return pd.DataFrame(rows)


def _score_all(
    judged: "_Judged", arm: str, level: str, known: Mapping[str, Quantity], alike: bool
) -> list[dict[str, object]]:
    """Score all outputs together: as one, or as the mean over different quantities."""
    if alike:
        return _score_cut(judged, arm, "", "", level, next(iter(known.values())))
    shared = [m for m in ("r2", "mape") if all(m in q.metrics for q in known.values())]
    fits = [
        [
            measure_errors(judged.true[chosen], judged.predicted[chosen], quantity)
            for target, quantity in known.items()
            if (chosen := (judged.fit == fit) & (judged.target == target)).any()
        ]
        for fit in np.unique(judged.fit)
    ]
    means = [{m: float(np.mean([e[m] for e in errors])) for m in shared} for errors in fits]
    return _average_fits(means, shared, _place(arm, "", "", level), len(set(judged.sample)))


@dataclass(frozen=True)
class _Judged:
    """Columns of judged images; a data frame would spend seconds on hundreds of small cuts."""

    target: NDArray[np.object_]
    domain: NDArray[np.object_]
    fit: NDArray[np.int64]
    sample: NDArray[np.object_]
    true: NDArray[np.float64]
    predicted: NDArray[np.float64]

    @classmethod
    def of(cls, table: pd.DataFrame) -> "_Judged":
        names = [table[c].astype(str).to_numpy(object) for c in ("target", "class", "sample_id")]
        numbers = [table[c].to_numpy(np.float64) for c in ("y_true", "y_pred")]
        fit = np.asarray(table.groupby(FIT).ngroup(), dtype=np.int64)
        return cls(names[0], names[1], fit, names[2], *numbers)

    def take(self, mask: NDArray[np.bool_]) -> "_Judged":
        return _Judged(
            self.target[mask],
            self.domain[mask],
            self.fit[mask],
            self.sample[mask],
            self.true[mask],
            self.predicted[mask],
        )


def _score_cut(
    part: _Judged, arm: str, target: str, domain: str, level: str, quantity: Quantity
) -> list[dict[str, object]]:
    fits = []
    for number in np.unique(part.fit):
        mine = part.fit == number
        fits.append(measure_errors(part.true[mine], part.predicted[mine], quantity))
    n = len(set(part.sample))
    metrics = [m for m in quantity.metrics if not domain or m != "r2"]
    return _average_fits(fits, metrics, _place(arm, target, domain, level), n)


def _place(arm: str, target: str, domain: str, level: str) -> dict[str, object]:
    return {"arm": arm, "target": target, "domain": domain, "level": level}


def _average_fits(
    fits: Sequence[Mapping[str, float]], metrics: Sequence[str], place: dict[str, object], n: int
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for metric in metrics:
        values = np.array([fit[metric] for fit in fits])
        if metric == "mape" and np.isnan(values).any():
            continue  # a mean over the fits without a true value of 0 would be another measure
        values = values[~np.isnan(values)]
        if len(values):
            sd = values.std(ddof=1) if len(values) > 1 else np.nan
            summary = {"mean": values.mean(), "sd": sd, "n": n, "fits": len(values)}
            rows.append(place | {"metric": metric, **summary})
    return rows


def tabulate_curves(images: pd.DataFrame, quantities: Sequence[Quantity] = ()) -> pd.DataFrame:
    """Average true and predicted values per arm, class and point of a curve.

    Parameters
    ----------
    images
        Rows of ``gather_images``; only the role test counts.
    quantities
        What the targets are; without any, capacities. Those without an axis make no curve.

    Returns
    -------
    DataFrame
        ``arm, class, unit``, the axis (``c_rate``), ``measured, predicted, sd_images`` (of the
        predictions for single test images), ``sd_folds`` (between the means of the fits), ``n``
        and ``curve``, which tells curves of one unit apart.
    """
    known = {str(t): find_quantity(str(t), quantities) for t in images["target"].unique()}
    points = {name: quantity for name, quantity in known.items() if quantity.curve}
    if not points:
        return pd.DataFrame(columns=CURVE_COLUMNS)
    test = images[(images["role"] == "test") & images["target"].isin(list(points))]
    keys = ["arm", "class", "target"]
    by_fit = test.groupby([*keys, *FIT])["y_pred"].mean().groupby(keys).std(ddof=1)
    table = (
        test.groupby(keys, sort=False)
        .agg(
            measured=("y_true", "mean"),
            predicted=("y_pred", "mean"),
            sd_images=("y_pred", "std"),
            n=("sample_id", "nunique"),
        )
        .join(by_fit.rename("sd_folds"))
        .reset_index()
    )
    own = [points[str(target)] for target in table["target"]]
    axis = own[0].axis_column if own else AXIS_COLUMN
    table = table.assign(unit=[q.unit for q in own], curve=[q.curve for q in own])
    table[axis] = [q.at for q in own]
    return table[[axis if column == AXIS_COLUMN else column for column in CURVE_COLUMNS]]


def select_curve(curves: pd.DataFrame, arm: str, point: Quantity) -> pd.DataFrame:
    """Return the rows of :func:`tabulate_curves` of the curve that a quantity is a point of."""
    own = (curves["arm"] == arm) & (curves["unit"] == point.unit)
    return curves[own & (curves["curve"] == point.curve)]
