"""Sets of classes and the risk-coverage curve, with known answers."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from batteryscope.bundle.prediction_set import caution_of_sets
from batteryscope.bundle.record import PublishedSets
from batteryscope.core.conformal import find_conformal_quantile
from batteryscope.evaluation.external import score_external
from batteryscope.evaluation.metrics import find_wilson_interval
from batteryscope.evaluation.prediction_sets import (
    choose_classes,
    find_size_ends,
    flatten_sets,
    judge_sets,
    measure_sets,
    score_classes,
)
from batteryscope.evaluation.predictions import make_predictions
from batteryscope.evaluation.risk_coverage import (
    find_area,
    find_area_ends,
    flatten_risk,
    pick_shares,
    rank_errors,
    tabulate_risk,
)
from batteryscope.evaluation.sentences.classes import SENTENCES
from batteryscope.report.results import show_external
from batteryscope.report.sure_answers import tell_risk, tell_sets

CLASSES = ["a", "b", "c"]


def make_units(winner, true, *, fold=0, role="test", names=None):
    """Verdicts in which the class a has a probability, b two thirds of the rest, c a third."""
    p = np.asarray(winner, float)
    names = [f"s{fold}_{i}" for i in range(len(p))] if names is None else names
    keys = pd.DataFrame({"sample_id": names, "y_true": list(true)}).assign(
        tile=-1, repeat=0, fold=fold, role=role, arm="main"
    )
    return make_predictions(keys, np.stack([p, (1 - p) * 2 / 3, (1 - p) / 3], 1), CLASSES)


def test_a_class_scores_what_joins_before_it():
    p = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.4, 0.4, 0.2]])
    np.testing.assert_allclose(score_classes(p), [[0, 0.5, 0.8], [0.9, 0.7, 0], [0, 0.4, 0.8]])
    assert choose_classes(p[0], 0.0) == [0]
    assert choose_classes(p[0], 0.5) == [0, 1]
    assert choose_classes(p[1], 0.9) == [2, 1, 0]


def test_sets_of_grades_have_no_gap():
    p = np.array([[0.45, 0.05, 0.40, 0.10]])
    # Without an order the third class is next; with one it waits for the second.
    assert choose_classes(p[0], 0.45) == [0, 2]
    np.testing.assert_allclose(score_classes(p, [0, 1, 2, 3]), [[0, 0.45, 0.5, 0.9]])
    # From the lowest grade on: class 2, class 0, class 3, class 1.
    np.testing.assert_allclose(score_classes(p, [2, 0, 3, 1]), [[0, 0.95, 0.45, 0.85]])
    rng = np.random.default_rng(0)
    order = [3, 0, 4, 1, 2]
    for one in rng.dirichlet(np.ones(5), 200):
        for threshold in (0.3, 0.6, 0.9):
            places = sorted(order.index(c) for c in choose_classes(one, threshold, order))
            assert places == list(range(places[0], places[-1] + 1))


def test_nine_scores_by_hand():
    """Calibration classes b with a at 0.1 to 0.9 score so much: the largest is the limit at 90 %.

    A new image with a at 0.9 then holds b, one with a at 0.91 does not.
    """
    likely = np.arange(1, 10) / 10
    scores = score_classes(np.stack([likely, 1 - likely], 1))[:, 1]
    np.testing.assert_allclose(scores, [0, 0, 0, 0, 0.5, 0.6, 0.7, 0.8, 0.9])
    limit = find_conformal_quantile(scores, 0.9)
    assert limit == pytest.approx(0.9)
    assert choose_classes(np.array([0.9, 0.1]), limit) == [0, 1]
    assert choose_classes(np.array([0.91, 0.09]), limit) == [0]
    assert find_conformal_quantile(scores, 0.7) == pytest.approx(0.7)  # the 7th of 9
    assert find_conformal_quantile(scores[:8], 0.9) == np.inf


def draw(rng, n, n_classes=4):
    """Probabilities and classes that are drawn from them, so that any new one is exchangeable."""
    p = rng.dirichlet(np.full(n_classes, 0.8), n)
    return p, (p.cumsum(1) < rng.random((n, 1))).sum(1)


def test_coverage_over_many_draws_is_the_promised_one():
    rng = np.random.default_rng(1)
    n_draws, n = 1500, 50
    held = 0
    for _ in range(n_draws):
        p, y = draw(rng, n + 1)
        scores = score_classes(p)[np.arange(n + 1), y]
        held += scores[-1] <= find_conformal_quantile(scores[:-1], 0.9)
    promised = np.ceil(51 * 0.9) / 51  # scores without ties
    low, high = binomtest(int(held), n_draws).proportion_ci(0.999)
    assert low <= promised <= high


def test_sets_are_those_of_p_values():
    """A class is possible if its p value, (scores as large + 1) / (n + 1), exceeds 1 − coverage."""
    rng = np.random.default_rng(2)
    for n, coverage in ((9, 0.9), (20, 0.8), (37, 0.95), (60, 0.7)):
        p, y = draw(rng, n)
        known = score_classes(p)[np.arange(n), y]
        asked, _ = draw(rng, 50)
        scores = score_classes(asked)
        p_values = ((known[None, None] >= scores[..., None]).sum(-1) + 1) / (n + 1)
        possible = p_values > 1 - coverage + 1e-9
        np.testing.assert_array_equal(possible, scores <= find_conformal_quantile(known, coverage))


def test_a_fold_is_judged_by_images_of_other_folds():
    """Classes b: fold 0 scores 0.6, fold 1 scores 0.8. Each alone would hold its own."""
    likely = (0.6, 0.8)
    units = pd.concat(
        [make_units(np.full(10, p), "b" * 10, fold=fold) for fold, p in enumerate(likely)]
    )
    total = measure_sets(units, {}, 0.8).iloc[0]
    # Fold 0 lies within the limit of fold 1, 0.8; fold 1 not within that of fold 0, 0.6.
    assert total["coverage_measured"] == 0.5
    assert total["threshold"] == pytest.approx(0.8)  # for new images, from all
    assert (total["n_calibration"], total["calibrated_on"], total["n"]) == (20, "test", 20)
    assert total["mean_size"] == 1.5
    assert (total["single_share"], total["empty_share"]) == (0.5, 0)


def test_a_group_counts_once_however_many_images_it_has():
    """Nine groups have one image that scores 0; the tenth has forty that score 0.7."""
    units = pd.concat([
        make_units(np.full(9, 0.7), "a" * 9, fold=0), make_units(np.full(40, 0.7), "b" * 40, fold=1)
    ])  # fmt: skip
    one = {f"s1_{i}": "large" for i in range(40)}
    assert measure_sets(units, one, 0.8)["threshold"].iloc[0] == 0
    assert measure_sets(units, {}, 0.8)["threshold"].iloc[0] == pytest.approx(0.7)
    assert measure_sets(units, one, 0.8)["n_calibration"].iloc[0] == 10


def test_a_single_fit_is_calibrated_on_its_validation_part():
    test = make_units([0.6, 0.9], "bb")
    names = [f"v{i}" for i in range(9)]
    units = pd.concat([make_units(np.full(9, 0.7), "b" * 9, role="validation", names=names), test])
    table = measure_sets(units, {}, 0.9)
    total = table.iloc[0]
    assert (total["calibrated_on"], total["n_calibration"]) == ("validation", 9)
    assert total["threshold"] == pytest.approx(0.7)
    assert total["coverage_measured"] == 0.5
    assert judge_sets(table.assign(level="image")) == []
    few = measure_sets(units.iloc[1:], {}, 0.9).assign(level="image")
    assert np.isinf(few["threshold"]).all()
    assert few["coverage_measured"].isna().all()
    (told,) = SENTENCES.record(judge_sets(few))
    assert "hold the true class of 90 %, which needs 9 independent validation" in told["text"]
    assert told["text"].endswith("there are 8.")
    assert flatten_sets(few, "main") == {}


def test_sets_that_hold_too_little_are_told_with_their_classes():
    rows = [
        {"class": "", "coverage_measured": 0.8, "n_groups": 200, "n": 200},
        {"class": "x_1", "coverage_measured": 0.6, "n_groups": 50, "n": 50},
        {"class": "y", "coverage_measured": 0.86, "n_groups": 150, "n": 150},
    ]
    sets = pd.DataFrame(rows).assign(
        level="image", coverage_wanted=0.9, high=[0.85, 0.72, 0.91], low=0.5, threshold=0.3,
        n_calibration=200, calibrated_on="test", mean_size=1.2, single_share=0.8, empty_share=0.0,
    )  # fmt: skip
    (told,) = SENTENCES.record(judge_sets(sets))
    assert "only 80 % hold the true class" in told["text"]
    assert "Least often for x 1 (60 %, n = 50)." in told["text"]
    assert " y (" not in told["text"]
    flat = flatten_sets(sets, "main")
    assert flat["main.image.set_coverage"] == 0.8
    assert flat["main.image.x_1.set_coverage_high"] == 0.72
    assert flat["main.image.set_coverage_n"] == 200
    low, high = find_wilson_interval(0.8, 50)
    assert flat["main.image.x_1.set_single_share_low"] == pytest.approx(low, abs=1e-6)
    assert flat["main.image.x_1.set_single_share_high"] == pytest.approx(high, abs=1e-6)
    sized = sets.assign(size_low=1.1, size_high=1.3)
    assert flatten_sets(sized, "main")["main.image.set_size_high"] == 1.3


def test_the_size_of_sets_has_an_interval_over_groups():
    sizes = pd.DataFrame(
        {"group": list("aabbcd"), "size": [1.0, 3, 2, 2, 1, 3], "scores": [[0] * 3] * 6}
    )
    # Groups have 2, 2, 1 and 3 classes on average; Student with 3 degrees of freedom.
    half = 3.182446 * np.std([2, 2, 1, 3], ddof=1) / 2
    np.testing.assert_allclose(find_size_ends(sizes), [2 - half, min(3, 2 + half)], atol=1e-6)
    assert np.isnan(find_size_ends(sizes[:2])).all()


def test_risk_of_four_answers_by_hand():
    errors = rank_errors([0.6, 0.9, 0.8, 0.7], [True, True, False, True])
    np.testing.assert_allclose(errors, [0, 1 / 2, 1 / 3, 1 / 4])
    np.testing.assert_allclose(rank_errors([0.5, 0.5], [True, False]), [1, 0.5])  # a tie
    risk = tabulate_risk(make_units([0.6, 0.9, 0.8, 0.7], "aaba"))
    np.testing.assert_allclose(risk["accuracy"], [3 / 4, 2 / 3, 1 / 2, 1])
    np.testing.assert_allclose(risk["given_away"], [0, 0.25, 0.5, 0.75])
    assert risk["kept"].tolist() == [4, 3, 2, 1]
    assert risk["confidence"].iloc[0] == pytest.approx(0.6)
    assert find_area(risk) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    # A tenth of four answers is one of them, and so is a twentieth; 30 % are two.
    assert pick_shares(risk)["kept"].tolist() == [4, 3, 3, 3, 2]
    flat = flatten_risk(risk, "main.image")
    assert flat["main.image.accuracy_without_10"] == pytest.approx(2 / 3, abs=1e-6)
    assert flat["main.image.accuracy_without_10_n"] == 3
    assert flat["main.image.risk_area_n"] == 4
    assert 0 <= flat["main.image.risk_area_low"] < flat["main.image.risk_area"]
    assert flat["main.image.risk_area"] < flat["main.image.risk_area_high"] <= 1
    assert find_area_ends(tabulate_risk(make_units([0.6, 0.9], "bb"))) == (1, 1)  # all wrong
    assert pick_shares(tabulate_risk(make_units([0.6], "a")))["share"].tolist() == [0.0]


def test_an_external_set_judges_the_sets():
    labels = pd.DataFrame(
        {"state": ["new", "old", "new"], "kind": ["1", "1", "2"]},
        index=pd.Index(["1_new", "1_old", "2_new"], name="class"),
    )
    manifest = pd.DataFrame({
        "sample_id": list("pqrs"), "state": ["new", "old", "old", "old"],
        "kind": ["1", "1", "1", "3"],
    })  # fmt: skip
    predictions = pd.DataFrame({
        "sample_id": list("pqrs"), "y_pred": ["1_new", "1_new", "2_new", "1_new"],
        "prediction_set": ["1_new", "1_new | 1_old", "2_new | 1_new", "1_new"],
    })  # fmt: skip
    table = score_external(predictions, manifest, labels, ["state", "kind"]).set_index("target")
    # The kind 3 is none of the model's: its image is not asked for.
    assert table.loc["", "set_coverage"] == pytest.approx(2 / 3)
    assert table.loc["", "mean_set_size"] == pytest.approx(5 / 3)
    assert table.loc["kind", "set_coverage"] == 1
    assert table.loc["state", "set_coverage"] == 0.5
    assert table.loc["", ["set_coverage_n", "sets_counted_by"]].tolist() == [3, "image"]
    # Images of one specimen have much in common; a specimen that one image lacks counts none.
    shared = manifest.assign(specimen_id=["u", "u", "v", "v"], session_id=["1", "2", "3", None])
    grouped = score_external(predictions, shared, labels, ["state", "kind"]).set_index("target")
    assert grouped.loc["", "set_coverage"] == table.loc["", "set_coverage"]
    assert grouped.loc["", ["set_coverage_n", "sets_counted_by"]].tolist() == [2, "specimen"]
    assert grouped.loc["", "set_coverage_low"] < table.loc["", "set_coverage_low"]
    shown = show_external(grouped.reset_index())
    assert dict(zip(shown.columns, shown.rows[0], strict=True))["set coverage n"] == "2"
    bare = score_external(predictions.drop(columns="prediction_set"), manifest, labels, ["state"])
    assert "set_coverage" not in bare


def test_cells_without_sets_are_explained():
    limit = {
        "threshold": 0.3, "n_groups": 16, "calibrated_on": "test", "coverage_measured": None,
        "coverage_low": None, "coverage_high": None, "n_measured": 0, "mean_size": None,
    }  # fmt: skip
    few = limit | {"threshold": None, "n_groups": 4}
    for levels, said in (
        ({"image": limit}, ""),
        ({"slice": limit, "specimen": limit}, ""),
        ({"slice": limit}, "cells have none: tested cells also gave slices to the training."),
        ({"slice": limit, "specimen": few}, "need 9 independent cells to calibrate, the study had"),
    ):
        sets = PublishedSets.model_validate({"coverage": 0.9, "levels": levels})
        note = caution_of_sets(SimpleNamespace(sets=sets))
        assert said in note
        assert bool(note) == bool(said)


def test_the_report_says_what_sets_and_confidence_are_worth():
    units = make_units(np.linspace(0.4, 0.99, 20), "b" + "a" * 18 + "b")
    comparison = pd.DataFrame({"arm": ["main"], "level": ["image"]})
    sets = pd.DataFrame({
        "level": ["image"], "class": [""], "coverage_wanted": [0.9], "coverage_measured": [0.95],
        "mean_size": [1.0], "threshold": [0.0], "n_calibration": [20],
    })  # fmt: skip
    told = SimpleNamespace(
        sets=sets, risk=tabulate_risk(units), comparison=comparison, main_arm="main"
    )
    assert tell_risk(told).startswith(
        "Of all 20 test images 90.0 % are right. If the least sure 10 % go to a person, "
        "94.4 % of the other 18 are (74.2 to 99.0 %)"
    )
    assert "Of the sets for 90 %, 95.0 % hold the true class of their test image" in tell_sets(told)
    assert "All sets hold the answer alone" in tell_sets(told)
    few = SimpleNamespace(sets=sets.assign(threshold=np.inf, n_calibration=8))
    assert tell_sets(few).endswith("need 9 independent images to calibrate; there are 8.")
