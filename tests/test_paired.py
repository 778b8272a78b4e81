"""Paired comparisons with answers from papers and closed formulas."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from batteryscope.evaluation.paired import (
    average_over_units,
    compare_on_images,
    compare_on_units,
    compare_scores,
    find_difference_interval,
    judge_rivals,
)
from batteryscope.evaluation.predictions import make_predictions


def test_corrected_t_test_of_ten_folds_by_hand():
    # Mean 0.02 and standard deviation 0.01 of 10 differences; 1 of 10 parts left out in turn.
    shape = np.array([-1.0, 1.0] * 5) * 0.01 * np.sqrt(9 / 10)
    found = compare_scores(pd.Series(0.02 + shape), pd.Series(np.zeros(10)), 1 / 9)
    error = 0.01 * np.sqrt(1 / 10 + 1 / 9)
    assert (found.mean, found.sd) == pytest.approx((0.02, 0.01))
    assert found.p_value == pytest.approx(2 * t.sf(0.02 / error, 9))
    assert (found.low, found.high) == pytest.approx(
        (0.02 - 2.262157 * error, 0.02 + 2.262157 * error), rel=1e-6
    )
    plain = compare_scores(pd.Series(0.02 + shape), pd.Series(np.zeros(10)))
    assert plain.p_value < found.p_value
    # The interval leaves out zero just where the p value is below 0.05.
    assert (found.low > 0) == (found.p_value < 0.05)


def test_differences_without_any_spread_need_no_test():
    same = compare_scores(pd.Series([1.0, 2.0]), pd.Series([1.0, 2.0]))
    apart = compare_scores(pd.Series([1.0, 2.0]), pd.Series([2.0, 3.0]))
    assert (same.p_value, apart.p_value) == (1.0, 0.0)
    assert (apart.low, apart.high) == (-1.0, -1.0)


@pytest.mark.parametrize(
    ("table", "ends"),
    [
        # Bentur et al. 2009 as in Fagerland, Lydersen and Laake 2017, table 8.4.
        ((1, 1, 7, 12), (-0.507, -0.026)),
        # Altman, Machin, Bryant and Gardner 2000, Statistics with confidence, table 6.2.
        ((14, 5, 0, 22), (0.011, 0.226)),
        # Nobody errs: the interval is not empty, but two of Wilson's, 0 to 0.1611.
        ((20, 0, 0, 0), (-0.161, 0.161)),
    ],
)
def test_interval_of_paired_shares_is_that_of_newcombe(table, ends):
    assert find_difference_interval(*table) == pytest.approx(ends, abs=5e-4)


def make_verdicts(arm, right, y_true="a"):
    """One verdict per specimen, given whether it is right."""
    keys = pd.DataFrame({"sample_id": [f"c{i}" for i in range(len(right))], "tile": -1})
    keys = keys.assign(repeat=0, fold=0, role="test", arm=arm, y_true=y_true)
    chances = np.array([[0.9, 0.1] if hit else [0.1, 0.9] for hit in right])
    return make_predictions(keys, chances, ["a", "b"])


def test_mcnemar_on_a_table():
    # 1 both, 1 only the first, 7 only the second, 12 neither: exact p is 2 · (1 + 8) / 2⁸.
    first = [True] * 2 + [False] * 19
    second = [True, False] + [True] * 7 + [False] * 12
    verdicts = pd.concat([make_verdicts("first", first), make_verdicts("second", second)])
    found = compare_on_images(verdicts, "first", "second")
    assert (found.n, found.only_first_right, found.only_second_right) == (21, 1, 7)
    assert found.p_value == pytest.approx(2 * 9 / 2**8)
    assert found.difference == pytest.approx(-6 / 21)
    assert (found.low, found.high) == pytest.approx((-0.507, -0.026), abs=5e-4)


def test_a_specimen_in_two_states_counts_in_both():
    both = [make_verdicts(arm, [True, True]) for arm in ("first", "second")]
    cycled = [make_verdicts(arm, [False, True], y_true="b") for arm in ("first", "second")]
    found = compare_on_images(pd.concat([*both, *cycled]), "first", "second")
    assert found.n == 4


def test_units_count_once_whatever_the_number_of_their_samples():
    rows = pd.DataFrame({"repeat": 0, "fold": 0, "unit": list("aaab"), "error": [1.0, 1, 4, 6]})
    mine = average_over_units(rows)
    assert mine.tolist() == [2.0, 6.0]
    other = average_over_units(rows.assign(error=[2.0, 2, 5, 9]))
    pair = compare_on_units(mine, other, 0.5)
    assert (pair.n_fits, pair.n_units, pair.difference) == (1, 2, pytest.approx(-2))
    assert pair.p_value == pytest.approx(2 * t.sf(2, 1))  # −1 and −3: mean −2, error 1
    assert compare_on_units(mine, other.rename({"a": "x", "b": "y"}), 0.5) is None


def test_the_hardest_rival_comes_first():
    gains = {"near": 0.1, "far": 5.0, "ahead": -2.0, "unknown": 0.5}
    p_values = {"near": 0.3, "far": 0.01, "ahead": 0.001, "unknown": np.nan}
    found = judge_rivals(gains, p_values)
    outcomes = {name: verdict.outcome for name, verdict in found.items()}
    assert list(outcomes.items()) == [
        ("ahead", "better"), ("near", "chance"), ("unknown", "chance"), ("far", "beaten"),
    ]  # fmt: skip
    assert found["far"].p_holm == pytest.approx(0.02)  # the second of three
