"""The quantile of conformal prediction, and the errors that it is taken of.

One implementation serves classes, quantities of pictures and tables. Libraries (crepes 0.9, MAPIE
1) have no weights of calibration rows, so that an electrode with ten images would count ten times.

The half-width of an interval is the finite-sample quantile of the scores of calibration samples.
They are |y_true − y_pred| / |y_pred| where models are trained on a relative error (times |y_pred|
afterwards), the difference alone, or that of the logarithms (the interval is then from a part to
a multiple of the prediction).
"""

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

_FIT = ["repeat", "fold"]


def find_conformal_quantile(
    scores: ArrayLike, coverage: float, groups: ArrayLike | None = None
) -> float:
    """Return the score that one of a new group does not exceed with the given probability.

    Parameters
    ----------
    scores
        (n,) scores of calibration rows, none negative.
    coverage
        Wanted probability in (0, 1).
    groups
        (n,) what each belongs to, such as an electrode of which there are several images; without
        it every row is a group of its own.

    Returns
    -------
    float
        The quantile of the scores with weight 1/(K + 1) for each of the K groups, shared among its
        rows, and the rest at infinity (hierarchical conformal prediction, Lee, Barber and Willett
        2023); infinite if K groups are too few for this coverage. With one row per group the
        usual k-th smallest score with k = ceil((K + 1) · coverage).
    """
    values = np.asarray(scores, dtype=np.float64)
    names = np.arange(len(values)) if groups is None else np.asarray(groups, str)
    _, place, sizes = np.unique(names, return_inverse=True, return_counts=True)
    weights = 1 / (sizes[place] * (len(sizes) + 1))
    order = np.argsort(values, kind="stable")
    enough = np.flatnonzero(np.cumsum(weights[order]) >= coverage - 1e-9)
    return float(values[order][enough[0]]) if len(enough) else float("inf")


def find_cross_quantiles(
    known: pd.DataFrame, asked: pd.DataFrame, coverage: float
) -> NDArray[np.float64]:
    """Return for every asked row the quantile of scores that it took no part in.

    Rows of a fit are judged by the calibration rows of all groups that the fit does not test
    (cross-conformal prediction, Vovk 2015): by those of other folds, or of the validation part.

    Parameters
    ----------
    known
        ``score, group`` of calibration rows.
    asked
        ``group, repeat, fold`` of test rows.
    coverage
        Wanted probability in (0, 1).
    """
    scores, groups = known["score"].to_numpy(np.float64), known["group"].to_numpy(str)
    quantiles = np.full(len(asked), np.nan)
    for rows in asked.groupby(_FIT).indices.values():
        others = ~np.isin(groups, asked["group"].to_numpy(str)[rows])
        quantiles[rows] = find_conformal_quantile(scores[others], coverage, groups[others])
    return quantiles


def count_needed_rows(coverage: float) -> int:
    """Return the smallest number of calibration groups that gives a finite quantile."""
    return int(np.ceil(coverage / (1 - coverage) - 1e-9))


IntervalKind = Literal["relative", "absolute", "ratio"]


def score_errors(kind: IntervalKind, y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[np.float64]:
    """Return the score of each row, as an interval of that kind needs it."""
    if kind == "relative":
        return find_relative_scores(y_true, y_pred)
    true, pred = np.asarray(y_true, dtype=np.float64), np.asarray(y_pred, dtype=np.float64)
    if kind == "ratio":
        true, pred = np.log(true), np.log(np.maximum(pred, np.finfo(np.float64).tiny))
    return np.asarray(np.abs(true - pred))


def span_interval(
    kind: IntervalKind, width: float, y_pred: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of the intervals around predictions whose score is at most ``width``."""
    pred = np.asarray(y_pred, dtype=np.float64)
    if kind == "ratio":
        return pred * np.exp(-width), pred * np.exp(width)
    half = width * np.abs(pred) if kind == "relative" else np.full(pred.shape, width)
    return pred - half, pred + half


def find_relative_scores(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[np.float64]:
    """Return |y_true − y_pred| / |y_pred| of each row; infinite where y_pred alone is 0."""
    true = np.asarray(y_true, dtype=np.float64)
    pred = np.asarray(y_pred, dtype=np.float64)
    error, size = np.abs(true - pred), np.abs(pred)
    scores = np.full(error.shape, np.inf)
    np.divide(error, size, out=scores, where=size > 0)
    scores[error == 0] = 0.0
    return scores
