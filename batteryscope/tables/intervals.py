"""Prediction intervals from rows that a network has not seen, and queries outside the known range.

Conformal intervals: the score of a row is the error of its prediction relative to that
prediction, |y_true − y_pred| / |y_pred|, because the networks are trained on a relative error. The
half-width of a prediction is the finite-sample quantile of the scores times |y_pred|.

Scores come from test rows only. Validation rows would be the usual choice, but they are few
and they chose the epoch and the restart of every network, so that their errors are too small.
Every repeat divides the rows anew; a row that is a test row in some repeat has there a network
that knows nothing of it (cross-conformal prediction, Vovk 2015; jackknife+, Barber et al. 2021).
Networks of different repeats share most of their training rows, so the nominal coverage is
approximate: the measured coverage is what counts.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.core.conformal import find_conformal_quantile, find_relative_scores
from batteryscope.tables.table_predictions import order_table_arms, select_main_study

INTERVAL_COLUMNS = [
    "arm", "target", "domain", "repeat", "coverage_wanted", "relative_half_width",
    "mean_half_width", "n_calibration", "coverage_measured", "n_covered", "n_test",
]  # fmt: skip


def measure_intervals(predictions: pd.DataFrame, coverage: float) -> pd.DataFrame:
    """Find half-widths and measure how many test rows they cover.

    The intervals of a repeat come from the test rows of the other repeats that it does not
    test itself, one score per row (of the first such repeat): no row helps to set the width
    of its own interval.

    Parameters
    ----------
    predictions
        Networks and baselines; test rows of the main study are used.
    coverage
        Wanted share of rows inside, in (0, 1).

    Returns
    -------
    DataFrame
        One row per ``arm, target, domain, repeat``: ``coverage_wanted``,
        ``relative_half_width`` (times |y_pred|), ``mean_half_width`` (over the test rows,
        unit of the target), ``n_calibration`` (scores used), ``coverage_measured``,
        ``n_covered, n_test``. A row without ``repeat`` sums up: its half-width is meant for
        new rows, which all repeats' networks answer together, and comes from one score per
        row, of the mean prediction of the networks that have not seen it; its coverage is
        that of the repeats' own intervals over all their test rows.
    """
    main = select_main_study(predictions)
    tested = main[main["role"] == "test"].sort_values("repeat", kind="stable")
    tested = tested.assign(score=find_relative_scores(tested["y_true"], tested["y_pred"]))
    rows = []
    for arm in order_table_arms(tested):
        for (target, domain), part in tested[tested["arm"] == arm].groupby(["target", "domain"]):
            covered = 0
            for repeat, asked in part.groupby("repeat"):
                others = part[~part["sample_id"].isin(asked["sample_id"])]
                scores = others.drop_duplicates("sample_id")["score"].to_numpy()
                width = find_conformal_quantile(scores, coverage)
                inside = int((asked["score"] <= width).sum())
                covered += inside
                counts = _describe(width, len(scores), asked, inside)
                rows.append([arm, target, domain, repeat, coverage, *counts])
            joint = part.groupby("sample_id")[["y_true", "y_pred"]].mean()
            scores = find_relative_scores(joint["y_true"], joint["y_pred"])
            width = find_conformal_quantile(scores, coverage)
            counts = _describe(width, len(scores), part, covered)
            rows.append([arm, target, domain, pd.NA, coverage, *counts])
    return pd.DataFrame(rows, columns=INTERVAL_COLUMNS).astype({"repeat": "Int64"})


def find_ranges(manifest: pd.DataFrame, columns: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return the smallest and largest value of each column over the given rows."""
    return {c: (float(manifest[c].min()), float(manifest[c].max())) for c in columns}


def find_outside_range(
    row: Mapping[Hashable, Any], ranges: Mapping[str, tuple[float, float]]
) -> list[tuple[str, float, float, float]]:
    """List the values of a row that lie outside what the models have seen.

    Parameters
    ----------
    row
        A query with the columns of ``ranges``.
    ranges
        Lowest and highest training value (both count as inside) per column.

    Returns
    -------
    list of tuple
        ``(column, value, low, high)``; a missing value is outside.
    """
    return [
        (column, float(value), low, high)
        for column, (low, high) in ranges.items()
        if not low <= (value := row[column]) <= high
    ]


def _describe(
    width: float, n_calibration: int, test: pd.DataFrame, covered: int
) -> list[float | int]:
    size = float(test["y_pred"].abs().mean())
    mean_width = width * size if np.isfinite(width) else width
    return [width, mean_width, n_calibration, covered / len(test), covered, len(test)]
