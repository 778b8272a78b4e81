"""Settings that cannot have an effect are refused where the user wrote them, and nowhere else."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from batteryscope.config.base import Settings, validate_settings
from batteryscope.config.dataset import LabelSettings
from batteryscope.config.evaluate import EvaluateSettings, LearningCurveSettings
from batteryscope.config.learning import ModelSettings
from batteryscope.config.merge import merge_settings
from batteryscope.config.physics import HalfCellSettings
from batteryscope.config.project import load_project
from batteryscope.config.schema import list_settings_classes
from batteryscope.config.table_study import (
    AblationSettings,
    TableEvaluateSettings,
    TableStudySettings,
)
from batteryscope.errors import ConfigError
from batteryscope.planning.checks import check_project
from batteryscope.planning.layout import lay_out_study

QUANTITIES = {
    "table": "q.csv", "sample_column": "file", "quantities": {"porosity": {"unit": "%"}}
}  # fmt: skip
# A small study of every kind of samples and of answers; nothing of it is read.
KINDS: dict[str, dict[str, Any]] = {
    "classes": {
        "dataset": {"name": "own", "generator": {"kind": "trivial"}},
        "preprocess": {"method": "sem_tiles", "crop_px": 64, "input_px": 64},
        "evaluate": {"baselines": ["majority"]},
    },
    "numbers": {
        "dataset": {"name": "own", "generator": {"kind": "trivial"}, "targets": QUANTITIES},
        "preprocess": {"method": "sem_tiles", "crop_px": 64, "input_px": 64},
        "model": {"outputs": "all"},
        "train": {"loss": "mse", "monitor": "val_loss"},
        "evaluate": {"baselines": []},
    },
    "scans": {
        "dataset": {"name": "own", "generator": {"kind": "ct_cell"}, "volumes": {}},
        "preprocess": {"method": "ct_slices", "input_px": 64},
        "evaluate": {"baselines": ["majority"]},
    },
    "capacities": {
        "dataset": {
            "name": "own",
            "generator": {"kind": "cross_section"},
            "labels": {"pattern": "(?P<specimen_id>p(?P<p>[0-9]+)_e[0-9]+)", "columns": ["p"]},
            "targets": {"c_rates": [1], "units": ["Ah/kg"]},
        },
        "physics": {},
        "preprocess": {"method": "coating_crop"},
        "model": {"outputs": "Ah/kg", "weights": "random"},
        "train": {"loss": "mape", "monitor": "val_loss"},
        "evaluate": {"baselines": []},
    },
}


@cache
def params_of(folder: Path) -> Path:
    """A params.yaml with nothing but a study to base others on."""
    path = folder / "params.yaml"
    path.write_text("studies: {}\n", encoding="utf-8")
    return path


def check(params: Path, overlay: dict[str, Any], study: str) -> None:
    project = load_project(params, {"scale": "paper"} | overlay)
    plan = lay_out_study(Path("work"), study, project.studies[study]).plan
    check_project({study: plan}, project.written)


def check_kind(folder: Path, kind: str, changes: dict[str, Any]) -> None:
    whole = {"title": "Own", "split": {"test_fraction": 0.3}, "arms": {"own": {}}} | KINDS[kind]
    study = merge_settings(whole, changes)
    check(params_of(folder), {"studies": {"mine": study}}, "mine")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("effects")


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_study_of_every_kind_passes(folder: Path, kind: str) -> None:
    check_kind(folder, kind, {})
    # What is written as it is by default asks for nothing.
    usual = {"explain": {"window_px": 7, "method": "guided_grad_cam"}, "split": {"folds": 5}}
    check_kind(folder, kind, usual)


OF_KIND = [
    ("classes", "explain", {"window_px": 9}, "window_px: found 9, but it has no effect: classes"),
    ("classes", "explain", {"integration_steps": 8}, "integration_steps: found 8"),
    ("classes", "explain", {"occlusion_arms": "all"}, "occlusion_arms: found 'all'"),
    ("classes", "explain", {"phases": "maps"}, "phases: found 'maps'"),
    ("classes", "explain", {"polar_slices_per_class": 3}, "only slices of scans"),
    ("classes", "evaluate",
     {"paper_ranges": [{"metric": "mape", "arm": "own", "over": "both", "low": 1, "high": 2}]},
     "evaluate.paper_ranges: found, but it has no effect: it is about capacities"),
    ("classes", "physics", {"grid_points": 5}, "mine.physics: found, but it has no effect"),
    ("numbers", "physics", {"grid_points": 5}, "about capacities over the C-rate"),
    ("numbers", "explain", {"method": "grad_cam"}, "explain.method: found 'grad_cam'"),
    ("numbers", "explain", {"misclassified_tiles": 2}, "it is about classes"),
    ("numbers", "explain", {"same_images": 2}, "explain.same_images"),
    ("numbers", "explain", {"batch_size": 2}, "explain.batch_size"),
    ("numbers", "train", {"label_smoothing": 0.1}, "train.label_smoothing: found 0.1"),
    ("numbers", "dataset", {"masks": "masks"}, "dataset.masks: found 'masks'"),
    ("numbers", "dataset", {"labels": {"grades": ["a", "b", "c"]}}, "dataset.labels.grades"),
    ("numbers", "evaluate", {"survey": "experts.csv"}, "evaluate.survey: found 'experts.csv'"),
    ("numbers", "evaluate", {"grey_levels_at_test": ["clahe"]}, "grey_levels_at_test: found"),
    ("capacities", "evaluate", {"paper_classes": [{"arm": "own", "class_name": "a"}]},
     "evaluate.paper_classes: found, but"),
    ("capacities", "arms", {"own": {"change": {"train.label_smoothing": 0.1}}},
     "arms.own.change.train.label_smoothing: found 0.1"),
    ("scans", "dataset", {"expected_size_px": [64, 64]}, "dataset.expected_size_px"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "section", "values", "said"), OF_KIND)
def test_what_is_for_other_kinds_of_studies_is_refused(
    folder: Path, kind: str, section: str, values: Any, said: str
) -> None:
    with pytest.raises(ConfigError) as error:
        check_kind(folder, kind, {section: values})
    assert str(error.value).startswith("params.yaml: studies.mine.")
    assert said in str(error.value)
    assert str(error.value).endswith("; leave it out.")


OF_OTHER_KEYS = [
    ("classes", "train", {"focal_gamma": 1.0},
     "train: focal_gamma 1 has no effect with train.loss 'cross_entropy'; set train.loss to "
     "'focal', or leave focal_gamma out."),
    ("classes", "train", {"lowest_learning_rate": 1e-5}, "train.schedule 'constant'"),
    ("classes", "train", {"schedule": "one_cycle", "warmup_epochs": 2}, "warmup_epochs 2"),
    ("classes", "train", {"shrinkage": 0.2}, "set train.method to 'discriminant' or 'ridge'"),
    ("classes", "train", {"averaging": "exponential", "averaging_from_epoch": 2}, "averaging_from"),
    ("classes", "train", {"averaging_decay": 0.9}, "averaging_decay 0.9 has no effect"),
    ("classes", "train", {"averaging": "equal", "averaging_decay": 0.9}, "averaging 'equal'"),
    ("numbers", "train", {"penalty_weight": 0.1}, "set train.penalty to 'l1' or 'l2'"),
    ("classes", "balance", {"reference": "second_largest"}, "with balance.method 'none'"),
    ("classes", "augment", {"scale_per_axis": True},
     "scale_per_axis true has no effect with augment.scale 0; give augment.scale another value"),
    ("classes", "augment", {"random_crop_aspect": 1.2}, "with augment.random_crop null"),
    ("classes", "split", {"folds": 7}, "set split.scheme to 'kfold' or 'holdout_kfold'"),
    ("classes", "split", {"shared_where": {"domain": "a"}}, "with split.test_where"),
    ("classes", "split", {"scheme": "kfold"}, "test_fraction 0.3 has no effect"),
    ("classes", "model", {"pooling": "stage_statistics", "dropout": 0.3}, "dropout 0.3"),
    ("classes", "model", {"weights": "random", "weights_sha256": "0" * 64}, "weights 'random'"),
    ("classes", "model", {"normalisation": "none", "input_mean": 0.5}, "input_mean 0.5"),
    ("classes", "model", {"kernel_gamma": 0.5}, "with model.kernel_centres null"),
    ("classes", "preprocess", {"min_local_sd": 0, "block_px": 9}, "block_px 9 has no effect"),
    ("scans", "preprocess", {"contrast": "none", "percentiles": [2, 98]}, "contrast 'none'"),
    ("scans", "preprocess", {"unroll_angles": 24}, "set preprocess.unroll to true"),
    ("classes", "arms", {"own": {"change": {"split.folds": 7}}},
     "arms.own.change.split: folds 7 has no effect"),
    ("classes", "arms", {"own": {"stages": [{"name": "a", "change": {"train.focal_gamma": 1}}]}},
     "arms.own.stages.0.change.train: focal_gamma 1"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "section", "values", "said"), OF_OTHER_KEYS)
def test_what_another_key_takes_the_effect_from_is_refused(
    folder: Path, kind: str, section: str, values: Any, said: str
) -> None:
    with pytest.raises(ConfigError) as error:
        check_kind(folder, kind, {section: values})
    assert str(error.value).startswith("params.yaml: studies.mine.")
    assert said in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        # An arm, a stage, a sweep or a search takes up what the study says.
        {"split": {"folds": 7}, "arms": {"own": {}, "b": {"change": {"split.scheme": "kfold"}}}},
        {"train": {"focal_gamma": 1.0},
         "arms": {"own": {"stages": [{"name": "a", "change": {"train.loss": "focal"}}]}}},
        {"train": {"focal_gamma": 1.0}, "run_sweeps": ["loss"],
         "sweeps": {"loss": {"train.loss": ["cross_entropy", "focal"]}}},
        {"search": {"space": {"train.loss": ["cross_entropy", "focal"],
                              "train.focal_gamma": [1.0, 2.0]}}},
        {"arms": {"own": {"change": {"train.loss": "focal", "train.focal_gamma": 1.0}}}},
    ],
)  # fmt: skip
def test_what_counts_somewhere_is_kept(folder: Path, changes: dict[str, Any]) -> None:
    check_kind(folder, "classes", changes)


def test_a_sweep_and_a_search_of_what_never_counts_are_refused(folder: Path) -> None:
    sweep = {"run_sweeps": ["gamma"], "sweeps": {"gamma": {"train.focal_gamma": [1.0, 2.0]}}}
    with pytest.raises(ConfigError, match=r"sweeps\.gamma\.train: focal_gamma 1 has no effect"):
        check_kind(folder, "classes", sweep)
    search = {"search": {"space": {"train.focal_gamma": [1.0, 2.0]}}}
    with pytest.raises(ConfigError, match=r"search\.space\.train: focal_gamma has no effect"):
        check_kind(folder, "classes", search)


def test_what_an_overlay_takes_the_effect_from_is_nobodys_mistake(tmp_path: Path) -> None:
    """Folds were written for k folds; who overlays another scheme need not take them away."""
    text = "studies: {{mine: {{title: Own, arms: {{own: {{}}}}, split: {split}, {rest}}}}}\n"
    rest = (
        "dataset: {name: own, generator: {kind: trivial}}, evaluate: {baselines: [majority]}, "
        "preprocess: {method: sem_tiles, crop_px: 64, input_px: 64}, explain: {method: grad_cam}"
    )
    params = tmp_path / "params.yaml"
    params.write_text(text.format(split="{scheme: kfold, folds: 3}", rest=rest), encoding="utf-8")
    check(params, {"studies": {"mine": {"split": {"scheme": "holdout"}}}}, "mine")
    alone = tmp_path / "alone.yaml"  # nobody wrote folds beside a scheme that has some
    alone.write_text(text.format(split="{scheme: kfold}", rest=rest), encoding="utf-8")
    overlay = {"split": {"scheme": "holdout", "folds": 4}}
    with pytest.raises(ConfigError, match="folds 4 has no effect"):
        check(alone, {"studies": {"mine": overlay}}, "mine")
    own = {"title": "B", "based_on": "mine", "model": {"outputs": "all"}}
    numbers = {"name": "n", "generator": {"kind": "trivial"}, "targets": QUANTITIES}
    own |= {"dataset": numbers, "train": {"loss": "mse", "monitor": "val_loss"}}
    own |= {"evaluate": {"baselines": []}}
    check(params, {"studies": {"mine_too": own}}, "mine_too")  # grad_cam is of the design
    with pytest.raises(ConfigError, match=r"mine_too\.explain\.method: found 'grad_cam'"):
        check(params, {"studies": {"mine_too": own | {"explain": {"method": "grad_cam"}}}},
              "mine_too")  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "values", "said"),
    [
        (EvaluateSettings, {"baselines": ["majority", "majority"]},
         "baselines names 'majority' twice; name it once."),
        (TableEvaluateSettings, {"baselines": ["mean", "mean"]}, "baselines names 'mean' twice"),
        (AblationSettings, {"target_rows": [5, 10, 5]}, "target_rows names 5 twice"),
        (LearningCurveSettings, {"arms": ["a", "a"], "images_per_class": [2]}, "arms names 'a'"),
        (LearningCurveSettings, {"arms": ["a"], "images_per_class": [2, 2]}, "names 2 twice"),
        (ModelSettings, {"outputs": ["porosity", "porosity"]}, "outputs names 'porosity' twice"),
        (LabelSettings, {"columns": ["state", "state"]}, "columns names 'state' twice"),
        (LabelSettings, {"table": "labels.csv"},
         "table 'labels.csv' has no effect with source 'folders'; set source to 'table'"),
        (EvaluateSettings, {"paper_accuracy": "recall"},
         "paper_accuracy 'recall' has no effect with paper_classes []; give paper_classes another "
         "value, or leave paper_accuracy out."),
        (HalfCellSettings, {"loading_mg_cm2": 9.0, "coating_thickness_um": 80},
         "set coating_thickness_um to null, or leave loading_mg_cm2 out."),
    ],
)  # fmt: skip
def test_what_is_named_twice_or_has_nothing_beside_it_is_refused(
    settings: type[Settings], values: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as error:
        validate_settings(settings, values, "here")
    assert str(error.value).startswith("here: ")
    assert said in str(error.value)


def test_an_arm_or_a_published_arm_named_twice_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="published_arms names 'own' twice"):
        check_kind(folder, "classes", {"published_arms": ["own", "own"]})
    assert "arms" in TableStudySettings.named_once


ROWS: dict[str, Any] = {
    "kind": "table",
    "title": "Own",
    "dataset": {
        "name": "rows", "source": "nmc", "generator": {"kind": "electrode_manufacturing"},
        "features": {"gap_um": {}}, "targets": {"density": {}},
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"arms": ["transfer_process"], "train": {"epochs": 9}},
         "mine.train.epochs: found 9, but it has no effect: none of the arms transfer_process has "
         "a network; add one to arms, or leave it out."),
        ({"arms": ["transfer_process"], "networks": {"density": {"nodes": 5}}},
         "mine.networks.density.nodes: found 5"),
        ({"arms": ["scratch"], "main_arm": "scratch",
          "networks": {"density": {"adapter_nodes": 5}}},
         "none of the arms scratch has an adapter"),
        ({"train": {"epochs": 9}, "networks": {"density": {"adapter_nodes": 5}}}, ""),
        ({"arms": ["transfer_process"], "train": {"seed": 2}}, ""),  # baselines draw by it
    ],
)  # fmt: skip
def test_settings_of_networks_are_for_studies_of_rows_that_have_some(
    folder: Path, changes: dict[str, Any], said: str
) -> None:
    overlay = {"studies": {"mine": merge_settings(ROWS, changes)}}
    if not said:
        check(params_of(folder), overlay, "mine")
        return
    with pytest.raises(ConfigError) as error:
        check(params_of(folder), overlay, "mine")
    assert said in str(error.value)


def test_every_table_names_keys_of_its_class_and_no_default_is_idle() -> None:
    classes = [cls for cls in list_settings_classes() if issubclass(cls, Settings)]
    assert sum(bool(cls.counts_with) for cls in classes) >= 10
    for cls in classes:
        assert set(cls.named_once) <= set(cls.model_fields), cls
        for rule in cls.counts_with:
            assert {rule.key, rule.other} <= set(cls.model_fields), (cls, rule)
            assert bool(rule.values) != bool(rule.unless), (cls, rule)
            assert not cls.model_fields[rule.key].is_required(), (cls, rule)
