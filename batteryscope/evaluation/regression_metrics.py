"""Errors of predicted capacities: overall, per C-rate, per porosity, and for both."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from batteryscope.evaluation.metric_catalogue import measure_mae, measure_mape, measure_r2
from batteryscope.evaluation.regression_predictions import FIT

SMALLEST_SPREAD = 0.02  # relative: a target that hardly varies has no meaningful R²
CURVE_COLUMNS = [
    "arm", "class", "unit", "c_rate", "measured", "predicted", "sd_images", "sd_folds", "n"
]  # fmt: skip
_TARGET = re.compile(r"^capacity_(?P<rate>[0-9p.]+)c_(?P<unit>ah_kg|ah_l)$")
_UNITS = {"ah_kg": "Ah/kg", "ah_l": "Ah/L"}


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


def measure_errors(y_true: ArrayLike, y_pred: ArrayLike) -> dict[str, float]:
    """Return ``mape`` (percent), ``mae`` (unit of the values) and ``r2``.

    R² is NaN where the true values spread by less than 2 % of their mean: the capacity at a
    low C-rate is the same for every electrode, and no model can explain what does not vary.
    """
    return {
        "mape": measure_mape(y_true, y_pred),
        "mae": measure_mae(y_true, y_pred),
        "r2": measure_r2(y_true, y_pred, SMALLEST_SPREAD),
    }


def measure_fits(images: pd.DataFrame) -> list[dict[str, float]]:
    """Measure the errors of every fit, as :func:`measure_errors`; in the order of the fits."""
    by_fit = images.groupby(FIT)[["y_true", "y_pred"]]
    return [measure_errors(part["y_true"], part["y_pred"]) for _, part in by_fit]


def score_images(images: pd.DataFrame) -> pd.DataFrame:
    """Score the test images of all arms in every cut.

    Parameters
    ----------
    images
        Rows of ``gather_images``; only the role test counts.

    Returns
    -------
    DataFrame
        ``arm, target, domain, level, metric, mean, sd, n``: ``target`` empty for all outputs
        of an arm together, ``domain`` the class (porosity) or empty; level ``image``, and
        ``specimen`` (the mean over the images of an electrode) for the overall errors; mean
        and standard deviation over fits, ``n`` in images (electrodes).
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
        rows += _score_cut(mine, arm, "", "", "image")
        of_arm = _Judged.of(specimens[specimens["arm"] == arm])
        rows += _score_cut(of_arm, arm, "", "", "specimen")
        for target in dict.fromkeys(mine.target):
            rows += _score_cut(mine.take(mine.target == target), arm, target, "", "image")
        for domain in sorted(set(mine.domain)):
            rows += _score_cut(mine.take(mine.domain == domain), arm, "", domain, "image")
        for target, domain in dict.fromkeys(zip(mine.target, mine.domain, strict=True)):
            both = (mine.target == target) & (mine.domain == domain)
            rows += _score_cut(mine.take(both), arm, target, domain, "image")
    return pd.DataFrame(rows)


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
    part: _Judged, arm: str, target: str, domain: str, level: str
) -> list[dict[str, object]]:
    fits = []
    for number in np.unique(part.fit):
        mine = part.fit == number
        fits.append(measure_errors(part.true[mine], part.predicted[mine]))
    n = len(set(part.sample))
    place = {"arm": arm, "target": target, "domain": domain, "level": level}
    rows: list[dict[str, object]] = []
    for metric in ("mape", "mae") if domain else ("mape", "mae", "r2"):
        values = np.array([fit[metric] for fit in fits])
        values = values[~np.isnan(values)]
        if len(values):
            sd = values.std(ddof=1) if len(values) > 1 else np.nan
            rows.append(place | {"metric": metric, "mean": values.mean(), "sd": sd, "n": n})
    return rows


def tabulate_curves(images: pd.DataFrame) -> pd.DataFrame:
    """Average measured and predicted capacities per arm, porosity and C-rate.

    Returns
    -------
    DataFrame
        ``arm, class, unit, c_rate, measured, predicted, sd_images`` (of the predictions for
        single test images), ``sd_folds`` (between the means of the fits), ``n``.
    """
    test = images[images["role"] == "test"]
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
    rates = [read_target(str(target)) for target in table["target"]]
    table = table.assign(unit=[u for _, u in rates], c_rate=[r for r, _ in rates])
    return table[CURVE_COLUMNS]
