"""How the mean prediction follows a single feature."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from batteryscope.tables.attribution import Predict

GRID_POINTS = 20
GRID_QUANTILES = (0.02, 0.98)  # no curve where a single outlying row is the only support


def compute_partial_dependence(
    predicts: Sequence[Predict], rows: np.ndarray, features: Sequence[str]
) -> pd.DataFrame:
    """Average the predictions over all rows while one feature is set to a value.

    Parameters
    ----------
    predicts
        The networks of all repeats.
    rows
        Shape (rows, features), in the features' units.
    features
        Names of the columns.

    Returns
    -------
    pandas.DataFrame
        ``feature, feature_value, mean, sd, n``: mean and standard deviation over the ``n``
        networks (nan for one) in the target's unit, over a grid of quantiles of the rows'
        values. A feature that is the same in all rows has no curve.
    """
    lines = []
    for column, feature in enumerate(features):
        grid = _make_grid(rows[:, column])
        for value in grid if len(grid) > 1 else ():
            changed = rows.copy()
            changed[:, column] = value
            means = [float(np.mean(predict(changed))) for predict in predicts]
            sd = float(np.std(means, ddof=1)) if len(means) > 1 else float("nan")
            lines.append((feature, float(value), float(np.mean(means)), sd, len(means)))
    return pd.DataFrame(lines, columns=["feature", "feature_value", "mean", "sd", "n"])


def _make_grid(values: np.ndarray) -> np.ndarray:
    unique = np.unique(values)
    if len(unique) <= GRID_POINTS:
        return unique
    return np.unique(np.quantile(values, np.linspace(*GRID_QUANTILES, GRID_POINTS)))
