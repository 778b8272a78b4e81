"""Electrodes that no network has seen: errors and coverage of the average, with known answers."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from batteryscope.bundle.external_numbers import ExternalNumbers
from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.picture_generators import CrossSectionGenerator
from batteryscope.core.conformal import find_conformal_quantile
from batteryscope.demo.cross_section_dataset import list_electrodes
from batteryscope.errors import ConfigError, InputError, LeakageError
from batteryscope.evaluation.number_external import (
    flatten_external,
    gather_external,
    say_external_coverage,
    score_external_numbers,
)
from batteryscope.evaluation.number_intervals import measure_number_intervals
from batteryscope.evaluation.number_metrics import find_quantity
from batteryscope.planning.check_evaluate import check_external

TARGET = "capacity_1c_ah_kg"


def make_rows(n_electrodes: int = 12, n_outside: int = 0, half: float = 5.0) -> pd.DataFrame:
    """Two images per electrode, 1 Ah/kg too high; of the last electrodes 10 too high."""
    electrodes = np.repeat(np.arange(n_electrodes), 2)
    true = 100.0 + electrodes
    predicted = true + np.where(electrodes >= n_electrodes - n_outside, 10.0, 1.0)
    return pd.DataFrame(
        {
            "sample_id": [f"s{i}" for i in range(len(true))],
            "specimen_id": [f"e{i}" for i in electrodes],
            "class": np.where(electrodes % 2, "20", "50"),
            f"y_true_{TARGET}": true,
            TARGET: predicted,
            f"{TARGET}_low": predicted - half,
            f"{TARGET}_high": predicted + half,
            f"{TARGET}_fold_sd": 0.01 * predicted,
        }
    )


def score(rows: pd.DataFrame) -> pd.DataFrame:
    return score_external_numbers(gather_external(rows, {TARGET: "mass"}))


def test_scores_have_known_values():
    flat = flatten_external(score(make_rows(n_outside=3)))
    assert flat["mass.external.image.mae"] == pytest.approx((9 * 1 + 3 * 10) / 12)
    assert flat[f"mass.external.image.{TARGET}.coverage"] == pytest.approx(0.75)
    assert flat["mass.external.image.coverage_low"] == pytest.approx(0.468, abs=1e-3)  # 9 of 12
    assert flat["mass.external.image.coverage_high"] == pytest.approx(0.911, abs=1e-3)
    assert flat["mass.external.image.coverage_n"] == flat["mass.external.specimen.n"] == 12
    assert flat["mass.external.image.n"] == 24
    assert flat[f"mass.external.image.{TARGET}.interval_width"] == pytest.approx(10)
    assert flat[f"mass.external.image.{TARGET}.fold_sd"] == pytest.approx(1)
    assert flat["mass.external.specimen.mae"] == flat["mass.external.image.mae"]
    assert list(flat) == sorted(flat)


def test_coverage_counts_electrodes_and_not_their_images():
    table = score(make_rows(n_outside=3))
    row = table[(table["metric"] == "coverage") & (table["target"] == "")].iloc[0]
    assert (row["n"], row["n_specimens"]) == (24, 12)
    assert row["low"] == pytest.approx(0.468, abs=1e-3)  # Wilson, 9 of 12
    assert row["high"] == pytest.approx(0.911, abs=1e-3)
    assert set(table.loc[table["domain"] != "", "metric"]) == {"mape", "mae"}


@pytest.mark.parametrize(
    ("n_outside", "n_electrodes", "words"),
    [(1, 12, "as far as so few specimens can tell"), (8, 12, "too narrow"), (0, 80, "wider than")],
)
def test_words_follow_from_the_number_of_electrodes(n_outside, n_electrodes, words):
    text = say_external_coverage(score(make_rows(n_electrodes, n_outside)), "mass", 0.9)
    assert words in text
    assert f"{2 * n_electrodes} images of {n_electrodes} new specimens" in text


def test_a_bundle_without_intervals_has_errors_only():
    rows = make_rows()
    rows[[f"{TARGET}_low", f"{TARGET}_high", f"{TARGET}_fold_sd"]] = None
    table = score(rows)
    assert set(table["metric"]) == {"mape", "mae", "r2"}
    assert say_external_coverage(table, "mass", 0.9) == ""
    with pytest.raises(InputError, match="both a prediction and a capacity"):
        score(rows.iloc[:0])


def test_electrodes_of_the_training_are_refused():
    what = find_quantity(TARGET)
    target = SimpleNamespace(name=TARGET, arm="mass", coverage_wanted=0.9, quantity=what)
    record = SimpleNamespace(targets=[target], members=[SimpleNamespace(column="mass_r0_f0")])
    known = pd.DataFrame({"specimen_id": ["e0", "e1"], "mass_r0_f0": ["train", "test"]})
    external = ExternalNumbers(SimpleNamespace(record=record, training_images=known))
    manifest = pd.DataFrame({"specimen_id": ["e1", "e2"], TARGET: 100.0})
    external.check(manifest)
    with pytest.raises(LeakageError, match="specimen 'e0' of the external data set"):
        external.check(manifest.assign(specimen_id="e0"))
    with pytest.raises(InputError, match=f"has no {TARGET}"):
        external.check(manifest.drop(columns=TARGET))


def test_quantile_gives_every_electrode_the_same_weight():
    one_each = np.arange(1.0, 11.0)
    groups = [f"e{i}" for i in range(10)]
    assert find_conformal_quantile(one_each, 0.9, groups) == find_conformal_quantile(one_each, 0.9)
    # Nine electrodes with one image, one with many large errors: still one of ten.
    scores = np.concatenate([np.arange(1.0, 10.0), np.full(50, 100.0)])
    names = [*groups[:9], *["e9"] * 50]
    assert find_conformal_quantile(scores, 0.8, names) == 9
    assert find_conformal_quantile(scores, 0.9, names) == 100
    assert find_conformal_quantile(np.ones(80), 0.9, np.repeat(groups[:8], 10)) == np.inf


def test_intervals_come_from_test_images_of_other_electrodes():
    """Validation errors are 0, as after choosing the epoch by them; test errors are 10 %."""
    rows = [
        {
            "arm": "mass", "target": TARGET, "repeat": 0, "fold": e % 4, "role": role,
            "sample_id": f"s{e}", "specimen_id": f"e{e}", "class": "20", "y_true": 100.0,
            "y_pred": 100.0 if role == "validation" else 110.0,
        }
        for e in range(12) for role in ("validation", "test")
    ]  # fmt: skip
    images = pd.DataFrame(rows)
    table = measure_number_intervals(images, 0.9).by_target
    assert table["relative_half_width"].tolist() == pytest.approx([10 / 110])
    assert table["coverage_measured"].tolist() == [1.0]
    assert table[["n_calibration", "n_groups", "n_test"]].to_numpy().tolist() == [[12, 12, 12]]
    few = measure_number_intervals(images[images["specimen_id"] < "e5"], 0.9).by_target
    assert few["coverage_measured"].isna().all()  # infinite intervals hold everything
    one_fit = images.assign(fold=0)
    assert measure_number_intervals(one_fit, 0.9).by_target["coverage_measured"].isna().all()
    by_image = measure_number_intervals(one_fit.assign(
        sample_id=[f"s{i}" for i in range(24)]), 0.9, straddling=["mass"]).by_target  # fmt: skip
    assert by_image["relative_half_width"].tolist() == [0.0]
    assert by_image["coverage_measured"].tolist() == [0.0]


def test_generated_electrodes_can_have_other_numbers():
    first = CrossSectionGenerator(electrodes_per_porosity=2)
    others = CrossSectionGenerator(electrodes_per_porosity=2, first_electrode=101)
    names = {e.name for e in list_electrodes(first)}
    assert {"p50_e1", "p50_e2"} <= names
    assert not names & {e.name for e in list_electrodes(others)}


def test_settings_of_an_external_set_are_checked():
    own = {"name": "a", "path": "x", "labels": {"columns": ["porosity"]}, "targets": {}}
    data = DatasetSettings.model_validate(own)
    check_external(data, data, "external")
    for change, words in (
        ({"path": None, "generator": {"kind": "cross_section"}}, "external: null"),
        ({"targets": None}, r"capacity_0p2c_ah_kg' is missing.*Ah/kg and Ah/L"),
        ({"labels": {}}, "'porosity' is missing"),
        (
            {"labels": {"columns": ["porosity"], "grades": ["new", "used", "old"]}},
            "labels.grades.*leave it out",
        ),
    ):
        external = DatasetSettings.model_validate(own | change)
        with pytest.raises(ConfigError, match=words):
            check_external(data, external, "external")
