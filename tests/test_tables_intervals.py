import numpy as np
import pandas as pd
import pytest

from batteryscope.tables.findings import judge_intervals
from batteryscope.tables.intervals import (
    count_needed_rows,
    find_conformal_quantile,
    find_outside_range,
    find_ranges,
    find_relative_scores,
    measure_intervals,
)
from tests.table_study import make_rows, make_study


def test_quantile_of_nine_scores_is_the_largest_at_90_percent():
    scores = [0.5, 0.1, 0.9, 0.3, 0.2, 0.8, 0.4, 0.7, 0.6]
    # ceil(10 x 0.9) = 9th of 9; ceil(10 x 0.7) = 7th; ceil(10 x 0.91) = 10th, which is missing.
    assert find_conformal_quantile(scores, 0.9) == 0.9
    assert find_conformal_quantile(scores, 0.7) == 0.7
    assert find_conformal_quantile(scores, 0.91) == np.inf
    assert find_conformal_quantile(scores[:8], 0.9) == np.inf
    assert find_conformal_quantile([], 0.5) == np.inf
    assert [count_needed_rows(c) for c in (0.5, 0.8, 0.9, 0.95)] == [1, 4, 9, 19]


def test_scores_are_relative_to_the_prediction():
    scores = find_relative_scores([1.0, 3.0, 0.0, 1.0], [2.0, -2.0, 0.0, 0.0])
    np.testing.assert_array_equal(scores, [0.5, 2.5, 0.0, np.inf])


def make_synthetic(n_validation, n_test, spread=0.1):
    """One repeat with relative errors of a normal distribution."""
    rng = np.random.default_rng(5)
    n = n_validation + n_test
    pred = rng.uniform(1, 3, n)
    table = make_rows("adapter", [0.0], n_rows=n)
    return table.assign(
        sample_id=[f"row{i}" for i in range(n)],
        role=["validation"] * n_validation + ["test"] * n_test,
        y_pred=pred,
        y_true=pred * (1 + spread * rng.standard_normal(n)),
    )


def test_coverage_of_a_large_sample_is_the_wanted_one():
    n = 4000
    total = measure_intervals(make_synthetic(n, n), 0.9).iloc[-1]
    # Both samples scatter: variance p (1 - p) (1/n + 1/n), three standard deviations.
    assert total["coverage_measured"] == pytest.approx(0.9, abs=3 * np.sqrt(0.09 * 2 / n))
    assert total["relative_half_width"] == pytest.approx(0.1 * 1.645, rel=0.06)
    assert (total["n_test"], total["n_calibration"]) == (n, n)
    assert total["mean_half_width"] == pytest.approx(2 * total["relative_half_width"], rel=0.02)


def test_validation_rows_are_pooled_over_repeats_without_the_repeats_own_test_rows():
    validation = make_rows("adapter", [10, 20, 30], role="validation", n_rows=3)
    test = make_rows("adapter", [25, 25, 25], n_rows=2)
    # Row 0 validates everywhere, but in repeat 2 it is a test row as well.
    test.loc[test.index[4], "sample_id"] = validation["sample_id"][0]
    table = measure_intervals(pd.concat([validation, test]), 0.5)
    assert table["n_calibration"].tolist() == [9, 9, 6, 9]
    assert table["repeat"].isna().tolist() == [False, False, False, True]
    # The 5th of 9 errors of 10, 20, 30 % is 20 % of the truth: 0.2 / 1.2 of the prediction.
    assert table["relative_half_width"].tolist()[0] == pytest.approx(0.2 / 1.2)
    assert table["coverage_measured"].tolist() == [0, 0, 0, 0]
    assert table["n_test"].tolist() == [2, 2, 2, 6]


def test_infinite_and_too_narrow_intervals_are_told():
    few = make_synthetic(5, 20)
    table = measure_intervals(few, 0.9)
    assert np.isinf(table["relative_half_width"]).all()
    assert table["coverage_measured"].tolist() == [1.0, 1.0]
    (finding,) = judge_intervals(table, make_study())
    assert "infinite in 1 of 1 repeats: 5 validation rows are too few" in finding["text"]
    assert "which needs 9" in finding["text"]
    narrow = make_synthetic(200, 200)
    tested = narrow["role"] == "test"
    narrow.loc[tested, "y_true"] = 2 * narrow.loc[tested, "y_pred"]
    (finding,) = judge_intervals(measure_intervals(narrow, 0.9), make_study())
    assert "too narrow: they hold 0.0% of 200 test predictions" in finding["text"]
    assert (
        list(judge_intervals(measure_intervals(make_synthetic(200, 200), 0.9), make_study())) == []
    )


def test_values_outside_the_training_range_are_listed():
    known = pd.DataFrame({"comma_gap": [100.0, 200.0], "roll_gap": [40.0, 60.0]})
    ranges = find_ranges(known, ["comma_gap", "roll_gap"])
    query = pd.DataFrame({"comma_gap": [200.0, 250.0], "roll_gap": [39.0, 50.0]})
    assert find_outside_range(query, ranges) == [
        ("roll_gap", 39.0, 40.0, 60.0),
        ("comma_gap", 250.0, 100.0, 200.0),
    ]
