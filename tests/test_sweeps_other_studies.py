"""Sweeps and searches where the answer is a number: capacities, and the rows of tables."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from batteryscope.answers.study_modules import COMPARE_SWEEPS
from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.project import load_project
from batteryscope.config.sweep import SweepSettings
from batteryscope.errors import ConfigError
from batteryscope.evaluation.number_points import score_number_points
from batteryscope.evaluation.paired import find_half_width
from batteryscope.evaluation.sweep_points import (
    count_fits,
    flatten_points,
    summarise_epochs,
    tabulate_points,
)
from batteryscope.evaluation.sweep_scores import PointInputs, find_scorer
from batteryscope.plan import PlannedPoint, plan_study
from batteryscope.planning.frame_sizes import check_crops
from batteryscope.planning.layout import lay_out_study
from batteryscope.planning.plan_table_sweeps import plan_table_sweeps
from batteryscope.report.sweep_figures import draw_lines, draw_sweeps
from batteryscope.report.sweep_measures import (
    find_measure,
    list_levels,
    name_test_axis,
    spread_values,
)
from batteryscope.report.sweeps import show_sweeps
from batteryscope.search.plan_search import change_stage, plan_search
from batteryscope.tables.score_points import score_table_points
from batteryscope.tracking import sweep_mirror
from tests.table_study import make_rows, make_study
from tests.test_config import PARAMS
from tests.test_provenance import names_of

SIZE = "preprocess.crop_height_px, preprocess.crop_width_px"


def load(study, **changes):
    return load_project(PARAMS, {"studies": {study: changes}}).studies[study]


def swept(study, sweeps, **more):
    return load(study, sweeps=sweeps, run_sweeps=list(sweeps), **more)


def test_keys_that_change_together_make_one_axis():
    study = swept("rate_capability", {"size": {SIZE: [[112, 168], [224, 336]]}})
    plan = plan_study("rate_capability", study)
    assert [point.name for point in plan.points] == ["size_112_168", "size_224_336"]
    small = plan.every_arm["size_112_168"].recipe.preprocess
    assert (small.crop_height_px, small.crop_width_px) == (112, 168)
    assert plan.points[1].arm == plan.main.name  # the main arm's own size


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        ({SIZE: [112, 224]}, "expected a list of 2 values"),
        ({SIZE: [[112, 336, 1]]}, "expected a list of 2 values"),
        ({SIZE: []}, "has an empty list"),
        ({"preprocess.crop_high_px, preprocess.crop_width_px": [[1, 2]]}, "crop_height_px"),
        ({SIZE: [[113, 336]]}, "no multiple of shrink"),
        ({SIZE: [[224, 1004]]}, "less than crop_width_px"),
        ({"train.penalties": ["l1"]}, "did you mean 'train.penalty'"),
        ({"train.loss": ["cross_entropy"]}, "is for classes"),
    ],
)
def test_bad_sweeps_of_capacities(sweep, words):
    with pytest.raises(ConfigError) as caught:
        plan_study("rate_capability", swept("rate_capability", {"bad": sweep}))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_each_edge_of_a_crop_must_fit(tmp_path):
    for name, size in {"a.png": (300, 90), "b.png": (200, 120)}.items():
        Image.new("L", size).save(tmp_path / name)
    mine = DatasetSettings(name="small", path=str(tmp_path))

    def check(dataset, height, width):
        point = PlannedPoint("size", "p", "mass", {SIZE: [height, width]}, "p")
        check_crops(dataset, [point], "params.yaml: studies.x")

    check(mine, 90, 200)
    with pytest.raises(ConfigError, match=r"crop_height_px 91 px.*a\.png of 300×90 px.*most 90"):
        check(mine, 91, 200)
    with pytest.raises(ConfigError, match=r"crop_width_px 201 px.*b\.png of 200×120.*most 200"):
        check(mine, 90, 201)
    drawn = load("rate_capability").dataset
    check(drawn, 5000, 368)  # how high a drawn coating is, nobody knows yet
    with pytest.raises(ConfigError, match=r"369 px.*each of 368 px width"):
        check(drawn, 224, 369)


def write_capacities(folder, error):
    """Predictions that are ``error`` percent too high in fold 0, twice that in fold 1."""
    rows = [
        {
            "sample_id": f"s{i}", "tile": i, "repeat": 0, "fold": i % 2, "role": "test",
            "arm": "any", "y_true_capacity_1c_ah_kg": 100.0 + 10 * i,
            "y_pred_capacity_1c_ah_kg": (100.0 + 10 * i) * (1 + error / 100 * (1 + i % 2)),
        }
        for i in range(8)
    ]  # fmt: skip
    folder.mkdir()
    pd.DataFrame(rows).to_parquet(folder / "predictions.parquet")
    return folder / "predictions.parquet"


def test_points_of_capacities_are_judged_by_their_error(tmp_path):
    manifest = pd.DataFrame({"sample_id": [f"s{i}" for i in range(8)], "class": "30"})
    manifest["specimen_id"] = manifest["sample_id"].str.replace("s", "e")
    errors = {"size_112_336": 4.0, "mass": 2.0}
    arms = {name: write_capacities(tmp_path / name, e) for name, e in errors.items()}
    backbones = dict.fromkeys(errors, "rate_cnn")
    table = score_number_points(PointInputs(arms, manifest, backbones=backbones))
    points = [
        {"sweep": "size", "name": n, "base": "mass", "arm": a, "values": {SIZE: v}}
        for n, a, v in (("size_112_336", "size_112_336", [112, 336]),
                        ("size_224_672", "mass", [224, 672]))
    ]  # fmt: skip
    history = pd.DataFrame({"seconds": [1.0]})
    result = tabulate_points(points, table, summarise_epochs({a: [history] for a in errors}))
    metrics = flatten_points(result)
    assert metrics["size_112_336.image.mape"] == pytest.approx(6)  # folds of 4 and 8 percent
    assert metrics["size_224_672.image.mape"] == pytest.approx(3)
    assert {"size_112_336.image.mae", "size_112_336.specimen.r2"} <= set(metrics)
    by_image = pd.DataFrame({"sample_id": ["s0", "s1"], "repeat": 0, "fold": 0})
    by_image.assign(role=["train", "test"]).to_parquet(tmp_path / "split.parquet")
    of_one = manifest.assign(specimen_id="e0")
    splits = {"mass": tmp_path / "split.parquet"}
    leaking = score_number_points(PointInputs(arms, of_one, splits=splits))
    costs = summarise_epochs({"mass": [history] * 2})
    known = flatten_points(tabulate_points(points, leaking, costs))
    # Errors of 2 and 4 percent in two fits, one sample left out of each that trains.
    half = find_half_width(known["size_224_672.image.mape_sd"], 2, 1.0)
    assert known["size_224_672.image.mape_high"] == pytest.approx(3 + half, abs=1e-5)
    assert known["size_224_672.image.mape_low"] == 0
    assert "size_112_336.image.mape_low" not in known
    judged = leaking[leaking["level"] == "specimen"]
    assert set(judged["arm"]) == {"size_112_336"}  # the other one has met the electrodes
    [picture] = draw_sweeps(result, generated=True)
    assert "mean absolute percentage error of test images" in picture.caption
    [shown] = show_sweeps(result)
    assert "MAE (mAh/g)" in shown.columns
    assert shown.rows[0][1] == "6.0 ± 2.8 %"


def table_study(sweeps):
    study = make_study()
    values = study.model_dump(mode="json") | {"sweeps": sweeps, "run_sweeps": list(sweeps)}
    return type(study).model_validate(values)


def test_table_points_change_networks_training_and_split():
    study = table_study(
        {
            "nodes": {"networks.nodes": [4, 6]},
            "one": {"arm": "scratch", "networks.density.nodes": [6], "train.learning_rate": [0.1]},
            "ratio": {"split.test_fraction": [0.3, 0.5]},
        }
    )
    plan = plan_table_sweeps("tables", study)
    arms = {point.name: point.arm for point in plan.points}
    assert arms == {
        "nodes_4": "adapter",  # the study's own networks
        "nodes_6": "nodes_6",
        "one_6_0p1": "one_6_0p1",
        "ratio_0p3": "adapter",
        "ratio_0p5": "ratio_0p5",
    }
    assert plan.work["nodes_6"].networks["density"].nodes == 6
    assert plan.work["one_6_0p1"].arms == ["scratch"]
    assert set(plan.split_of) == {"ratio_0p5"}
    more = table_study({"nodes": {"networks.nodes": [4, 6, 8]}})
    added = set(plan_table_sweeps("tables", more).work) - set(plan.work)
    assert added == {"nodes_8"}


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        ({"networks.node": [2]}, "did you mean 'networks.nodes'"),
        ({"networks.densty.nodes": [2]}, "networks"),
        ({"train.epoch": [2]}, "did you mean 'train.epochs'"),
        ({"train.epochs, train.epochs": [[1, 2]]}, "'train.epochs' is named twice"),
        (
            {"networks.nodes": [4], "networks.density_g_cm3.nodes": [4, 6]},
            "'networks.nodes' and 'networks.density_g_cm3.nodes' change the same setting",
        ),
        ({"train.epochs": []}, "has an empty list"),
        ({"train.epochs": [0]}, "greater than 0"),
        ({"dataset.source": ["nmc"]}, "all points share one table"),
        ({"dataset.where.domain": ["nmc"]}, "all points share one table"),
        ({"arm": "nobody", "train.epochs": [2]}, "arm 'nobody' is none of the arms"),
    ],
)
def test_bad_sweeps_of_tables(sweep, words):
    sweeps = {"bad": sweep}
    with pytest.raises(ConfigError) as caught:
        plan_table_sweeps("t", swept("electrode_manufacturing", sweeps))
    assert words in str(caught.value)
    assert "bad" in str(caught.value)


def test_ablations_are_no_sweeps_to_ask_for():
    with pytest.raises(ConfigError, match=r"'source_rows' belongs to the ablations.*always run"):
        load_project(PARAMS, {"sweeps": "source_rows"})


def test_points_of_tables_are_judged_in_every_domain(tmp_path):
    arms = {}
    for name, error in {"nodes_6": 4, "adapter": 8}.items():
        table = pd.concat(
            [
                make_rows("source", [1, 3], domain="graphite"),
                make_rows("adapter", [error, error + 2]),
                make_rows("adapter", [50, 50], ablation="target_rows", value=5),
                make_rows("scratch", [90, 90]),
            ]
        )
        arms[name] = tmp_path / f"{name}.parquet"
        table.to_parquet(arms[name])
    bases = {"nodes_6": "adapter", "adapter": "adapter"}
    scores = score_table_points(PointInputs(arms, pd.DataFrame(), bases=bases))
    study = table_study({"nodes": {"networks.nodes": [4, 6]}})
    points = [vars(point) for point in plan_table_sweeps("tables", study).points]
    result = tabulate_points(points, scores, count_fits(arms))
    metrics = flatten_points(result)
    assert metrics["nodes_4.row.nmc.density.mape"] == pytest.approx(9)
    assert metrics["nodes_6.row.nmc.density.mape"] == pytest.approx(5)
    assert metrics["nodes_6.row.graphite.density.mape"] == pytest.approx(2)
    assert "nodes_6.row.nmc.density.mape_low" not in metrics  # no division is known
    [picture] = draw_sweeps(result, generated=False)
    assert picture.name == "sweep_nodes"
    [shown] = show_sweeps(result)
    assert "MAPE, density, nmc" in shown.columns
    assert "s per epoch" not in shown.columns
    layout = lay_out_study(tmp_path, "tables", study)
    for folder in (layout.sweep_comparison, layout.data.root):
        folder.mkdir(parents=True)
    result.to_csv(layout.sweep_comparison / "sweeps.csv", index=False)
    (layout.sweep_comparison / "metrics.json").write_text(json.dumps(metrics))
    layout.data.summary.write_text('{"manifest_hash": "abc"}')
    runs = sweep_mirror.plan_runs(layout)
    assert [run.params["networks.nodes"] for run in runs] == ["4", "6"]
    assert runs[1].params["networks.density.nodes"] == "6"
    assert ("row/nmc.density.mape", 5.0) in [(m[0], round(m[1], 3)) for m in runs[1].metrics]


def test_two_swept_keys_of_several_places_give_a_map_each():
    grid = [{"a.x": x, "a.y": y} for x in (1, 2) for y in (1, 2)]
    rows = [
        {"sweep": "s", "point": f"s_{i}", "arm": f"s_{i}", "values": json.dumps(values),
         "target": "density", "domain": domain, "level": "row", "metric": "mape", "mean": 5.0 + i,
         "sd": 1.0, "n": 10, "paper": np.nan, "fits": 2, "seconds_per_epoch": np.nan}
        for i, values in enumerate(grid) for domain in ("graphite", "nmc")
    ]  # fmt: skip
    [picture] = draw_sweeps(pd.DataFrame(rows), generated=False)
    assert "percentage error of test records in percent" in picture.caption


def test_a_scorer_concerns_only_the_studies_whose_layout_names_it():
    known = names_of(COMPARE_SWEEPS)
    for study, own in {
        "cathode_state": "evaluation/class_points",
        "rate_capability": "evaluation/number_points",
        "electrode_manufacturing": "tables/score_points",
    }.items():
        module = lay_out_study(Path("work"), study, load(study)).modules.score_points
        file = f"{module.replace('.', '/')}.py"
        assert file == f"batteryscope/{own}.py"
        assert file not in known
        assert callable(find_scorer(module).score)


def test_different_quantities_are_judged_by_r2_which_is_no_percentage():
    grid = [{"a.x": x, "a.y": y} for x in (1, 2) for y in (1, 2)]
    rows = [
        {"sweep": "s", "point": f"s_{i}", "arm": f"s_{i}", "values": json.dumps(values),
         "target": "", "domain": "", "level": "image", "metric": "r2", "mean": 0.2 * i - 0.1,
         "sd": 0.05, "n": 10, "paper": np.nan, "fits": 2, "seconds_per_epoch": np.nan}
        for i, values in enumerate(grid)
    ]  # fmt: skip
    points = pd.DataFrame(rows)
    measure = find_measure(points)
    assert (measure.name, name_test_axis(measure)) == ("r2", "R² (test)")
    [picture] = draw_sweeps(points, generated=False)
    assert "that is explained (R²), mean" in picture.caption
    [shown] = show_sweeps(points)
    assert "R², images" in shown.columns
    assert shown.rows[3][shown.columns.index("R², images")] == "0.50 ± 0.05"
    line = points.assign(values=[json.dumps({"a.x": i}) for i in range(4)])
    bottom, top = draw_lines(spread_values(line, "r2"), "a.x", measure).axes[0].get_ylim()
    assert (bottom, top) == pytest.approx((-0.2, 1.01))


def test_a_level_that_some_points_lack_compares_nothing():
    rows = pd.DataFrame(
        [("split_specimen", "specimen"), ("split_specimen", "slice"), ("split_slice", "slice")],
        columns=["point", "level"],
    )
    assert list_levels(rows) == ["slice"]


def test_ready_made_sweeps_of_all_kinds_are_possible():
    wanted = {
        "rate_capability": {"regularisation", "augmentation", "image_size"},
        "cell_health": {"backbone", "slice_step", "crop_margin", "division"},
        "electrode_manufacturing": {"split_ratio", "network_size", "learning_rate"},
    }
    for scale in ("demo", "paper"):
        studies = load_project(PARAMS, {"scale": scale, "sweeps": "all"}).studies
        for study, names in wanted.items():
            assert names <= set(studies[study].run_sweeps)
        for name in ("electrode_manufacturing", "gdl_tortuosity"):
            assert plan_table_sweeps(name, studies[name]).points
    plan = plan_study("cell_health", studies["cell_health"])
    backbones = {p.name: p.arm for p in plan.points if p.sweep == "backbone"}
    assert {"by_cell", "resnet50", "vgg16"} <= set(backbones.values())  # trained already


def test_a_sweep_whose_arm_was_replaced_follows_the_main_arm():
    own = {
        "based_on": "rate_capability",
        "title": "Own",
        "dataset": {"name": "own", "path": "data/raw/own"},
        "arms": {"mine": {"label": "mine"}},
        "main_arm": "mine",
        "published_arms": ["mine"],
    }
    project = load_project(PARAMS, {"sweeps": "regularisation", "studies": {"own": own}})
    assert {point.base for point in project.studies["own"].sweep_points} == {"mine"}
    overlay = yaml.safe_load(
        (PARAMS.parent / "configs" / "rate_capability_cpu.yaml").read_text("utf-8")
    )
    study = load_project(PARAMS, overlay | {"sweeps": "all"}).studies["rate_capability"]
    assert {point.base for point in study.sweep_points} == {"mass", "paper_network"}


def test_a_search_follows_what_is_predicted():
    study = load("rate_capability")
    search = plan_search(plan_study("rate_capability", study))
    assert search.settings.metric == "val_mape"
    assert search.settings.is_error
    stage = change_stage(search.stage.settings, {"train.penalty": "l1"}, search.settings)
    assert stage.train.monitor == "val_mape"
    assert stage.train.epochs == search.settings.max_epochs
    assert 0 < stage.train.warmup_epochs < stage.train.epochs
    cathode = plan_search(plan_study("cathode_state", load("cathode_state")))
    assert (cathode.settings.metric, cathode.settings.is_error) == ("val_accuracy", False)
    wrong = load("rate_capability", search={"metric": "val_accuracy"})
    with pytest.raises(ConfigError, match=r"predicts numbers; take 'val_mape'"):
        plan_search(plan_study("rate_capability", wrong))


def test_written_settings_hold_no_password():
    search = load("rate_capability").search
    secret = search.model_copy(update={"storage": "postgresql://me:secret@host/optuna"})
    assert "secret" not in secret.model_dump_json()
    assert "***@host/optuna" in secret.model_dump_json()
    assert secret.storage == "postgresql://me:secret@host/optuna"  # what workers connect to


def test_one_key_needs_no_list_of_lists():
    assert SweepSettings.model_validate({"train.seed": [1, 2]}).grid == {"train.seed": [1, 2]}
