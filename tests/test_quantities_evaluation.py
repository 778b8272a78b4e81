"""Errors, intervals, baselines and verdicts of quantities: known answers."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from batteryscope.config.predicted import Predicted, Quantity
from batteryscope.core.conformal import score_errors, span_interval
from batteryscope.evaluation.number_baselines import predict_baselines
from batteryscope.evaluation.number_comparison import compare_numbers, pick
from batteryscope.evaluation.number_findings import Found, find_number_findings
from batteryscope.evaluation.number_intervals import measure_number_intervals
from batteryscope.evaluation.number_metrics import (
    find_quantity,
    measure_errors,
    tabulate_curves,
)
from batteryscope.evaluation.number_pairs import compare_with_baselines
from batteryscope.evaluation.number_predictions import gather_images
from batteryscope.evaluation.paired import find_left_out_ratio
from batteryscope.evaluation.sample_features import measure_tiles
from batteryscope.evaluation.sentences.numbers import SENTENCES
from batteryscope.tilestore import TileStore

POROSITY = Quantity(name="porosity", unit="%", label="porosity", low=0, high=100)
SIZE = Quantity(name="size", unit="µm", label="size", low=0.1, high=1e4, transform="log")
QUANTITIES = [POROSITY, SIZE]


def make_study(n_specimens=24, n_images=2, folds=4):
    """Images of specimens whose two quantities a grey level tells, and a split of them."""
    rng = np.random.default_rng(3)
    truth = rng.uniform(0, 1, n_specimens)
    specimen = np.repeat(np.arange(n_specimens), n_images)
    manifest = pd.DataFrame(
        {
            "sample_id": [f"s{i:03d}" for i in range(len(specimen))],
            "specimen_id": [f"c{i:02d}" for i in specimen],
            "class": "all",
            "porosity": 100 * truth[specimen],
            "size": 10.0 ** (3 * truth[specimen]),
        }
    )
    splits = []
    for fold in range(folds):
        role = np.where(specimen % folds == fold, "test", "train")
        role = np.where(specimen % folds == (fold + 1) % folds, "validation", role)
        splits.append(manifest[["sample_id"]].assign(repeat=0, fold=fold, role=role))
    return manifest, pd.concat(splits, ignore_index=True)


def predict(manifest, split, arm, error, tile=0):
    """Predictions that are wrong by ``error(quantity, true values)``."""
    table = split[split["role"] != "train"].merge(manifest, on="sample_id")
    table = table.assign(tile=tile, arm=arm)
    for q in QUANTITIES:
        table[f"y_true_{q.name}"] = table[q.name]
        table[f"y_pred_{q.name}"] = error(q, table[q.name])
    names = [c for c in table if c.startswith("y_")]
    return table[["sample_id", "tile", "repeat", "fold", "role", "arm", *names]]


def test_errors_of_a_quantity_are_those_of_the_formulas():
    errors = measure_errors([0, 10, 20], [1, 10, 16], POROSITY)
    assert list(errors) == ["mae", "rmse", "r2"]
    assert errors["mae"] == pytest.approx(5 / 3)
    assert errors["rmse"] == pytest.approx(np.sqrt(17 / 3))
    assert errors["r2"] == pytest.approx(1 - 17 / 200)
    assert measure_errors([10, 100], [11, 90], SIZE)["mape"] == pytest.approx(10)
    # 300 ± 1 K spreads by less than 2 % of its mean, 300 ± 7 K by more.
    warm = Quantity(name="t", unit="K", label="t", low=0)
    assert measure_errors([293, 307], [293, 307], warm)["r2"] == pytest.approx(1)
    assert np.isnan(measure_errors([299, 301], [299, 301], warm)["r2"])
    assert find_quantity("size", QUANTITIES) is SIZE
    assert find_quantity("capacity_0p2c_ah_kg", QUANTITIES).at == 0.2
    with pytest.raises(ValueError, match="'shape' is no capacity"):
        find_quantity("shape", QUANTITIES)


def test_intervals_are_differences_or_factors():
    assert score_errors("absolute", [1, 5], [2, 5]).tolist() == [1, 0]
    np.testing.assert_allclose(score_errors("ratio", [10, 100], [100, 50]), np.log([10, 2]))
    low, high = span_interval("ratio", np.log(2), [10, 20])
    np.testing.assert_allclose([low, high], [[5, 10], [20, 40]])
    low, high = span_interval("absolute", 3, [10, 20])
    np.testing.assert_allclose([low, high], [[7, 17], [13, 23]])
    low, high = span_interval("relative", 0.1, [-10, 20])
    np.testing.assert_allclose([low, high], [[-11, 18], [-9, 22]])


def test_intervals_of_a_study_have_the_width_of_their_errors():
    manifest, split = make_study()
    rng = np.random.default_rng(1)

    def spread(quantity, true):
        noise = rng.uniform(-1, 1, len(true))
        return true * np.exp(0.2 * noise) if quantity is SIZE else true + 2 * noise

    images = gather_images(predict(manifest, split, "fit", spread), manifest)
    table = measure_number_intervals(images, 0.8, (), QUANTITIES).by_target.set_index("target")
    assert table.loc["porosity", "absolute_half_width"] == pytest.approx(1.7, abs=0.35)
    assert table.loc["size", "ratio_half_width"] == pytest.approx(0.17, abs=0.035)
    assert "relative_half_width" not in table
    assert table["coverage_measured"].between(0.65, 0.95).all()
    assert (table["n_groups"] == 24).all()
    unknown = manifest.assign(specimen_id=None)
    images = gather_images(predict(unknown, split, "fit", spread), unknown)
    table = measure_number_intervals(images, 0.8, (), QUANTITIES).by_target
    assert (table["n_groups"] == 48).all()  # every picture counts for itself


def test_quantities_have_their_own_rows_and_share_what_has_no_unit():
    manifest, split = make_study()
    images = gather_images(
        predict(manifest, split, "fit", lambda q, true: true * 1.1 if q is SIZE else true + 5),
        manifest,
    )
    table = compare_numbers(images, {}, quantities=QUANTITIES)
    assert pick(table, "fit", "mae", "porosity")[0] == pytest.approx(5)
    assert pick(table, "fit", "rmse", "porosity")[0] == pytest.approx(5)
    assert pick(table, "fit", "mape", "size")[0] == pytest.approx(10)
    both = [pick(table, "fit", "r2", name)[0] for name in ("porosity", "size")]
    assert pick(table, "fit", "r2")[0] == pytest.approx(np.mean(both))
    assert not ((table["target"] == "") & (table["metric"] == "mae")).any()
    assert set(table.loc[table["level"] == "specimen", "target"]) == {"", "porosity", "size"}
    one = images[images["target"] == "porosity"]
    table = compare_numbers(one, {}, quantities=QUANTITIES, sample="slice")
    assert pick(table, "fit", "mae")[0] == pytest.approx(5)  # alone it is all there is
    assert set(table["level"]) == {"slice", "specimen"}


def test_baselines_learn_what_their_features_tell():
    manifest, split = make_study()
    grey = manifest.set_index("sample_id")[["porosity"]].rename(columns={"porosity": "mean"})
    holes = grey.assign(hole=np.where(np.arange(len(grey)) % 5, 1.0, np.nan))
    features = {"mean": None, "grey_levels": grey, "winding": holes}
    table = predict_baselines(manifest, features, split, ["porosity", "size"], 1, "", QUANTITIES)
    images = gather_images(table, manifest)
    scores = compare_numbers(images, {}, quantities=QUANTITIES)
    assert pick(scores, "baseline_mean", "r2", "porosity")[0] < 0.05
    for name in ("baseline_grey_levels", "baseline_winding"):
        assert pick(scores, name, "r2", "porosity")[0] > 0.9
        # Learnt by the logarithm: no small size is lost beside the large ones.
        assert pick(scores, name, "mape", "size")[0] < 100


def test_texture_is_measured_on_a_few_judging_tiles(tmp_path):
    rng = np.random.default_rng(1)
    tiles = rng.integers(0, 255, (3, 3, 32, 32)).astype(np.uint8)
    index = pd.DataFrame(
        {
            "tile": [0, 1, 2, -1],
            "sample_id": ["a", "a", "b", "b"],
            "kind": ["whole", "random", "whole", "whole"],
            "used": [True, True, True, False],
        }
    )
    found = measure_tiles(TileStore(tiles, index))
    assert found.index.tolist() == ["a", "b"]
    assert found.loc["a", "grey_sd"] == pytest.approx(tiles[0, 1].std())  # the middle slice


def test_a_verdict_pairs_the_fits_and_corrects_for_their_overlap():
    manifest, split = make_study()
    first = predict(manifest, split, "fit", lambda q, true: true + 1)
    wrong = {0: 3.0, 1: 4.0, 2: 5.0, 3: 6.0}
    second = predict(manifest, split, "baseline_mean", lambda q, true: true)
    second["y_pred_porosity"] += second["fold"].map(wrong)
    images = gather_images(pd.concat([first, second]), manifest)
    rivals = {"mean": "baseline_mean", "absent": "baseline_absent"}
    ratio = find_left_out_ratio(split)
    found = compare_with_baselines(images, "fit", rivals, ["porosity"], False, ratio)
    pair = found.pairs["mean"]
    differences = np.array([-2.0, -3, -4, -5])
    error = differences.std(ddof=1) * np.sqrt(1 / 4 + 12 / 24)
    half = t.ppf(0.975, 3) * error
    assert (pair.n_fits, pair.n_units, pair.difference) == (4, 24, pytest.approx(-3.5))
    assert (pair.low, pair.high) == (pytest.approx(-3.5 - half), pytest.approx(-3.5 + half))
    assert pair.p_value == pytest.approx(2 * t.sf(3.5 / error, 3))
    assert (found.unit, found.hardest, list(found.verdicts)) == ("specimen", "mean", ["mean"])
    assert found.severity == "info"  # of four fits, p = 0.052
    # A single fit is judged by its specimens, whatever the number of their images.
    one = images[images["fold"] == 0]
    more = pd.concat([one, one.assign(sample_id=one["sample_id"] + "b")])
    singles = [
        compare_with_baselines(part, "fit", rivals, ["porosity"], False, ratio).pairs["mean"]
        for part in (one, more)
    ]
    assert [(s.n_fits, s.n_units) for s in singles] == [(1, 6)] * 2
    assert singles[0] == singles[1]


@pytest.mark.parametrize(
    ("error", "severity", "words"),
    [
        (1.0, "good", "beats all of them"),
        (150.0, "warning", "the training samples beats the network"),
    ],
)
def test_findings_say_whether_a_network_is_needed(error, severity, words):
    manifest, split = make_study()
    rng = np.random.default_rng(5)
    mine = predict(
        manifest, split, "fit", lambda q, true: true + rng.uniform(-error, error, len(true))
    )
    targets = ["porosity", "size"]
    base = predict_baselines(manifest, {"mean": None}, split, targets, 1, "", QUANTITIES)
    images = gather_images(pd.concat([mine, base]), manifest)
    images = images[images["target"] == "porosity"]
    found = find_number_findings(
        Found(
            compare_numbers(images, {}, quantities=QUANTITIES),
            images,
            tabulate_curves(images, QUANTITIES),
            *measure_number_intervals(images, 0.9, (), QUANTITIES),
            QUANTITIES,
            {"fit": {"suffix": "", "scheme": "kfold", "group": "auto", "label": "the network"}},
            {"fit": split},
            "fit",
            0.9,
            Predicted(),
        )
    )
    found = SENTENCES.record(found)
    [verdict] = [f for f in found if f["kind"] == "baseline"]
    assert verdict["severity"] == severity
    assert words in verdict["text"]
    assert "mean absolute error in % (the network)" in verdict["text"]
    [coverage] = [f for f in found if f["kind"] == "coverage"]
    assert "% hold the true value" in coverage["text"]
