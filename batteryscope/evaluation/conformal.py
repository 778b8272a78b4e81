"""The quantile of conformal prediction, and the errors that it is taken of.

The half-width of an interval is the finite-sample quantile of the scores of calibration samples.
They are |y_true − y_pred| / |y_pred| where models are trained on a relative error (times |y_pred|
afterwards), the difference alone, or that of the logarithms (the interval is then from a part to
a multiple of the prediction).
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray


def find_conformal_quantile(scores: ArrayLike, coverage: float) -> float:
    """Return the score that a new one does not exceed with the given probability.

    Parameters
    ----------
    scores
        (n,) scores of calibration rows, none negative.
    coverage
        Wanted probability in (0, 1).

    Returns
    -------
    float
        The k-th smallest score with k = ceil((n + 1) · coverage); infinite if k > n,
        because n rows are then too few for this coverage.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    rank = count_needed_rank(len(ordered), coverage)
    return float(ordered[rank - 1]) if rank <= len(ordered) else float("inf")


def count_needed_rows(coverage: float) -> int:
    """Return the smallest number of calibration rows that gives a finite interval."""
    return int(np.ceil(coverage / (1 - coverage) - 1e-9))


def count_needed_rank(n: int, coverage: float) -> int:
    """Return ceil((n + 1) · coverage), unharmed by the rounding of the product."""
    return int(np.ceil((n + 1) * coverage - 1e-9))


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
