import numpy as np
import pandas as pd
import pytest

from batteryscope.core.conformal import (
    count_needed_rows,
    find_conformal_quantile,
    find_relative_scores,
)
from batteryscope.tables.findings import judge_intervals
from batteryscope.tables.intervals import find_outside_range, find_ranges, measure_intervals
from batteryscope.tables.sentences import SENTENCES
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


def make_synthetic(n, repeats=2, spread=0.1):
    """Repeats of n test rows of their own, with relative errors of a normal distribution."""
    rng = np.random.default_rng(5)
    pred = rng.uniform(1, 3, n * repeats)
    table = make_rows("adapter", [0.0], n_rows=n * repeats)
    return table.assign(
        sample_id=[f"row{i}" for i in range(n * repeats)],
        repeat=np.repeat(range(repeats), n),
        y_pred=pred,
        y_true=pred * (1 + spread * rng.standard_normal(n * repeats)),
    )


def test_coverage_of_a_large_sample_is_the_wanted_one():
    n = 4000
    total = measure_intervals(make_synthetic(n), 0.9).iloc[-1]
    # Both samples scatter: variance p (1 - p) (1/n + 1/n), three standard deviations.
    assert total["coverage_measured"] == pytest.approx(0.9, abs=3 * np.sqrt(0.09 * 2 / n))
    assert total["relative_half_width"] == pytest.approx(0.1 * 1.645, rel=0.06)
    assert (total["n_test"], total["n_calibration"]) == (2 * n, 2 * n)
    assert total["mean_half_width"] == pytest.approx(2 * total["relative_half_width"], rel=0.02)


def test_a_repeat_is_judged_by_rows_of_other_repeats_that_it_does_not_test():
    table = make_rows("adapter", [10, 20, 30], n_rows=3)  # 3 repeats test the same 3 rows …
    table.loc[table["repeat"] == 2, "sample_id"] += " of its own"  # … but the last one
    measured = measure_intervals(table, 0.5)
    assert measured["repeat"].isna().tolist() == [False, False, False, True]
    # The first two have the last one's rows; the last one has the first one's, each row once.
    assert measured["n_calibration"].tolist() == [3, 3, 3, 6]
    # The 2nd of 3 equal errors of 30 % (10 %) of the truth, as a share of the prediction.
    widths = measured["relative_half_width"].tolist()
    assert widths[:3] == pytest.approx([0.3 / 1.3, 0.3 / 1.3, 0.1 / 1.1])
    # New rows: errors of the mean prediction, 15 % (repeats 0 and 1) three times and 30 %.
    assert widths[3] == pytest.approx(0.3 / 1.3)
    assert measured["coverage_measured"].tolist() == pytest.approx([1, 1, 0, 6 / 9])
    assert measured["n_test"].tolist() == [3, 3, 3, 9]


def test_validation_rows_do_not_count():
    table = make_synthetic(50)
    easy = table.assign(role="validation", y_true=table["y_pred"])
    expected = measure_intervals(table, 0.9)
    pd.testing.assert_frame_equal(measure_intervals(pd.concat([easy, table]), 0.9), expected)


def test_infinite_and_too_narrow_intervals_are_told():
    table = measure_intervals(make_synthetic(5), 0.9)
    assert np.isinf(table["relative_half_width"][:2]).all()
    assert table["coverage_measured"].tolist() == [1.0, 1.0, 1.0]
    (finding,) = SENTENCES.record(judge_intervals(table, make_study()))
    assert "infinite in 2 of 2 repeats: 5 rows that other repeats have tested" in finding["text"]
    assert "which needs 9" in finding["text"]
    # One repeat fails altogether: the other one's errors do not tell, its own tell too much.
    narrow = make_synthetic(200)
    narrow["y_true"] = narrow["y_true"].mask(narrow["repeat"] == 0, 2 * narrow["y_pred"])
    (finding,) = SENTENCES.record(judge_intervals(measure_intervals(narrow, 0.9), make_study()))
    assert "too narrow: they hold 50.0 % of 400 test predictions" in finding["text"]
    good = measure_intervals(make_synthetic(200), 0.9)
    assert list(judge_intervals(good, make_study())) == []


def test_values_outside_the_training_range_are_listed():
    known = pd.DataFrame({"comma_gap": [100.0, 200.0], "roll_gap": [40.0, 60.0]})
    ranges = find_ranges(known, ["comma_gap", "roll_gap"])
    query = {"comma_gap": 250.0, "roll_gap": 39.0}
    assert find_outside_range(query, ranges) == [
        ("comma_gap", 250.0, 100.0, 200.0),
        ("roll_gap", 39.0, 40.0, 60.0),
    ]
    assert find_outside_range({"comma_gap": 100.0, "roll_gap": 60.0}, ranges) == []
