"""Reports say whether covariates help, with numbers, and whether the picture adds to them."""

import numpy as np
import pandas as pd
import pytest

from batteryscope.config.study import StudySettings
from batteryscope.config.targets import Quantity, name_target
from batteryscope.evaluation.aggregate import aggregate_to_images
from batteryscope.evaluation.baselines import predict_baseline
from batteryscope.evaluation.covariate_findings import (
    ALONE,
    judge_class_covariates,
    judge_number_covariates,
    name_covariates,
)
from batteryscope.evaluation.forward import load_fit, predict_fit
from batteryscope.evaluation.sample_features import select_covariates
from batteryscope.evaluation.sentences import classes, numbers
from batteryscope.manifest.covariate_columns import take_inputs
from batteryscope.plan import plan_study
from batteryscope.planning.covariate_pairs import list_covariate_pairs
from batteryscope.training.data import select_grid_tiles
from batteryscope.training.fit import FitTask
from batteryscope.training.stage import train_fit
from tests.small_params import small_study
from tests.test_covariates_learning import CLASSES, THICKNESS, draw, stage

N = 180
ROLES = ["train"] * 100 + ["validation"] * 20 + ["test"] * 60


def answer(folder, thickness, targets, tiles):
    """Train both arms once and let both, and the forest on covariates alone, predict."""
    ids = [f"{i:016x}" for i in range(N)]
    manifest = pd.DataFrame({
        "sample_id": ids, "path": ids, "specimen_id": ids,
        "class": [CLASSES[t] for t in targets], "covariate_thickness": thickness,
    })  # fmt: skip
    index = pd.DataFrame({"tile": range(N), "sample_id": ids, "kind": "whole", "used": True})
    split = pd.DataFrame({"sample_id": ids, "repeat": 0, "fold": 0, "role": ROLES})
    numbers = manifest.set_index("sample_id")["class"].map(CLASSES.index)
    tables = []
    for arm, given in (("both", (THICKNESS,)), ("plain", ())):
        table = take_inputs(manifest, ["thickness"]) if given else None
        sets = [
            select_grid_tiles(index, split.loc[split["role"] == role, "sample_id"], numbers, table)
            for role in ("train", "validation")
        ]
        task, settings = FitTask(0, 0, *sets, "me"), stage(given, {"epochs": 5})
        train_fit(task, settings, CLASSES, tiles, folder / arm, "fit")
        own = predict_fit(load_fit(folder / arm), tiles, index, manifest, split)
        tables.append(own.assign(arm=arm))
    tables.append(predict_baseline("covariates", select_covariates(manifest), manifest, split, 1))
    predictions = pd.concat(tables, ignore_index=True)
    images = aggregate_to_images(predictions[predictions["role"] == "test"])
    [found] = judge_class_covariates(
        {"both": "plain"}, images, split, name_covariates(manifest)
    )  # fmt: skip
    return found, classes.SENTENCES.tell(found)


def test_covariates_that_decide_half_of_the_label_help(tmp_path):
    tiles, targets, thickness = draw(N, 1)
    found, told = answer(tmp_path, thickness[:, 0], targets, tiles)
    assert found.severity == "good"
    assert found.facts["without"]["accuracy"] >= 0.9
    assert found.facts["without"]["other"] <= 0.7
    assert found.facts["alone"]["other"] <= 0.7
    assert "They help. Covariates alone (random forest)" in told
    assert told.endswith("The picture adds to them.")
    assert "McNemar p < 0.001 after Holm's correction for 2 comparisons, 60 images" in told


def test_covariates_that_were_drawn_by_lot_do_not_help(tmp_path):
    tiles, targets, _ = draw(N, 1)
    targets = targets // 2 * 2  # the picture tells all
    thickness = np.random.default_rng(5).normal(60, 20, N)
    found, told = answer(tmp_path, thickness, targets, tiles)
    assert found.severity == "info"
    assert found.facts["without"]["other"] >= 0.9
    assert "Nothing shows that they help: chance may explain the difference." in told
    assert "The picture adds to them." in told


def number_rows(errors_of, targets=("porosity",), folds=4):
    rng = np.random.default_rng(2)
    rows = []
    for target in targets:
        for fold in range(folds):
            for i in range(12):
                truth = 30 + i
                for arm, size in errors_of.items():
                    rows.append({
                        "arm": arm, "target": target, "repeat": 0, "fold": fold, "role": "test",
                        "sample_id": f"{fold}_{i}", "specimen_id": f"{fold}_{i}", "class": "all",
                        "y_true": truth, "y_pred": truth + size * rng.choice([-1, 1]) * (
                            1 + 0.02 * rng.normal()),
                    })  # fmt: skip
    return pd.DataFrame(rows)


SPLIT = pd.DataFrame(
    [
        {"sample_id": str(i), "repeat": 0, "fold": f, "role": "test" if i == f else "train"}
        for f in range(4)
        for i in range(4)
    ]
)


def judge(errors_of, quantity, targets=("porosity",)):
    protocols = {arm: {"suffix": "", "label": arm.title()} for arm in ("both", "plain")}
    quantities_ = [quantity.model_copy(update={"name": t}) for t in targets]
    [found] = judge_number_covariates(
        {"both": "plain"},
        number_rows(errors_of, targets),
        quantities_,
        protocols,
        {"both": SPLIT, "plain": SPLIT},
        ["thickness"],
    )
    return found


def test_errors_of_numbers_are_compared_with_both():
    porosity = Quantity(name="porosity", unit="%", label="porosity")
    found = judge({"both": 1.0, "plain": 2.0, "baseline_covariates": 3.0}, porosity)
    assert found.severity == "good"
    assert found.facts["without"]["difference"] == pytest.approx(-1, abs=0.05)
    assert found.facts["alone"]["difference"] == pytest.approx(-2, abs=0.05)
    told = numbers.SENTENCES.tell(found)
    assert told.startswith("porosity: with covariates (thickness) Both has a mean absolute error")
    assert "the same without them (Plain) 2.01 %: -1 % (95 % interval -1" in told
    found = judge({"both": 2.0, "plain": 1.0, "baseline_covariates": 1.0}, porosity)
    assert found.severity == "warning"
    told = numbers.SENTENCES.tell(found)
    assert "They do harm." in told
    assert told.endswith("Nothing shows that the picture adds anything to them.")


@pytest.mark.parametrize(("rivals", "p_holm"), [(("plain",), 0.03245), (("plain", ALONE), 0.0649)])
def test_a_difference_counts_after_correction_for_what_it_is_compared_with(rivals, p_holm):
    """Corrected t test by hand: differences −1 ± 0.3, √(1/4 + 1/3), three degrees of freedom."""
    folds = [
        (fold, arm, error)
        for fold, own in enumerate((0.7, 0.7, 1.3, 1.3))
        for arm, error in (("both", own), *((rival, 2.0) for rival in rivals))
    ]
    images = pd.DataFrame({
        "arm": [arm for _, arm, _ in folds], "target": "porosity", "repeat": 0,
        "fold": [fold for fold, *_ in folds], "role": "test", "class": "all",
        "sample_id": [str(fold) for fold, *_ in folds], "specimen_id": None,
        "y_true": 30.0, "y_pred": [30 + error for *_, error in folds],
    })  # fmt: skip
    porosity = [Quantity(name="porosity", unit="%", label="porosity")]
    protocols = {"both": {"suffix": ""}}
    [found] = judge_number_covariates(
        {"both": "plain"}, images, porosity, protocols, {"both": SPLIT}, ["thickness"]
    )
    assert found.facts["without"]["p_holm"] == pytest.approx(p_holm, abs=1e-4)
    assert found.facts["without"]["interval"][1] < 0
    assert found.facts["without"]["verdict"] == ("better" if p_holm < 0.05 else "chance")
    assert f"p = {p_holm:.3f}" in numbers.SENTENCES.tell(found)


def test_errors_of_a_curve_are_relative_and_told_once():
    targets = [name_target(rate, "Ah/kg") for rate in (0.2, 5)]
    point = Quantity(name="", unit="Ah/kg", label="capacity", axis="C-rate", at=1, positive=True)
    found = judge({"both": 1.0, "plain": 2.0, "baseline_covariates": 3.0}, point, targets)
    expected = np.mean([100 / (30 + i) for i in range(12)])
    assert found.facts["without"]["error"] == pytest.approx(expected, rel=0.05)
    told = numbers.SENTENCES.tell(found)
    assert told.startswith(
        "capacity over the C-rate: with covariates (thickness) Both has a mean absolute p"
    )


def test_an_arm_without_a_partner_is_told_how_to_get_one():
    images = number_rows({"both": 1.0, "baseline_covariates": 2.0})
    [found] = judge_number_covariates(
        {"both": None},
        images,
        [Quantity(name="porosity", unit="%", label="porosity")],
        {"both": {"suffix": ""}},
        {"both": SPLIT},
        ["thickness"],
    )
    assert found.severity == "info"
    assert "an arm with model.covariates: false" in numbers.SENTENCES.tell(found)


def test_the_plan_knows_which_arm_is_the_same_without():
    study = small_study(
        arms={
            "both": {},
            "other": {"change": {"train.epochs": 3}},
            "plain": {"change": {"model.covariates": False}},
        }
    )
    study["dataset"]["covariates"] = {"columns": {"magnification": {"unit": "x"}}}
    plan = plan_study("s", StudySettings.model_validate(study))
    assert list_covariate_pairs(plan) == {"both": "plain", "other": None}
    own = {name: plan.stages[arm.chains[-1]].settings for name, arm in plan.arms.items()}
    assert [c.name for c in own["both"].covariates] == ["magnification"]
    assert own["plain"].covariates == []
