"""Errors, baselines, intervals and findings of predicted capacities, with known answers."""

import re

import numpy as np
import pandas as pd
import pytest

from batteryscope.config.evaluate import PaperValue
from batteryscope.config.physics import HalfCellSettings
from batteryscope.config.targets import CapacityTargets
from batteryscope.core.baseline_catalogue import OF_QUANTITIES
from batteryscope.errors import InputError
from batteryscope.evaluation.flat_metrics import flatten_metrics
from batteryscope.evaluation.number_baselines import (
    choose_features,
    find_knots,
    interpolate,
    predict_baselines,
    predict_physics,
)
from batteryscope.evaluation.number_comparison import (
    compare_numbers,
    pick,
)
from batteryscope.evaluation.number_findings import Found, find_number_findings, list_protocols
from batteryscope.evaluation.number_intervals import (
    flatten_intervals,
    measure_number_intervals,
)
from batteryscope.evaluation.number_metrics import measure_errors, tabulate_curves
from batteryscope.evaluation.number_predictions import gather_images
from batteryscope.evaluation.sample_features import FeatureSources
from batteryscope.evaluation.sentences.numbers import SENTENCES
from batteryscope.preprocess.cut_dataset import MEASUREMENTS_NAME

TARGETS = ["capacity_0p2c_ah_kg", "capacity_5c_ah_kg"]
POROSITIES = ("50", "30", "20")
# Fits whose training parts are so large that their overlap corrects nothing.
NO_OVERLAP = pd.DataFrame({"sample_id": range(2), "repeat": 0, "fold": range(2), "role": "train"})


def make_manifest() -> pd.DataFrame:
    """Three porosities, four electrodes each, two images per electrode."""
    rows = []
    for i, name in enumerate(POROSITIES):
        for e in range(4):
            for k in range(2):
                rows.append(
                    {
                        "sample_id": f"{name}{e}{k}",
                        "specimen_id": f"p{name}_e{e}",
                        "class": name,
                        "porosity": name,
                        TARGETS[0]: 160.0,
                        TARGETS[1]: 100.0 - 30 * i,
                    }
                )
    return pd.DataFrame(rows)


def make_split(manifest: pd.DataFrame) -> pd.DataFrame:
    """Four folds over electrodes."""
    parts = []
    number = manifest["specimen_id"].str[-1].astype(int)
    for fold in range(4):
        role = np.where(number == fold, "test", np.where(number == (fold + 1) % 4, "validation",
                        "train"))  # fmt: skip
        parts.append(
            pd.DataFrame(
                {"sample_id": manifest["sample_id"], "repeat": 0, "fold": fold, "role": role}
            )
        )
    return pd.concat(parts, ignore_index=True)


def make_predictions(manifest, split, arm="mass", error=0.1) -> pd.DataFrame:
    """Predict everything too high by a share."""
    asked = split[split["role"] != "train"].merge(manifest, on="sample_id")
    table = asked[["sample_id", "repeat", "fold", "role"]].assign(tile=0, arm=arm)
    for target in TARGETS:
        table[f"y_true_{target}"] = asked[target]
        table[f"y_pred_{target}"] = asked[target] * (1 + error)
    return table


def judge(comparison, images, curves, intervals, by_class, protocols, splits, arm, coverage):
    """Findings of capacities."""
    return find_number_findings(
        Found(
            comparison, images, curves, intervals, by_class, (), protocols, splits, arm, coverage,
            CapacityTargets(),
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    manifest = make_manifest()
    split = make_split(manifest)
    rng = np.random.default_rng(0)
    measured = manifest[["sample_id"]].assign(
        tile=range(len(manifest)),
        angle_deg=0.0,
        thickness_px=rng.uniform(400, 600, len(manifest)),
        porosity_otsu=manifest["porosity"].astype(float) / 100,
        active_share=0.5,
        grey_sd=manifest["porosity"].astype(float),
        lbp_0=0.1,
    )
    tiles = tmp_path_factory.mktemp("tiles")
    measured.to_parquet(tiles / MEASUREMENTS_NAME)
    seen = choose_features(FeatureSources(manifest, None, tiles), OF_QUANTITIES, [])
    baselines = predict_baselines(manifest, seen, split, TARGETS, seed=1)
    return manifest, split, baselines


def test_errors_have_known_values():
    errors = measure_errors([100, 200], [110, 180])
    assert errors["mape"] == pytest.approx(10)
    assert errors["mae"] == pytest.approx(15)
    assert errors["r2"] == pytest.approx(1 - 500 / 5000)
    assert np.isnan(measure_errors([160, 161], [160, 160])["r2"])


def test_knots_are_means_of_groups_in_order():
    x, y = find_knots(
        np.array([0.3, 0.1, 0.2, 0.1]), np.array([[3.0], [1.0], [2.0], [1.0]]),
        pd.Series(["c", "a", "b", "a"]),
    )  # fmt: skip
    assert x.tolist() == [0.1, 0.2, 0.3]
    assert interpolate(np.array([0.0, 0.15, 0.9]), x, y)[:, 0] == pytest.approx([1, 1.5, 3])
    assert interpolate(np.array([0.15]), x[:2], y[:2])[0, 0] == pytest.approx(1.5)


def test_baselines_know_what_their_proxy_tells(tables):
    manifest, _, baselines = tables
    images = gather_images(baselines, manifest)
    table = compare_numbers(images, {})
    assert pick(table, "baseline_porosity")[0] == pytest.approx(0, abs=1e-9)
    assert pick(table, "baseline_texture_forest")[0] < 2
    assert pick(table, "baseline_mean", target=TARGETS[0])[0] == pytest.approx(0, abs=1e-9)
    by_mean = (30 / 100 + 0 + 30 / 40) / 3 * 100
    assert pick(table, "baseline_mean", target=TARGETS[1])[0] == pytest.approx(by_mean)
    assert pick(table, "baseline_thickness", target=TARGETS[1])[0] > 10


def test_comparison_cuts_by_rate_and_porosity_and_shows_the_paper(tables):
    manifest, split, _ = tables
    images = gather_images(make_predictions(manifest, split), manifest)
    paper = [
        PaperValue(metric="mape", value=1.3, arm="mass", level="image"),
        PaperValue(metric="mape", value=6.3, level="image", domain="15"),
    ]
    table = compare_numbers(images, {"mass": "rate_cnn"}, paper)
    cells = table[(table["target"] != "") & (table["domain"] != "") & (table["metric"] == "mape")]
    assert len(cells) == len(TARGETS) * len(POROSITIES)
    assert cells["mean"].to_numpy() == pytest.approx(10)
    overall = table[(table["metric"] == "mape") & (table["paper"] == 1.3)]
    assert overall["n"].tolist() == [24]
    assert (table["arm"] == "paper").sum() == 1
    assert set(table["level"]) == {"image", "specimen"}
    metrics = flatten_metrics(table, {"mass": 0.5})
    assert metrics["mass.image.mape"] == pytest.approx(10)
    ends = [metrics[f"mass.image.mae_{end}"] for end in ("low", "high")]
    half = 3.182446 * metrics["mass.image.mae_sd"] * np.sqrt(1 / 4 + 0.5)
    mean = metrics["mass.image.mae"]
    assert ends == pytest.approx([max(0, mean - half), mean + half], abs=1e-5)
    assert metrics["mass.image.n"] == 24
    assert metrics[f"mass.image.{TARGETS[1]}.mae"] == pytest.approx(7)


def test_intervals_cover_what_errs_alike(tables):
    manifest, split, _ = tables
    images = gather_images(make_predictions(manifest, split), manifest)
    table = measure_number_intervals(images, 0.9).by_target
    assert table["relative_half_width"].to_numpy() == pytest.approx(0.1 / 1.1)
    assert table["coverage_measured"].tolist() == [1.0, 1.0]
    assert (table["n_test"] == 24).all()
    flat = flatten_intervals(table, "image")
    place, n = f"mass.image.{TARGETS[1]}.coverage", images["specimen_id"].nunique()
    assert (flat[place], flat[f"{place}_n"]) == (1.0, n)
    assert flat[f"{place}_low"] == pytest.approx(n / (n + 1.959964**2), abs=1e-6)  # Wilson of 100 %


def test_a_proxy_as_good_as_the_network_is_told(tables):
    manifest, split, baselines = tables
    arms = {
        "mass": {"split": "main", "scheme": "kfold", "group": "specimen"},
        "leaky": {"split": "other", "scheme": "kfold", "group": "image"},
        "unknown": {"split": "third", "scheme": "leave_one_out", "group": "specimen"},
    }
    suffixes = list_protocols(arms, "mass")
    assert suffixes == {"main": "", "other": "_by_image", "third": "_unknown"}
    images = pd.concat(
        [
            gather_images(baselines, manifest),
            *(gather_images(make_predictions(manifest, split, arm, 0.2), manifest) for arm in arms),
        ]
    )
    comparison = compare_numbers(images, {})
    protocols = {arm: {**own, "suffix": suffixes[own["split"]]} for arm, own in arms.items()}
    splits = dict.fromkeys(arms, split)
    curves = tabulate_curves(images)
    intervals = measure_number_intervals(images, 0.9).by_target
    by_class = measure_number_intervals(images, 0.9).by_class
    found = judge(comparison, images, curves, intervals, by_class, protocols, splits, "mass", 0.9)
    found = SENTENCES.record(found)
    kinds = {f["kind"]: f for f in found}
    assert {"proxy", "leak", "unknown_porosity", "constant", "coverage"} <= set(kinds)
    text = next(f["text"] for f in found if f["kind"] == "proxy")
    assert "So the porosity by Otsu's thresholds, interpolated beats the network" in text
    assert found[0]["severity"] == "warning"


@pytest.mark.parametrize(
    ("mine", "said"),
    [
        ([11.0, 9.5], "is as good as the network or better"),
        ([12.0, 12.2], "So the mean of the training samples beats the network"),
        ([1.0, 1.2], "The network beats all of them."),
        ([0.1, 15.0], "The network errs less than all of them, but that may be chance."),
    ],
)
def test_arms_of_one_split_share_a_finding_that_minds_their_spread(mine, said):
    rows = [
        {"arm": arm, "target": TARGETS[1], "repeat": 0, "fold": fold, "role": "test",
         "y_true": 100.0, "y_pred": 100 + error, "sample_id": f"{fold}", "specimen_id": f"{fold}",
         "class": "50"}
        for arm, errors in {"a": mine, "b": mine, "baseline_mean": [10.0, 10.0]}.items()
        for fold, error in enumerate(errors)
    ]  # fmt: skip
    images = pd.DataFrame(rows)
    protocol = {"suffix": "", "scheme": "kfold", "group": "specimen"}
    split = NO_OVERLAP
    found = judge(
        compare_numbers(images, {}), images, tabulate_curves(images),
        *measure_number_intervals(images, 0.9),
        {"a": {**protocol, "label": "A, first"}, "b": protocol}, dict.fromkeys("ab", split), "a",
        0.9,
    )  # fmt: skip
    (proxy,) = [SENTENCES.tell(f) for f in found if f.kind == "proxy"]
    assert re.match(rf"MAPE with a network: {np.mean(mine):.1f} ± [0-9.]+ % \(A, first\), ", proxy)
    assert "% (b). Without one: the mean" in proxy
    assert said in proxy


def test_images_that_share_few_capacities_are_told():
    def judge_with(spread: float) -> list[str]:
        rows = [
            {"arm": "a", "target": target, "repeat": 0, "fold": number % 4, "role": "test",
             "y_true": 100.0 + number // 10 + spread * number, "y_pred": 101.0,
             "sample_id": f"{number}", "specimen_id": f"{number}", "class": str(number // 10)}
            for number in range(40) for target in TARGETS
        ]  # fmt: skip
        images = pd.DataFrame(rows)
        found = judge(
            compare_numbers(images, {}), images, tabulate_curves(images),
            *measure_number_intervals(images, 0.8),
            {"a": {"suffix": "", "scheme": "kfold", "group": "specimen"}}, {"a": NO_OVERLAP},
            "a", 0.8,
        )  # fmt: skip
        return [f["text"] for f in SENTENCES.record(found) if f["kind"] == "few_targets"]

    [text] = judge_with(0.0)
    assert text.startswith("The 40 tested samples have only 4 different sets of values")
    assert judge_with(0.01) == []


def test_a_porosity_that_intervals_fail_is_told():
    # 20 electrodes: those of 20 % porosity err by a tenth, the others by a hundredth.
    rows = [
        {"arm": "a", "target": TARGETS[1], "repeat": 0, "fold": number % 4, "role": "test",
         "y_true": 100.0, "y_pred": 110.0 if number < 4 else 101.0, "sample_id": f"{number}",
         "specimen_id": f"{number}", "class": "20" if number < 4 else "50"}
        for number in range(40)
    ]  # fmt: skip
    images = pd.DataFrame(rows)
    by_class = measure_number_intervals(images, 0.8).by_class.set_index("class")
    assert by_class["coverage_measured"].to_dict() == {"20": 0.0, "50": 1.0}
    assert by_class["n_groups"].to_dict() == {"20": 4, "50": 36}
    found = judge(
        compare_numbers(images, {}), images, tabulate_curves(images),
        measure_number_intervals(images, 0.8).by_target, by_class.reset_index(),
        {"a": {"suffix": "", "scheme": "kfold", "group": "specimen"}}, {"a": NO_OVERLAP}, "a", 0.8,
    )  # fmt: skip
    (told,) = [f for f in SENTENCES.record(found) if f["kind"] == "coverage"]
    assert told["severity"] == "warning"
    assert "fewest are inside at 20 % porosity: 0 % of all predictions together" in told["text"]
    assert "on average over all porosities only" in told["text"]
    assert measure_number_intervals(images, 0.99).by_class["coverage_measured"].isna().all()
    assert CapacityTargets.class_words.say("dense") == "'dense'"


def test_physics_needs_porosities_in_percent(tables):
    manifest, split, _ = tables
    grid = pd.DataFrame(
        {
            "porosity": np.tile(np.linspace(0.1, 0.6, 6), 2),
            "c_rate": np.repeat([0.2, 5.0], 6),
            "ah_kg": np.concatenate([np.full(6, 160.0), np.linspace(10, 110, 6)]),
        }
    )
    cell = HalfCellSettings(porosity_spread=0.0)
    table = predict_physics(manifest, split, grid, cell, TARGETS)
    of_20 = table[table["sample_id"].str.startswith("20")]
    assert of_20[f"y_pred_{TARGETS[1]}"].to_numpy() == pytest.approx(30)
    assert (table["role"] == "test").all()
    with pytest.raises(InputError, match="in percent"):
        predict_physics(manifest.assign(porosity="dense"), split, grid, cell, TARGETS)
    with pytest.raises(InputError, match="no column"):
        predict_physics(manifest.drop(columns="porosity"), split, grid, cell, TARGETS)
