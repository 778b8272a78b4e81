"""Errors of predicted capacities: overall, per C-rate, per porosity, and for both."""

import re

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from batteryscope.evaluation.regression_predictions import FIT

SMALLEST_SPREAD = 0.02  # relative: a target that hardly varies has no meaningful R²
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
    true = np.asarray(y_true, dtype=np.float64)
    error = np.asarray(y_pred, dtype=np.float64) - true
    varies = true.std() > SMALLEST_SPREAD * np.abs(true.mean())
    spread = ((true - true.mean()) ** 2).sum()
    return {
        "mape": float(100 * np.abs(error / true).mean()),
        "mae": float(np.abs(error).mean()),
        "r2": float(1 - (error**2).sum() / spread) if varies else float("nan"),
    }


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
        mine = test[test["arm"] == arm]
        rows += _score_cut(mine, arm, "", "", "image")
        rows += _score_cut(specimens[specimens["arm"] == arm], arm, "", "", "specimen")
        for target, part in mine.groupby("target", sort=False):
            rows += _score_cut(part, arm, str(target), "", "image")
        for domain, part in mine.groupby("class"):
            rows += _score_cut(part, arm, "", str(domain), "image")
        for (target, domain), part in mine.groupby(["target", "class"], sort=False):
            rows += _score_cut(part, arm, str(target), str(domain), "image")
    return pd.DataFrame(rows)


def _score_cut(
    part: pd.DataFrame, arm: str, target: str, domain: str, level: str
) -> list[dict[str, object]]:
    fits = pd.DataFrame(
        [measure_errors(fit["y_true"], fit["y_pred"]) for _, fit in part.groupby(FIT)]
    )
    n = int(part["sample_id"].nunique())
    place = {"arm": arm, "target": target, "domain": domain, "level": level}
    metrics = ("mape", "mae") if domain else ("mape", "mae", "r2")
    return [
        place | {"metric": m, "mean": fits[m].mean(), "sd": fits[m].std(ddof=1), "n": n}
        for m in metrics
        if fits[m].notna().any()
    ]


def tabulate_curves(images: pd.DataFrame) -> pd.DataFrame:
    """Average measured and predicted capacities per arm, porosity and C-rate.

    Returns
    -------
    DataFrame
        ``arm, class, unit, c_rate, measured, predicted, sd_images`` (of the predictions for
        single test images), ``sd_folds`` (between the means of the fits), ``n``.
    """
    test = images[images["role"] == "test"]
    rows = []
    for (arm, name, target), part in test.groupby(["arm", "class", "target"], sort=False):
        c_rate, unit = read_target(str(target))
        by_fit = part.groupby(FIT)["y_pred"].mean()
        rows.append(
            {
                "arm": arm,
                "class": name,
                "unit": unit,
                "c_rate": c_rate,
                "measured": part["y_true"].mean(),
                "predicted": part["y_pred"].mean(),
                "sd_images": part["y_pred"].std(ddof=1),
                "sd_folds": by_fit.std(ddof=1),
                "n": part["sample_id"].nunique(),
            }
        )
    return pd.DataFrame(rows)
