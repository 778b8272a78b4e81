"""Whether a published model is better than an earlier one, on the samples that both tested."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.errors import InputError
from batteryscope.evaluation.paired import SIGNIFICANT, compare_scores, find_difference_interval

FEWEST_UNITS = 6  # with five that all agree, a fair coin still has p = 1/16
MOST_EXACT = 14  # units of which all ways to exchange the models are tried; of more, a sample
N_DRAWN = 20_000
TESTED_COLUMNS = ["sample_id", "unit", "target", "y_true", "error"]


@dataclass(frozen=True)
class VersionComparison:
    """The errors of a new model beside those of an old one, unit by unit.

    ``new`` and ``old`` are mean errors: shares of wrong classes, or absolute errors of numbers in
    standard deviations of the true values. ``low`` and ``high`` enclose the gain (old minus new)
    with 95 % confidence; NaN, like ``p_value``, where a single unit was tested, and also where all
    units differ alike.
    """

    n_units: int
    new: float
    old: float
    low: float
    high: float
    p_value: float

    @property
    def gain(self) -> float:
        """By how much the new one errs less."""
        return self.old - self.new

    @property
    def is_better(self) -> bool:
        """Whether chance does not explain that the new one errs less."""
        return self.n_units >= FEWEST_UNITS and self.gain > 0 and self.p_value < SIGNIFICANT

    def describe(self) -> str:
        """Say it in a phrase."""
        known = np.isfinite(self.low)
        interval = f"95 % interval {self.low:+.3g} to {self.high:+.3g}, " if known else ""
        chance = f"p = {self.p_value:.2g}" if np.isfinite(self.p_value) else "not testable"
        few = f"; fewer than {FEWEST_UNITS} prove nothing" if self.n_units < FEWEST_UNITS else ""
        return (
            f"mean error {self.new:.4g} against {self.old:.4g} on {self.n_units} independent test "
            f"units (difference {self.gain:+.3g}, {interval}{chance}{few})"
        )


def describe_tested(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return how much each test prediction errs.

    Parameters
    ----------
    predictions
        ``sample_id, unit, target`` ("" for classes), ``y_true, y_pred``: names, or numbers. A
        sample may be there several times, from several fits.

    Returns
    -------
    DataFrame
        :data:`TESTED_COLUMNS`; ``y_true`` is text. An error is 0 or 1, or of a number the absolute
        one in standard deviations of the true values of its target.
    """
    if pd.api.types.is_numeric_dtype(predictions["y_true"]):
        known = predictions.drop_duplicates(["sample_id", "target"]).groupby("target")["y_true"]
        spread = predictions["target"].map(known.std(ddof=0).replace(0, 1))
        error = (predictions["y_pred"] - predictions["y_true"]).abs() / spread
    else:
        error = (predictions["y_pred"] != predictions["y_true"]).astype(float)
    tested = predictions.assign(error=error.round(6), y_true=predictions["y_true"].astype(str))
    return tested[TESTED_COLUMNS].reset_index(drop=True)


def compare_versions(new: pd.DataFrame, old: pd.DataFrame) -> VersionComparison:
    """Compare two models unit by unit, each unit counting once, whatever fits tested it.

    Where every unit is either right or wrong McNemar's exact test decides, else the sign-flip
    (permutation) test over units: how often a coin per unit, which decides whose error is whose,
    gives a mean difference at least as large. The interval is that of the paired t test.

    Parameters
    ----------
    new, old
        Of :func:`describe_tested`.

    Raises
    ------
    InputError
        The tested samples or their true values differ, so that nothing can be paired.
    """
    _demand_same_samples(new, old)
    errors = (table.groupby("unit")["error"].mean() for table in (new, old))
    first, second = next(errors).align(next(errors), join="inner")
    if set(np.unique([first, second])) <= {0.0, 1.0}:
        return _compare_right_and_wrong(first == 0, second == 0)
    found = compare_scores(second, first)
    low, high = (found.low, found.high) if found.sd > 0 else (np.nan, np.nan)
    means = float(first.mean()), float(second.mean())
    p_value = flip_signs((second - first).to_numpy(np.float64))
    return VersionComparison(len(first), *means, low, high, p_value)


def flip_signs(difference: NDArray[np.float64]) -> float:
    """Return the two-sided p value of the sign-flip test of a mean of zero; NaN of a single unit.

    All signs are tried with up to :data:`MOST_EXACT` units, else :data:`N_DRAWN` drawn ones.

    Examples
    --------
    >>> flip_signs(np.full(6, 0.5)) == 2 / 2**6
    True
    """
    n = len(difference)
    if n < 2:
        return float("nan")
    if n <= MOST_EXACT:
        signs = 1 - 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
        return float(_reach(difference, signs).mean())
    rng, each = np.random.default_rng(n), N_DRAWN // 20  # few at a time, for the memory
    drawn = (rng.choice((-1, 1), (each, n)) for _ in range(20))
    n_reached = sum(int(_reach(difference, signs).sum()) for signs in drawn)
    return (n_reached + 1) / (N_DRAWN + 1)


def _reach(difference: NDArray[np.float64], signs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether sums with other signs are as far from zero, but for rounding."""
    limit = abs(difference.sum()) - 1e-9 * np.abs(difference).sum()
    reached: NDArray[np.bool_] = np.abs(signs @ difference) >= limit
    return reached


def _compare_right_and_wrong(
    ours: "pd.Series[bool]", theirs: "pd.Series[bool]"
) -> VersionComparison:
    from scipy.stats import binomtest

    counts = pd.crosstab(ours, theirs).reindex(
        index=[True, False], columns=[True, False], fill_value=0
    )
    (both, only_ours), (only_theirs, neither) = counts.to_numpy().tolist()
    differing = only_ours + only_theirs
    p_value = float(binomtest(only_ours, differing).pvalue) if differing else 1.0
    low, high = find_difference_interval(both, only_ours, only_theirs, neither)
    return VersionComparison(
        len(ours), float((~ours).mean()), float((~theirs).mean()), low, high, p_value
    )


def _demand_same_samples(new: pd.DataFrame, old: pd.DataFrame) -> None:
    keys = ["sample_id", "target"]
    ours, theirs = (set(table[keys].itertuples(index=False, name=None)) for table in (new, old))
    if ours != theirs:
        common = len(ours & theirs)
        raise InputError(
            f"the test samples differ ({len(ours)} here, {len(theirs)} there, {common} in common)"
        )
    truths = [table.drop_duplicates(keys).set_index(keys)["y_true"] for table in (new, old)]
    first, second = truths[0].align(truths[1], join="inner")
    if not (first == second).all():
        raise InputError(
            f"the true values of {int((first != second).sum())} test samples are others today"
        )
