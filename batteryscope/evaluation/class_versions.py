"""Answers of two versions of a study of classes: how good they are, and which changed."""

import pandas as pd

from batteryscope.evaluation.aggregate import pool_fits
from batteryscope.evaluation.metrics import measure_verdicts
from batteryscope.evaluation.predictions import FIT, PREFIX, find_classes
from batteryscope.evaluation.published_answers import POOLED_COLUMNS

KEPT = ["sample_id", "sample", "unit", "target"]
SHOWN_METRICS = ("accuracy", "balanced_accuracy", "macro_f1")
ERROR_METRIC = "accuracy"  # 1 − the mean error
TO_RIGHT, TO_WRONG, OTHERWISE = "wrong → right", "right → wrong", "wrong → wrong otherwise"
CHANGES = (TO_WRONG, TO_RIGHT, OTHERWISE)
CHANGE_NOTE = "An answer changed where A and B name different classes."


def pool_answers(predictions: pd.DataFrame) -> pd.DataFrame:
    """Give every sample one class: the soft vote of all fits that tested it.

    Parameters
    ----------
    predictions
        ``sample_id, sample, unit, target, arm, repeat, fold, role, y_true, y_pred, p_<class>…``.

    Returns
    -------
    DataFrame
        ``sample_id, sample, unit, target, y_true, y_pred``, ``error`` (0 or 1), ``n_fits``.
    """
    first = predictions[predictions["arm"] == predictions["arm"].iloc[:1].squeeze()]
    votes = [PREFIX + name for name in find_classes(first)]
    numbers = first.assign(tile=-1).astype(dict.fromkeys(votes, float) | dict.fromkeys(FIT, int))
    pooled = pool_fits(numbers).rename(columns={"n_tiles": "n_fits"})
    known = first.drop_duplicates("sample_id").set_index("sample_id")
    for name in ("sample", "unit", "target"):
        pooled[name] = pooled["sample_id"].map(known[name])
    pooled["error"] = (pooled["y_true"] != pooled["y_pred"]).astype(float)
    return pooled[[*KEPT, *POOLED_COLUMNS]]


def measure_answers(rows: pd.DataFrame) -> dict[str, float]:
    """Return the shown metrics of one target's answers, as shares in [0, 1]."""
    found = measure_verdicts(rows["y_true"], rows["y_pred"])
    return {name: found[name] for name in SHOWN_METRICS}


def name_changes(first: pd.DataFrame, second: pd.DataFrame) -> "pd.Series[str]":
    """Say what became of every answer, the rows being in the same order; "" of equal answers.

    Examples
    --------
    >>> one = pd.DataFrame({"y_true": ["a", "a"], "y_pred": ["a", "b"], "error": [0.0, 1.0]})
    >>> name_changes(one, one.assign(y_pred=["b", "c"], error=1.0)).tolist()
    ['right → wrong', 'wrong → wrong otherwise']
    """
    was_right, is_right = first["error"] == 0, second["error"] == 0
    changes = pd.Series("", index=first.index)
    changes[first["y_pred"] != second["y_pred"]] = OTHERWISE
    changes[was_right & ~is_right] = TO_WRONG
    changes[~was_right & is_right] = TO_RIGHT
    return changes
