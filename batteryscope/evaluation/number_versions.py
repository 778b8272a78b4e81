"""Answers of two versions of a study of numbers: how good they are, and which changed."""

import pandas as pd

from batteryscope.evaluation.metric_catalogue import METRICS
from batteryscope.evaluation.published_answers import POOLED_COLUMNS

KEPT = ["sample_id", "sample", "unit", "target"]
SHOWN_METRICS = ("mape", "mae", "rmse", "r2")
ERROR_METRIC = "mae"  # the mean error
CLOSER, FARTHER = "farther → closer", "closer → farther"
CHANGES = (FARTHER, CLOSER)
WORTH_TELLING = 0.1  # change of the error, in standard deviations of the true values
CHANGE_NOTE = (
    "An answer changed where its error is larger or smaller by more than a tenth of the standard "
    "deviation of the true values."
)


def pool_answers(predictions: pd.DataFrame) -> pd.DataFrame:
    """Give every sample one number per target: the mean of all fits that tested it.

    Parameters
    ----------
    predictions
        ``sample_id, sample, unit, target, y_true, y_pred``, a row per fit.

    Returns
    -------
    DataFrame
        The same, a row per sample and target, with ``error`` (absolute one in the unit of the
        target) and ``n_fits``.
    """
    groups = predictions.assign(n_fits=1).groupby([*KEPT, "y_true"], sort=True)
    pooled = groups.agg({"y_pred": "mean", "n_fits": "sum"}).reset_index()
    pooled["error"] = (pooled["y_pred"] - pooled["y_true"]).abs()
    return pooled[[*KEPT, *POOLED_COLUMNS]]


def measure_answers(rows: pd.DataFrame) -> dict[str, float]:
    """Return the shown metrics of one target's answers, in percent and in its unit."""
    true, predicted = rows["y_true"].astype(float), rows["y_pred"].astype(float)
    found = {}
    for name in SHOWN_METRICS:
        measure = METRICS[name].measure
        assert measure is not None
        found[name] = measure(true, predicted)
    return found


def name_changes(first: pd.DataFrame, second: pd.DataFrame) -> "pd.Series[str]":
    """Say of which numbers the error changed by more than :data:`WORTH_TELLING`; "" of others.

    Examples
    --------
    >>> one = pd.DataFrame({"y_true": ["0", "2"], "error": [0.5, 0.5]})  # standard deviation 1
    >>> name_changes(one, one.assign(error=[0.2, 0.45])).tolist()
    ['farther → closer', '']
    """
    limit = WORTH_TELLING * first["y_true"].astype(float).std(ddof=0)
    gained = first["error"] - second["error"]
    changes = pd.Series("", index=first.index)
    changes[gained > limit] = CLOSER
    changes[gained < -limit] = FARTHER
    return changes
