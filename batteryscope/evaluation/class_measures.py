"""Measures per class from the counts of a confusion matrix, as An et al. (2026) define them.

Each class in turn is "positive", all others are "negative" (equations 1 to 5 of the paper).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from batteryscope.evaluation.comparison import order_arms
from batteryscope.evaluation.metrics import count_confusions
from batteryscope.evaluation.predictions import find_classes

COUNTS = ("tp", "fp", "fn", "tn")
MEASURES = ("accuracy", "precision", "sensitivity", "specificity", "f1")


def measure_counts(counts: pd.DataFrame) -> pd.DataFrame:
    """Compute the measures of each class.

    Parameters
    ----------
    counts
        Columns ``tp, fp, fn, tn``, a row per class.

    Returns
    -------
    DataFrame
        The same rows with ``accuracy = (tp+tn)/n``, ``precision = tp/(tp+fp)``,
        ``sensitivity = tp/(tp+fn)``, ``specificity = tn/(tn+fp)`` and
        ``f1 = 2tp/(2tp+fp+fn)``, each 0 to 1; NaN where the denominator is 0.
    """
    tp, fp, fn, tn = (counts[name].astype(np.float64) for name in COUNTS)
    return counts.assign(
        accuracy=(tp + tn) / (tp + fp + fn + tn),
        precision=tp / (tp + fp),
        sensitivity=tp / (tp + fn),
        specificity=tn / (tn + fp),
        f1=2 * tp / (2 * tp + fp + fn),
    )


def summarise_measures(measured: pd.DataFrame) -> dict[str, float]:
    """Compute the overall accuracy and the macro averages of the other measures.

    Parameters
    ----------
    measured
        From :func:`measure_counts`, all classes.

    Returns
    -------
    dict
        ``accuracy`` is the share of all samples that were put into the right class (the sum of
        the true positives over the number of samples, not the mean of the accuracies per class);
        the others are means over the classes.
    """
    n = float(measured.loc[measured.index[0], list(COUNTS)].sum())
    means = {name: float(measured[name].mean()) for name in MEASURES[1:]}
    return {"accuracy": float(measured["tp"].sum()) / n} | means


def count_outcomes(y_true: pd.Series, y_pred: pd.Series, classes: list[str]) -> pd.DataFrame:
    """Count true and false positives and negatives of each class: ``class, tp, fp, fn, tn``."""
    pairs = count_confusions(y_true, y_pred, classes)["count"].to_numpy()
    matrix = pairs.reshape(len(classes), len(classes))
    tp = np.diag(matrix)
    fp, fn = matrix.sum(axis=0) - tp, matrix.sum(axis=1) - tp
    tn = matrix.sum() - tp - fp - fn
    return pd.DataFrame({"class": classes, "tp": tp, "fp": fp, "fn": fn, "tn": tn})


def tabulate_measures(levels: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tabulate counts and measures per arm, level and class, and their summary.

    Parameters
    ----------
    levels
        Test predictions by level; all fits count together.

    Returns
    -------
    DataFrame
        ``arm, level, class, tp, fp, fn, tn, accuracy, precision, sensitivity, specificity,
        f1``; the rows with the class ``(overall)`` hold what
        :func:`summarise_measures` gives.
    """
    tables = []
    for level, table in levels.items():
        classes = find_classes(table)
        for arm in order_arms(table):
            mine = table[table["arm"] == arm]
            measured = measure_counts(count_outcomes(mine["y_true"], mine["y_pred"], classes))
            overall = pd.DataFrame([{"class": "(overall)", **summarise_measures(measured)}])
            both = pd.concat([measured, overall], ignore_index=True)
            both[list(COUNTS)] = both[list(COUNTS)].astype("Int64")
            both.insert(0, "level", level)
            both.insert(0, "arm", arm)
            tables.append(both)
    return pd.concat(tables, ignore_index=True)
