"""Pairs of arms with known differences."""

import numpy as np
import pandas as pd
import pytest

from batteryscope.evaluation.arm_pairs import (
    PAIR_COLUMNS,
    compare_pairs_of_arms,
    find_better,
    judge_pairs,
)
from batteryscope.evaluation.paired import correct_by_holm, find_left_out_ratio
from batteryscope.evaluation.sentences.classes import SENTENCES

ROLES = ["train"] * 60 + ["validation"] * 10 + ["test"] * 30


def make_split(fits: int, turned: bool) -> pd.DataFrame:
    """The same 100 samples in every fit, or with the test part moving through them."""
    rows = [
        {"sample_id": (i + 30 * fit * turned) % 100, "repeat": fit, "fold": 0, "role": role}
        for fit in range(fits)
        for i, role in enumerate(ROLES)
    ]
    return pd.DataFrame(rows)


SPLIT = make_split(2, turned=True)


def make_images(right: dict[str, list[int]], n: int = 10) -> pd.DataFrame:
    """Per arm the number of right images of each fit, out of ``n``, the first ones."""
    rows = [
        {
            "arm": arm, "repeat": fold, "fold": 0, "role": "test",
            "sample_id": f"s{fold}_{i}", "y_true": "a", "y_pred": "a" if i < hits else "b",
            "p_a": 0.9 if i < hits else 0.1, "p_b": 0.1 if i < hits else 0.9,
        }
        for arm, hits_by_fold in right.items()
        for fold, hits in enumerate(hits_by_fold)
        for i in range(n)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_constant_advantage_is_found():
    images = make_images({"good": [9] * 7, "poor": [6] * 7, "same": [6] * 7})
    table = compare_pairs_of_arms(images, ["good", "poor", "same", "absent"], SPLIT)
    assert list(table.columns) == PAIR_COLUMNS
    assert table[["first", "second"]].to_numpy().tolist() == [
        ["good", "poor"], ["good", "same"], ["poor", "same"],
    ]  # fmt: skip
    first = table.iloc[0]
    assert (first["n_fits"], first["n_images"]) == (7, 70)
    assert (first["difference"], first["low"], first["high"]) == pytest.approx((0.3, 0.3, 0.3))
    assert (first["only_first_right"], first["only_second_right"]) == (21, 0)
    assert first["p_wilcoxon"] == pytest.approx(2 / 2**7)
    assert first["p_wilcoxon_holm"] == pytest.approx(3 * 2 / 2**7)
    assert table.iloc[2]["p_mcnemar"] == 1


def test_interval_allows_for_overlapping_training_parts():
    images = make_images({"one": [9, 7], "two": [5, 5]})
    row = compare_pairs_of_arms(images, ["one", "two"], SPLIT).iloc[0]
    half = 12.7062 * np.sqrt(0.02) * np.sqrt(1 / 2 + 0.5)  # t of one degree, sd, n and 30 / 60
    assert row["high"] - row["difference"] == pytest.approx(half, rel=1e-4)
    assert np.isnan(row["p_wilcoxon"])


def test_what_is_left_out_in_turn_sets_the_width():
    assert find_left_out_ratio(make_split(3, turned=True)) == 30 / 60
    # All fits are tested on the same images; their training parts differ by the validation part.
    assert find_left_out_ratio(make_split(3, turned=False)) == 10 / 60
    assert find_left_out_ratio(make_split(1, turned=False)) == 30 / 60


@pytest.mark.parametrize(("common_test", "better"), [(False, "a"), (True, None)])
def test_fits_on_the_same_images_do_not_speak_for_other_images(common_test, better):
    """A gain in every fit, but on too few images for McNemar's test."""
    pair = {
        "first": "a", "second": "b", "common_test": common_test, "difference": 0.05, "low": 0.03,
        "high": 0.07, "p_wilcoxon_holm": 0.001, "p_mcnemar_holm": 0.5,
    }  # fmt: skip
    assert find_better(pair) == better
    assert find_better(pair | {"p_mcnemar_holm": 0.04}) == "a"


def test_main_arm_is_put_beside_the_others_in_words():
    images = make_images({"poor": [6] * 7, "good": [9] * 7, "near": [9, 9, 8, 9, 9, 9, 9]})
    pairs = compare_pairs_of_arms(images, ["poor", "good", "near"], SPLIT)
    (finding,) = SENTENCES.record(judge_pairs(pairs, "good"))
    assert "poor +30.0 points (95 % interval +30.0 to +30.0; good is better)" in finding["text"]
    assert "near +1.4 points (95 % interval −" in finding["text"]
    assert "chance may explain it" in finding["text"]
    assert judge_pairs(pairs.head(0), "good") == []


def test_holm():
    p_values = np.array([0.04, np.nan, 0.01, 0.9])
    np.testing.assert_allclose(correct_by_holm(p_values), [0.08, np.nan, 0.03, 0.9])
