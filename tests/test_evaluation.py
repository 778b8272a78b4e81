"""Scores with known answers: perfect, chance, and small tables counted by hand."""

import json

import numpy as np
import pandas as pd
import pytest

from batteryscope.errors import InputError
from batteryscope.evaluation.aggregate import (
    aggregate_to_images,
    aggregate_to_specimens,
    pool_fits,
)
from batteryscope.evaluation.calibration import (
    apply_temperature,
    fit_temperature,
    scale_by_validation,
    tabulate_arm_reliability,
    tabulate_reliability,
)
from batteryscope.evaluation.gather_fits import FIT_PREDICTIONS, gather_fits
from batteryscope.evaluation.metrics import (
    count_confusions,
    find_wilson_interval,
    measure_calibration_error,
    measure_probabilities,
    measure_verdicts,
    tabulate_classes,
)
from batteryscope.evaluation.predictions import (
    check_predictions,
    join_predictions,
    limit_validation,
    make_predictions,
)

CLASSES = ["a", "b", "c"]
# Rows are true, columns predicted: a 5 1 0, b 2 3 1, c 0 0 8.
TRUE = ["a"] * 6 + ["b"] * 6 + ["c"] * 8
PRED = ["a"] * 5 + ["b"] + ["a"] * 2 + ["b"] * 3 + ["c"] + ["c"] * 8


def make_tiles(probabilities, y_true, sample_ids, role="test", arm="fit", repeat=0, fold=0):
    keys = pd.DataFrame({"sample_id": sample_ids, "y_true": y_true, "tile": range(len(y_true))})
    keys = keys.assign(repeat=repeat, fold=fold, role=role, arm=arm)
    return make_predictions(keys, np.asarray(probabilities, dtype=float), CLASSES)


def test_hand_computed_confusion_matrix():
    scores = measure_verdicts(TRUE, PRED)
    assert scores["accuracy"] == pytest.approx(16 / 20)
    assert scores["balanced_accuracy"] == pytest.approx((5 / 6 + 3 / 6 + 1) / 3)
    assert scores["macro_recall"] == scores["balanced_accuracy"]
    assert scores["macro_precision"] == pytest.approx((5 / 7 + 3 / 4 + 8 / 9) / 3)
    assert scores["macro_jaccard"] == pytest.approx((5 / 8 + 3 / 7 + 8 / 9) / 3)
    assert scores["macro_f1"] == pytest.approx((10 / 13 + 6 / 10 + 16 / 17) / 3)
    counts = count_confusions(TRUE, PRED, CLASSES)
    assert list(counts["count"]) == [5, 1, 0, 2, 3, 1, 0, 0, 8]
    table = tabulate_classes(TRUE, PRED, CLASSES).set_index("class")
    np.testing.assert_allclose(table["precision"], [5 / 7, 3 / 4, 8 / 9])
    np.testing.assert_allclose(table["recall"], [5 / 6, 3 / 6, 1])
    np.testing.assert_allclose(table["jaccard"], [5 / 8, 3 / 7, 8 / 9])
    assert list(table["support"]) == [6, 6, 8]


def test_perfect_and_absent_classes():
    assert set(measure_verdicts(["a", "b"], ["a", "b"]).values()) == {1.0}
    table = tabulate_classes(["a", "b"], ["a", "a"], CLASSES).set_index("class")
    assert table.loc["b", "precision"] == 0
    assert table.loc["c", ["precision", "recall", "f1", "jaccard"]].isna().all()
    # A class that does not occur must not drag the macro values down.
    assert measure_verdicts(["a", "a"], ["a", "c"])["macro_recall"] == 0.5


def test_probability_scores():
    uniform = np.full((9, 3), 1 / 3)
    truth = ["a", "b", "c"] * 3
    chance = measure_probabilities(truth, uniform, CLASSES)
    assert chance["log_loss"] == pytest.approx(np.log(3))
    assert chance["ece"] == pytest.approx(0, abs=1e-12)  # one third right, one third sure
    sure = measure_probabilities(["a", "b"], np.eye(3)[[0, 0]], CLASSES)
    assert sure["log_loss"] == pytest.approx(-np.log(1e-7) / 2)
    assert sure["ece"] == pytest.approx(0.5)


def test_calibration_error_by_its_definition():
    rng = np.random.default_rng(0)
    p, y = rng.dirichlet([1, 1, 1], 400), rng.integers(0, 3, 400)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    expected = 0.0
    for i in range(15):
        inside = (confidence > i / 15) & (confidence <= (i + 1) / 15)
        if inside.any():
            gap = abs(confidence[inside].mean() - right[inside].mean())
            expected += inside.mean() * gap
    assert measure_calibration_error(p, y) == pytest.approx(expected)


@pytest.mark.parametrize(("right", "n"), [(0, 10), (8, 10), (10, 10), (418, 433)])
def test_wilson_interval_from_closed_formula(right, n):
    # Ends are the roots of (p - share)² = z² p (1 - p) / n.
    z, share = 1.959963984540054, right / n
    roots = np.roots([1 + z**2 / n, -(2 * share + z**2 / n), share**2])
    low, high = find_wilson_interval(share, n)
    np.testing.assert_allclose([low, high], sorted(roots.real), atol=1e-9)
    assert 0 <= low <= share <= high <= 1


def test_soft_vote_can_differ_from_the_majority_of_tiles():
    # Two tiles narrowly for b, one strongly for a: the mean decides for a.
    tiles = make_tiles(
        [[0.4, 0.6, 0], [0.4, 0.6, 0], [1, 0, 0], [0, 0, 1]], ["a", "a", "a", "c"], [*"xxxy"]
    )
    images = aggregate_to_images(tiles).set_index("sample_id")
    assert images.loc["x", "y_pred"] == "a"
    assert images.loc["x", "p_a"] == pytest.approx(0.6)
    assert images.loc["x", "n_tiles"] == 3
    assert images.loc["x", "agreement"] == pytest.approx(1 / 3)
    assert images.loc["y", "agreement"] == 1
    assert (images["tile"] == -1).all()


def test_fits_and_roles_vote_apart_and_order_does_not_matter():
    a = make_tiles([[1, 0, 0]], ["a"], ["x"])
    b = make_tiles([[0.2, 0.8, 0]], ["a"], ["x"], fold=1)
    c = make_tiles([[0, 0, 1]], ["a"], ["x"], fold=1, role="validation")
    table = pd.concat([a, b, c], ignore_index=True)
    images = aggregate_to_images(table)
    assert list(images["y_pred"]) == ["a", "b", "c"]
    pd.testing.assert_frame_equal(images, aggregate_to_images(table[::-1]))
    pooled = pool_fits(images[images["role"] == "test"])
    assert len(pooled) == 1
    assert pooled["y_pred"].item() == "a"  # mean of 1 and 0.2
    assert pooled["n_tiles"].item() == 2
    assert pooled["fold"].item() == -1


def test_specimens_vote_and_unknown_ones_are_left_out():
    tiles = make_tiles([[0.9, 0.1, 0], [0.4, 0.6, 0], [0, 1, 0]], ["a", "a", "b"], ["x", "y", "z"])
    specimens = pd.Series({"x": "S1", "y": "S1", "z": None})
    result = aggregate_to_specimens(aggregate_to_images(tiles), specimens)
    assert list(result["sample_id"]) == ["S1"]
    assert result["y_pred"].item() == "a"
    assert result["n_tiles"].item() == 2
    assert aggregate_to_images(tiles[:0]).empty


def draw_labels(p, seed):
    rng = np.random.default_rng(seed)
    return (p.cumsum(axis=1) > rng.random((len(p), 1))).argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_temperature_is_recovered(temperature):
    honest = np.random.default_rng(1).dirichlet([0.6] * 4, 6000)
    y = draw_labels(honest, 2)
    model = apply_temperature(honest, 1 / temperature)  # too sure for temperature > 1
    fitted = fit_temperature(model, y)
    assert fitted == pytest.approx(temperature, rel=0.06)
    scaled = apply_temperature(model, fitted)
    np.testing.assert_allclose(scaled.sum(axis=1), 1)
    assert (scaled.argmax(axis=1) == model.argmax(axis=1)).all()
    if temperature > 1:
        assert measure_calibration_error(scaled, y) < measure_calibration_error(model, y) / 2


def test_temperature_without_mistakes_stays_moderate():
    p = np.full((40, 3), 0.1) + 0.7 * np.eye(3)[np.arange(40) % 3]
    y = np.arange(40) % 3
    scaled = apply_temperature(p, fit_temperature(p, y))
    # Smoothed targets: 40 right out of 40 is worth 41/42 and not certainty.
    assert scaled.max() == pytest.approx(41 / 42, abs=1e-3)
    assert fit_temperature(np.empty((0, 3)), []) == 1.0
    with pytest.raises(ValueError, match="not positive"):
        apply_temperature(p, 0)


def test_reliability_table_adds_up():
    p = np.random.default_rng(3).dirichlet([1, 1, 1], 500)
    y = draw_labels(p, 4)
    table = tabulate_reliability(p, y)
    assert table["count"].sum() == 500
    filled = table[table["count"] > 0]
    assert (filled["confidence"] > filled["bin_low"] - 1e-9).all()
    assert (filled["confidence"] <= filled["bin_high"] + 1e-9).all()
    gap = (filled["confidence"] - filled["accuracy"]).abs() * filled["count"] / 500
    assert gap.sum() == pytest.approx(measure_calibration_error(p, y))


def test_scaling_uses_validation_only_and_skips_baselines():
    p = np.array([[0.9, 0.1, 0.0]] * 10)
    validation = make_tiles(p, ["a"] * 5 + ["b"] * 5, [f"v{i}" for i in range(10)], "validation")
    test = make_tiles(p[:4], ["a"] * 4, [f"t{i}" for i in range(4)])
    baseline = test.assign(arm="baseline_majority", tile=-1)
    table = pd.concat([validation, test, baseline], ignore_index=True)
    scaled = scale_by_validation(table)
    assert set(scaled["arm"]) == {"fit"}
    assert (scaled["p_a"] < 0.75).all()  # right in half of the validation tiles only
    bins = tabulate_arm_reliability(table)
    counts = bins.groupby(["arm", "scaled"])["count"].sum().to_dict()
    assert counts == {("baseline_majority", False): 4, ("fit", False): 4, ("fit", True): 4}


def test_unusable_predictions_give_a_sentence():
    good = make_tiles([[0.5, 0.5, 0]], ["a"], ["x"])
    check_predictions(good, "p.parquet")
    with pytest.raises(InputError, match=r"p.parquet: the column 'role' is missing"):
        check_predictions(good.drop(columns="role"), "p.parquet")
    with pytest.raises(InputError, match=r"row 0 \(sample 'x'\) add up to 0.5"):
        check_predictions(good.assign(p_b=0.0), "p.parquet")
    with pytest.raises(InputError, match="true class 'z' has no column p_z"):
        check_predictions(good.assign(y_true="z"), "p.parquet")
    with pytest.raises(InputError, match="arm 'fit' occurs in two"):
        join_predictions([good, good])
    fewer = good.drop(columns="p_c").assign(arm="other")
    joined = join_predictions([good, fewer])
    assert joined["p_c"].eq(0).all()


def test_calibration_sees_no_more_images_than_the_choice_of_the_epoch():
    names = ["a", "b", "c", "d"]
    roles = pd.DataFrame({"sample_id": names, "role": ["validation"] * 3 + ["test"]})
    assert limit_validation(roles, ["b"])["sample_id"].tolist() == ["b", "d"]
    assert limit_validation(roles, ["a", "b", "c"]).equals(roles)
    assert limit_validation(roles, ["of another domain"]).equals(roles)
    assert limit_validation(roles, None).equals(roles)


def test_fits_are_gathered_whole_or_not_at_all(tmp_path):
    manifest = pd.DataFrame({"sample_id": ["a", "b", "c"], "domain": ["x", "x", "y"]})
    roles = pd.DataFrame({"sample_id": ["a", "b", "c"], "role": ["train", "test", "test"]})
    split = pd.concat([roles.assign(repeat=0, fold=fold) for fold in (0, 1)], ignore_index=True)
    parts = [tmp_path / "part0", tmp_path / "part1"]
    for fold, part in enumerate(parts):
        folder = part / f"r0_f{fold}"
        folder.mkdir(parents=True)
        (folder / "fit.json").write_text(json.dumps({"repeat": 0, "fold": fold}))
        table = pd.DataFrame({"sample_id": ["b", "c"], "role": "test", "fold": fold})
        table.to_parquet(folder / FIT_PREDICTIONS)
    table, records = gather_fits(parts, split, manifest, {"domain": "x"}, "mine")
    assert table[["sample_id", "fold", "arm"]].to_numpy().tolist() == [
        ["b", 0, "mine"],
        ["b", 1, "mine"],
    ]
    assert [record["fold"] for record in records] == [0, 1]
    with pytest.raises(InputError, match="mine: the fit of repeat 0, fold 1 is missing"):
        gather_fits(parts[:1], split, manifest, {}, "mine")
    (parts[1] / "r0_f1" / FIT_PREDICTIONS).unlink()
    with pytest.raises(InputError, match=r"predictions\.parquet is missing; delete .*run again"):
        gather_fits(parts, split, manifest, {}, "mine")
