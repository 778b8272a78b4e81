"""Whether one model beats another, by the independent units that both were tested on.

The rule of all studies: two models are paired unit by unit (the specimen where it is known, else
the image or row), their difference has a 95 % interval, and it counts if the p value of the test,
corrected for the number of rivals (Holm 1979), is below :data:`SIGNIFICANT`. Classes are tested by
McNemar's exact test on the units, numbers by the t test on the errors of the fits, corrected for
the overlap of their training parts (Nadeau and Bengio 2003).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.errors import InputError
from batteryscope.evaluation.aggregate import pool_fits
from batteryscope.evaluation.metrics import find_wilson_interval, measure_verdicts
from batteryscope.evaluation.predictions import FIT

FITS_FOR_WILCOXON = 6
SIGNIFICANT = 0.05
CONFIDENCE = 0.95
Outcome = Literal["beaten", "chance", "better"]


@dataclass(frozen=True)
class ImageComparison:
    """Two arms on the images that both tested; accuracies are shares of ``n``.

    ``low`` and ``high`` enclose the difference of the accuracies with 95 % confidence.
    """

    n: int
    accuracy_first: float
    accuracy_second: float
    only_first_right: int
    only_second_right: int
    p_value: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        """First minus second."""
        return self.accuracy_first - self.accuracy_second


@dataclass(frozen=True)
class FitComparison:
    """Difference of two arms over their common fits (first minus second).

    ``low`` and ``high`` enclose the mean difference with 95 % confidence, ``p_value`` is that of
    the same t test; NaN with fewer than two fits. ``p_wilcoxon`` is NaN with fewer than six.
    """

    n_fits: int
    mean: float
    sd: float
    low: float
    high: float
    p_wilcoxon: float
    p_value: float


@dataclass(frozen=True)
class UnitComparison:
    """Errors of two models on the independent units that both were tested on.

    Means are over fits, each of which counts its units alike; ``difference`` is first minus
    second, so that it is negative where the first is better. ``low``, ``high`` (95 %) and
    ``p_value`` are NaN where a single fit tested a single unit.
    """

    n_units: int
    n_fits: int
    mean_first: float
    mean_second: float
    difference: float
    sd: float
    low: float
    high: float
    p_value: float

    @property
    def interval(self) -> tuple[float, float] | None:
        """The ends, or None where they are not known."""
        return (self.low, self.high) if np.isfinite(self.low) else None


@dataclass(frozen=True)
class Verdict:
    """What a comparison with one of several rivals says, after Holm's correction."""

    outcome: Outcome
    p_holm: float


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
        # A specimen may be there in several true classes, such as before and after cycling.
        keys = pd.MultiIndex.from_frame(pooled[["sample_id", "y_true"]])
        right[arm] = (pooled["y_true"] == pooled["y_pred"]).set_axis(keys)
    both = pd.concat(right, axis=1, join="inner")
    if both.empty:
        raise InputError(
            f"The arms '{first}' and '{second}' share no test image; give them the same split."
        )
    a, b = both[first].to_numpy(dtype=bool), both[second].to_numpy(dtype=bool)
    only_first, only_second = int((a & ~b).sum()), int((b & ~a).sum())
    differing = only_first + only_second
    p_value = float(binomtest(only_first, differing).pvalue) if differing else 1.0
    low, high = find_difference_interval(
        int((a & b).sum()), only_first, only_second, int((~a & ~b).sum())
    )
    return ImageComparison(
        len(both), float(a.mean()), float(b.mean()), only_first, only_second, p_value, low, high
    )


def find_difference_interval(
    both_right: float, only_first: float, only_second: float, neither: float
) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two shares of the same units.

    Newcombe (1998, Statistics in Medicine 17, 2635), method 10: the Wilson intervals of both shares
    joined by the correlation of the pairs (with his correction for continuity of it). Unlike
    Wald's it does not shrink to nothing where the two never differ.

    Parameters
    ----------
    both_right, only_first, only_second, neither
        Units by who is right; fractions where several fits judged a unit, whole in all.

    Returns
    -------
    tuple of float
        Ends of first minus second, in [-1, 1].
    """
    n = round(both_right + only_first + only_second + neither)
    first, second = (both_right + only_first) / n, (both_right + only_second) / n
    below_1, above_1 = (abs(first - end) for end in find_wilson_interval(first, n, CONFIDENCE))
    below_2, above_2 = (abs(second - end) for end in find_wilson_interval(second, n, CONFIDENCE))
    product = both_right * neither - only_first * only_second
    corrected = max(product - n / 2, 0) if product > 0 else product
    spread = np.sqrt(
        float(both_right + only_first)
        * (only_second + neither)
        * (both_right + only_second)
        * (only_first + neither)
    )
    phi = corrected / spread if spread > 0 else 0.0
    down = np.sqrt(max(below_1**2 - 2 * phi * below_1 * above_2 + above_2**2, 0))
    up = np.sqrt(max(below_2**2 - 2 * phi * below_2 * above_1 + above_1**2, 0))
    return first - second - float(down), first - second + float(up)


def compare_over_fits(
    images: pd.DataFrame,
    first: str,
    second: str,
    left_out_per_train: float = 0.0,
) -> FitComparison:
    """Compare the accuracy of two arms over the repeats and folds that both have.

    Parameters
    ----------
    images
        Test predictions of one level.
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
            {k: measure_verdicts(f["y_true"], f["y_pred"])["accuracy"] for k, f in fits},
            dtype=float,
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
    sd = low = high = p_wilcoxon = p_value = float("nan")
    if n >= 2:
        sd = float(difference.std(ddof=1))
        error = sd * float(np.sqrt(1 / n + left_out_per_train))
        half = find_half_width(sd, n, left_out_per_train)
        low, high = mean - half, mean + half
        distance = abs(mean) / error if error > 0 else np.inf if mean else 0.0
        p_value = float(2 * t.sf(distance, n - 1))
    if n >= FITS_FOR_WILCOXON:
        p_wilcoxon = float(wilcoxon(difference).pvalue) if difference.any() else 1.0
    return FitComparison(n, mean, sd, low, high, p_wilcoxon, p_value)


def find_half_width(sd: float, n_fits: int, left_out_per_train: float) -> float:
    """Return half the 95 % interval of a mean over fits whose training parts overlap.

    Student's interval with the variance of the mean of Nadeau and Bengio (2003, Machine Learning
    52, 239): (1/n + left out / trained) times that of a single fit.
    """
    from scipy.stats import t

    quantile = float(t.ppf((1 + CONFIDENCE) / 2, n_fits - 1))
    return quantile * sd * float(np.sqrt(1 / n_fits + left_out_per_train))


def average_over_units(rows: pd.DataFrame) -> "pd.Series[float]":
    """Average errors over the samples (and outputs) of each unit in each fit.

    Parameters
    ----------
    rows
        Test rows of one model: ``repeat, fold, unit, error``.

    Returns
    -------
    Series
        By ``repeat, fold, unit``.
    """
    return rows.groupby([*FIT, "unit"], sort=True)["error"].mean()


def compare_on_units(
    first: "pd.Series[float]", second: "pd.Series[float]", left_out_per_train: float
) -> UnitComparison | None:
    """Compare the errors of two models on the units that the same fits tested.

    With several fits over their means, by the corrected t test; with a single fit over its units,
    which are independent.

    Parameters
    ----------
    first, second
        Of :func:`average_over_units`.
    left_out_per_train
        Of :func:`find_left_out_ratio`.

    Returns
    -------
    UnitComparison or None
        None if they share no unit.
    """
    both = pd.concat([first, second], axis=1, join="inner", keys=["first", "second"])
    if both.empty:
        return None
    n_units = both.index.get_level_values("unit").nunique()
    fits = both.groupby(level=FIT).mean()
    if len(fits) > 1:
        found = compare_scores(fits["first"], fits["second"], left_out_per_train)
    else:
        found = compare_scores(both["first"], both["second"])
    means = float(fits["first"].mean()), float(fits["second"].mean())
    return UnitComparison(
        n_units, len(fits), *means, found.mean, found.sd, found.low, found.high, found.p_value
    )


def judge_rivals(gains: Mapping[str, float], p_values: Mapping[str, float]) -> dict[str, Verdict]:
    """Say of every rival whether it is beaten, better, or whether chance explains the difference.

    Parameters
    ----------
    gains
        By rival: how much better than it the model is; negative where it is worse.
    p_values
        Of the tests, not yet corrected; NaN where nothing could be tested, which counts as chance.

    Returns
    -------
    dict
        The rival that is hardest to beat first: those not beaten, then by the gain.

    Examples
    --------
    >>> found = judge_rivals({"mean": 3.0, "forest": 1.0}, {"mean": 0.001, "forest": 0.06})
    >>> {name: verdict.outcome for name, verdict in found.items()}
    {'forest': 'chance', 'mean': 'beaten'}
    """
    corrected = correct_by_holm(np.array([p_values[name] for name in gains], dtype=np.float64))
    found: dict[str, Verdict] = {}
    for name, p_holm in zip(gains, corrected.tolist(), strict=True):
        outcome: Outcome = "chance"
        if p_holm < SIGNIFICANT:
            outcome = "beaten" if gains[name] > 0 else "better"
        found[name] = Verdict(outcome, p_holm)
    order = sorted(found, key=lambda name: (found[name].outcome == "beaten", gains[name], name))
    return {name: found[name] for name in order}


def correct_by_holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correct p values for their number (Holm 1979); NaN stays and does not count.

    Examples
    --------
    >>> correct_by_holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    corrected = np.full(len(p_values), np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    ordered = known[np.argsort(p_values[known], kind="stable")]
    stricter = p_values[ordered] * np.arange(len(ordered), 0, -1)
    corrected[ordered] = np.minimum(1.0, np.maximum.accumulate(stricter))
    return corrected


def find_left_out_ratio(split: pd.DataFrame) -> float:
    """Return the samples that a fit leaves out in turn, per training sample.

    Nadeau and Bengio (2003) derive from this ratio how much the training parts of two fits
    overlap. Where the test part changes from fit to fit, it is what is left out in turn; where
    all fits have the same test part, the validation part is.

    Parameters
    ----------
    split
        ``sample_id, repeat, fold, role``.

    Examples
    --------
    >>> roles = ["train"] * 4 + ["validation"] * 2 + ["test"] * 4
    >>> fits = [{"sample_id": i, "repeat": 0, "fold": f, "role": roles[i]}
    ...         for f in (0, 1) for i in range(10)]
    >>> find_left_out_ratio(pd.DataFrame(fits))
    0.5
    """
    counts = split["role"].value_counts()
    left_out = counts.get("validation" if has_common_test(split) else "test", 0)
    return float(left_out / max(1, counts.get("train", 0)))


def has_common_test(split: pd.DataFrame) -> bool:
    """Whether several fits have one and the same test part."""
    n_fits = split.groupby(FIT).ngroups
    tested = split.loc[split["role"] == "test", "sample_id"].value_counts()
    return n_fits > 1 and bool((tested == n_fits).all())
