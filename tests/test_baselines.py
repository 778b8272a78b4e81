"""Baselines see the training images only and cannot look at shapes."""

import logging

import numpy as np
import pandas as pd
import pytest

from batteryscope.errors import InputError
from batteryscope.evaluation.baselines import predict_baseline, predict_baselines
from batteryscope.evaluation.predictions import check_predictions
from batteryscope.evaluation.sample_features import (
    FeatureSources,
    list_informative_metadata,
    select_metadata,
)


@pytest.fixture(autouse=True)
def _small_forests(monkeypatch):
    monkeypatch.setattr("batteryscope.evaluation.baselines.TREES", 40)


def make_manifest(n=24):
    index = np.arange(n)
    names = np.array(["a", "b", "c"])[index % 3]
    return pd.DataFrame(
        {
            "sample_id": [f"s{i:02d}" for i in index],
            "path": [f"{c}/{i}.png" for i, c in zip(index, names, strict=True)],
            "class": names,
            "brightness": np.where(index % 3 == 0, np.nan, 10.0 * (index % 3)),
            "contrast": 5.0,
            "detector": np.where(index % 3 == 1, "SE", None),
            "width_px": 64,
            "acquired_at": pd.to_datetime(index, unit="D"),
        }
    )


def make_split(manifest, folds=2):
    tables = []
    for fold in range(folds):
        block = np.arange(len(manifest)) // 3 % 4
        role = np.select([block == fold, block == fold + 1], ["test", "validation"], "train")
        tables.append(
            pd.DataFrame({"sample_id": manifest["sample_id"], "group_id": manifest["sample_id"]})
            .assign(repeat=0, fold=fold, role=role)
            .sample(frac=1, random_state=fold)
        )
    return pd.concat(tables, ignore_index=True)


def predict_metadata(manifest, split):
    return predict_baselines(FeatureSources(manifest), split, ["metadata"], seed=1)


def test_majority_predicts_training_frequencies():
    manifest = make_manifest()
    manifest.loc[manifest.index[12:], "class"] = "c"
    split = make_split(manifest, folds=1)
    table = predict_baseline("majority", None, manifest, split, seed=1)
    check_predictions(table, "majority")
    train = split.loc[split["role"] == "train", "sample_id"]
    shares = manifest.set_index("sample_id").loc[train, "class"].value_counts(normalize=True)
    np.testing.assert_allclose(table["p_c"], shares["c"])
    assert set(table["y_pred"]) == {"c"}
    assert set(table["sample_id"]) == set(split.loc[split["role"] == "test", "sample_id"])
    assert (table["tile"] == -1).all()


def test_forest_solves_bright_and_dark_but_not_noise():
    manifest = make_manifest()
    split = make_split(manifest)
    rng = np.random.default_rng(0)
    index = pd.Index(manifest["sample_id"])
    telling = pd.DataFrame({"mean": np.arange(24) % 3 * 50.0, "sd": 1.0}, index)
    noise = pd.DataFrame({"mean": rng.normal(size=24), "sd": rng.normal(size=24)}, index)
    solved = predict_baseline("grey_levels", telling, manifest, split, seed=1)
    assert (solved["y_true"] == solved["y_pred"]).all()
    assert list(solved.columns[-3:]) == ["p_a", "p_b", "p_c"]
    unsolved = predict_baseline("grey_levels", noise, manifest, split, seed=1)
    assert (unsolved["y_true"] == unsolved["y_pred"]).mean() < 0.9
    again = predict_baseline("grey_levels", noise, manifest, split[::-1], seed=1, jobs=2)
    pd.testing.assert_frame_equal(unsolved, again)
    other = predict_baseline("grey_levels", noise, manifest, split, seed=2)
    assert not unsolved["p_a"].equals(other["p_a"])


def test_metadata_with_gaps_tells_the_class():
    manifest = make_manifest()
    assert list_informative_metadata(manifest) == ["brightness", "detector"]
    assert select_metadata(manifest)["detector"].tolist()[:2] == ["missing", "SE"]
    table = predict_metadata(manifest, make_split(manifest))
    check_predictions(table, "metadata")
    assert (table["y_true"] == table["y_pred"]).all()


def test_metadata_without_information_still_runs(caplog):
    logging.getLogger("batteryscope").propagate = True
    manifest = make_manifest().assign(brightness=np.nan, detector=None)
    table = predict_metadata(manifest, make_split(manifest))
    assert "carries no information" in caplog.text
    assert table["p_a"].nunique() <= 2  # training frequencies of two folds
    assert set(table["arm"]) == {"baseline_metadata"}


def test_column_that_is_empty_in_training_only():
    manifest = make_manifest()
    split = make_split(manifest, folds=1)
    test = manifest["sample_id"].isin(split.loc[split["role"] == "test", "sample_id"])
    manifest["magnification"] = np.where(test, 500.0, np.nan)
    manifest["instrument"] = np.where(test, "new", None)
    table = predict_metadata(manifest, split)
    check_predictions(table, "metadata")


def test_class_absent_from_training_has_probability_zero():
    manifest = make_manifest()
    split = make_split(manifest, folds=1)
    only = (split["role"] == "test") | ~split["sample_id"].isin(
        manifest.loc[manifest["class"] == "c", "sample_id"]
    )
    table = predict_metadata(manifest, split[only])
    assert (table["p_c"] == 0).all()
    assert "c" in set(table["y_true"])


def test_validation_images_do_not_train():
    manifest = make_manifest()
    split = make_split(manifest, folds=1)
    changed = manifest.copy()
    validation = split.loc[split["role"] == "validation", "sample_id"]
    changed.loc[changed["sample_id"].isin(validation), "class"] = "a"
    first, second = (
        predict_baseline("majority", None, manifest, split, seed=1),
        predict_baseline("majority", None, changed, split, seed=1),
    )
    pd.testing.assert_frame_equal(first, second)


def test_split_and_manifest_that_do_not_fit():
    manifest = make_manifest()
    split = make_split(manifest)
    with pytest.raises(InputError, match="sample 's23', which the manifest lacks"):
        predict_baseline("majority", None, manifest[:-1], split, seed=1)
    with pytest.raises(InputError, match="Repeat 0, fold 0: no training image is left"):
        predict_baseline("majority", None, manifest, split[split["role"] != "train"], seed=1)
