"""How good verdicts are: scores, calibration error, per-class tables, intervals."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from batteryscope.errors import InputError

VERDICT_METRICS = (
    "accuracy", "balanced_accuracy", "macro_f1", "macro_precision", "macro_recall", "macro_jaccard",
)  # fmt: skip
PROBABILITY_METRICS = ("log_loss", "ece")
# The resolution of single-precision probabilities: a class ruled out entirely costs 16 nats.
SMALLEST_PROBABILITY = 1e-7
ECE_BINS = 15


def measure_verdicts(y_true: ArrayLike, y_pred: ArrayLike) -> dict[str, float]:
    """Score predicted against true classes.

    Returns
    -------
    dict
        ``accuracy, balanced_accuracy, macro_f1, macro_precision, macro_recall,
        macro_jaccard`` in [0, 1]. Macro values average over the classes that occur in
        ``y_true``, so ``macro_recall`` equals ``balanced_accuracy``; a class never
        predicted has precision 0.
    """
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    true, pred = np.asarray(y_true, dtype=str), np.asarray(y_pred, dtype=str)
    precision, recall, f1, _ = precision_recall_fscore_support(
        true, pred, labels=np.unique(true), zero_division=0
    )
    balanced = float(recall.mean())
    return {
        "accuracy": float(accuracy_score(true, pred)),
        "balanced_accuracy": balanced,
        "macro_f1": float(f1.mean()),
        "macro_precision": float(precision.mean()),
        "macro_recall": balanced,
        "macro_jaccard": float((f1 / (2 - f1)).mean()),  # the same counts as F1
    }


def measure_probabilities(
    y_true: ArrayLike, probabilities: NDArray[np.float64], classes: Sequence[str]
) -> dict[str, float]:
    """Score probabilities: ``log_loss`` in nats and ``ece`` in [0, 1].

    Parameters
    ----------
    y_true
        (n,) class names.
    probabilities
        (n, n_classes), columns in the order of ``classes``. Values below 1e-7 count
        as 1e-7, so that one class ruled out by a random forest is not infinitely bad.
    """
    index = index_classes(y_true, classes)
    chosen = probabilities[np.arange(len(index)), index]
    log_loss = -np.log(np.clip(chosen, SMALLEST_PROBABILITY, 1.0)).mean()
    return {"log_loss": float(log_loss), "ece": measure_calibration_error(probabilities, index)}


def measure_calibration_error(
    probabilities: NDArray[np.float64], index_true: NDArray[np.intp], bins: int = ECE_BINS
) -> float:
    """Expected calibration error of the winning class, in [0, 1].

    The confidences are sorted into ``bins`` of equal width; the error is the mean
    distance between confidence and accuracy, weighted by the rows of each bin
    (Guo et al. 2017, On calibration of modern neural networks).
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == index_true
    bin_of = find_confidence_bins(confidence, bins)
    gap = np.bincount(bin_of, weights=confidence - right, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))


def find_confidence_bins(confidence: NDArray[np.float64], bins: int) -> NDArray[np.intp]:
    """Return the equal-width bin of each confidence; bin i holds (i/bins, (i+1)/bins]."""
    return np.clip(np.ceil(confidence * bins).astype(np.intp) - 1, 0, bins - 1)


def index_classes(y_true: ArrayLike, classes: Sequence[str]) -> NDArray[np.intp]:
    """Return the position of each class name in ``classes``.

    Raises
    ------
    InputError
        If a name is none of the classes.
    """
    index = pd.Index(classes).get_indexer(pd.Index(np.asarray(y_true, dtype=object)))
    if (index < 0).any():
        name = np.asarray(y_true, dtype=object)[index < 0][0]
        raise InputError(
            f"The true class '{name}' is none of the predicted classes {', '.join(classes)}; "
            "make the predictions again with the present labels."
        )
    return index


def tabulate_classes(y_true: ArrayLike, y_pred: ArrayLike, classes: Sequence[str]) -> pd.DataFrame:
    """Tabulate each class by its counts TP, FP, FN.

    Returns
    -------
    DataFrame
        ``class, precision = TP/(TP+FP), recall = TP/(TP+FN), f1, jaccard =
        TP/(TP+FP+FN), support``. Empty where a class is neither true nor predicted;
        a class never predicted has precision 0.
    """
    counts = count_confusions(y_true, y_pred, classes)["count"].to_numpy()
    matrix = counts.reshape(len(classes), len(classes)).astype(np.float64)
    hits, true, pred = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return pd.DataFrame(
            {
                "class": list(classes),
                "precision": np.where((pred == 0) & (true > 0), 0.0, hits / pred),
                "recall": hits / true,
                "f1": 2 * hits / (true + pred),
                "jaccard": hits / (true + pred - hits),
                "support": true.astype(int),
            }
        )


def count_confusions(y_true: ArrayLike, y_pred: ArrayLike, classes: Sequence[str]) -> pd.DataFrame:
    """Count every pair of true and predicted class, zeros included: ``y_true, y_pred, count``."""
    size = len(classes)
    flat = index_classes(y_true, classes) * size + index_classes(y_pred, classes)
    return pd.DataFrame(
        {
            "y_true": np.repeat(np.asarray(classes, dtype=object), size),
            "y_pred": np.tile(np.asarray(classes, dtype=object), size),
            "count": np.bincount(flat, minlength=size * size),
        }
    )


def find_wilson_interval(share: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a share.

    Parameters
    ----------
    share
        Observed share in [0, 1].
    n
        Number of independent observations (images or specimens, not tiles).
    level
        Confidence level.

    Returns
    -------
    tuple of float
        Lower and upper end in [0, 1]; (0, 1) without observations.
    """
    from scipy.stats import norm

    if n == 0:
        return 0.0, 1.0
    z = float(norm.ppf(0.5 + level / 2))
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # Rounding must not push an end past the share itself when all or none are right.
    low, high = min(float(centre - half), share), max(float(centre + half), share)
    return max(0.0, low), min(1.0, high)
