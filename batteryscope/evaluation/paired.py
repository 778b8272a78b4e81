"""Whether one arm beats another: on the same images, or over the same fits."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from batteryscope.errors import InputError
from batteryscope.evaluation.aggregate import pool_fits
from batteryscope.evaluation.metrics import measure_verdicts
from batteryscope.evaluation.predictions import FIT

FITS_FOR_WILCOXON = 6


@dataclass(frozen=True)
class ImageComparison:
    """Two arms on the images that both tested; accuracies are shares of ``n``."""

    n: int
    accuracy_first: float
    accuracy_second: float
    only_first_right: int
    only_second_right: int
    p_value: float


@dataclass(frozen=True)
class FitComparison:
    """Difference of two arms over their common fits (first minus second).

    ``low`` and ``high`` enclose the mean difference with 95 % confidence; NaN with fewer
    than two fits. ``p_wilcoxon`` is NaN with fewer than six.
    """

    n_fits: int
    mean: float
    sd: float
    low: float
    high: float
    p_wilcoxon: float


def compare_on_images(images: pd.DataFrame, first: str, second: str) -> ImageComparison:
    """Compare two arms by McNemar's exact test, every image counting once.

    Parameters
    ----------
    images
        Image-level test predictions (:func:`aggregate_to_images`). An image that
        several fits tested counts by their soft vote.
    first, second
        Names of the arms.

    Returns
    -------
    ImageComparison
        ``p_value`` is two-sided: how often a fair coin would split the images on which
        exactly one arm is right at least as unevenly.

    Raises
    ------
    InputError
        If the arms share no test image.
    """
    from scipy.stats import binomtest

    right = {}
    for arm in (first, second):
        pooled = pool_fits(images[images["arm"] == arm])
        right[arm] = (pooled["y_true"] == pooled["y_pred"]).set_axis(pooled["sample_id"])
    both = pd.concat(right, axis=1, join="inner")
    if both.empty:
        raise InputError(
            f"The arms '{first}' and '{second}' share no test image; give them the same split."
        )
    a, b = both[first].to_numpy(dtype=bool), both[second].to_numpy(dtype=bool)
    only_first, only_second = int((a & ~b).sum()), int((b & ~a).sum())
    differing = only_first + only_second
    p_value = float(binomtest(only_first, differing).pvalue) if differing else 1.0
    return ImageComparison(
        len(both), float(a.mean()), float(b.mean()), only_first, only_second, p_value
    )


def compare_over_fits(
    images: pd.DataFrame,
    first: str,
    second: str,
    metric: str = "accuracy",
    left_out_per_train: float = 0.0,
) -> FitComparison:
    """Compare two arms over the repeats and folds that both have.

    Parameters
    ----------
    images
        Test predictions of one level.
    metric
        One of ``VERDICT_METRICS``.
    left_out_per_train
        Samples that a fit leaves out in turn, per training sample. Training parts of
        repeated splits overlap, which makes the plain variance of the mean too small; Nadeau
        and Bengio (2003) add this ratio to 1/n. 0 gives the plain Student interval.

    Raises
    ------
    InputError
        If the arms share no repeat and fold.
    """
    scores = {}
    for arm in (first, second):
        fits = images[images["arm"] == arm].groupby(FIT)
        scores[arm] = pd.Series(
            {k: measure_verdicts(f["y_true"], f["y_pred"])[metric] for k, f in fits}, dtype=float
        )
    both = pd.concat(scores, axis=1, join="inner")
    if both.empty:
        raise InputError(
            f"The arms '{first}' and '{second}' share no repeat and fold; give them the same split."
        )
    return compare_scores(both[first], both[second], left_out_per_train)


def compare_scores(
    first: "pd.Series[float]", second: "pd.Series[float]", left_out_per_train: float = 0.0
) -> FitComparison:
    """Compare two series of scores in the same order, as :func:`compare_over_fits`."""
    from scipy.stats import t, wilcoxon

    difference = (first - second).to_numpy(dtype=np.float64)
    n, mean = len(difference), float(difference.mean())
    sd = low = high = p_wilcoxon = float("nan")
    if n >= 2:
        sd = float(difference.std(ddof=1))
        half = float(t.ppf(0.975, n - 1)) * sd * np.sqrt(1 / n + left_out_per_train)
        low, high = mean - float(half), mean + float(half)
    if n >= FITS_FOR_WILCOXON:
        p_wilcoxon = float(wilcoxon(difference).pvalue) if difference.any() else 1.0
    return FitComparison(n, mean, sd, low, high, p_wilcoxon)
