"""The few values by which a study is judged, out of all that it measures."""

import pytest

from batteryscope.evaluation.headline_metrics import select_headlines
from tests.golden.project import STUDIES, read_stored


def test_classes_have_their_accuracy_with_interval_and_the_best_baseline() -> None:
    found = select_headlines(
        {
            "a.image.pooled_accuracy": 0.9,
            "a.image.pooled_accuracy_low": 0.8,
            "a.image.pooled_accuracy_high": 0.95,
            "a.image.n": 40,
            "a.image.state.pooled_accuracy": 0.97,  # a part of the answer is no headline
            "a.tile.pooled_accuracy": 0.7,
            "baseline_majority.image.pooled_accuracy": 0.25,
            "baseline_metadata.image.pooled_accuracy": 0.5,
            "baseline_metadata_other_split.image.pooled_accuracy": 0.99,  # of other images
            "shortcut_metadata.image.pooled_accuracy": 0.99,
        },
        "a",
    )
    assert found == {
        "accuracy": 0.9,
        "accuracy_low": 0.8,
        "accuracy_high": 0.95,
        "best_baseline_accuracy": 0.5,
        "test_images": 40,
    }


def test_a_baseline_that_knows_more_targets_is_judged_by_those_of_the_arm() -> None:
    metrics = {
        "a.image.mape": 3.0,
        "a.image.one.mape": 2.0,
        "a.image.two.mape": 4.0,
        "baseline_mean.image.mape": 1.0,
        "baseline_mean.image.one.mape": 5.0,
        "baseline_mean.image.two.mape": 7.0,
        "baseline_mean.image.three.mape": 0.1,
    }
    assert select_headlines(metrics, "a")["best_baseline_mape"] == 6.0
    assert "best_baseline_mape" not in select_headlines(metrics, "baseline_mean")


def test_a_target_that_may_be_0_has_its_absolute_error() -> None:
    metrics = {
        "a.row.steel.strength.mape": 3.0,
        "a.row.steel.strength.mae": 30.0,
        "a.row.steel.shift.mae": 0.2,
        "baseline_linear.row.steel.shift.mae": 0.1,
    }
    assert select_headlines(metrics, "a") == {
        "steel.strength.mape": 3.0,
        "steel.shift.mae": 0.2,
        "steel.shift.best_baseline_mae": 0.1,
    }
    assert select_headlines(metrics, "b") == {}


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_has_about_a_dozen(study: str) -> None:
    (values,) = read_stored(study)["headline.json"].values()
    assert 4 <= len(values) <= 16
    assert any(name.rpartition(".")[2].startswith("best_baseline_") for name in values)
