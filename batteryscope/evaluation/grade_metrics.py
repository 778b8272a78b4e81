"""How far predicted grades are from the true ones."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

GRADE_METRICS = ("quadratic_kappa", "grade_mae", "adjacent_accuracy")


def measure_grades(y_true: ArrayLike, y_pred: ArrayLike, grades: Sequence[str]) -> dict[str, float]:
    """Score predicted against true grades, in whose order a near miss is less than a far one.

    Parameters
    ----------
    y_true, y_pred
        (n,) names of grades.
    grades
        All names from the lowest to the highest.

    Returns
    -------
    dict
        ``quadratic_kappa``, agreement beyond chance with squared distances as weights (Cohen 1968),
        at most 1 and NaN where there is only one true grade, beside which every mistake would count
        as no agreement at all;
        ``grade_mae``, mean distance in grades; ``adjacent_accuracy``, share in [0, 1] that is
        right or one grade off.
    """
    from sklearn.metrics import cohen_kappa_score

    places = {name: place for place, name in enumerate(grades)}
    true, pred = (
        np.array([places[str(name)] for name in np.asarray(names)], dtype=np.int64)
        for names in (y_true, y_pred)
    )
    distance = np.abs(true - pred)
    varies = len(set(true)) > 1
    kappa = (
        cohen_kappa_score(true, pred, labels=range(len(grades)), weights="quadratic")
        if varies
        else np.nan
    )
    return {
        "quadratic_kappa": float(kappa),
        "grade_mae": float(distance.mean()),
        "adjacent_accuracy": float((distance <= 1).mean()),
    }
