"""Sweeps: which points there are, what they share, what a change costs, what cannot be."""

import json
import logging

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from batteryscope.config.choose_sweeps import check_targets
from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.evaluate import PaperValue
from batteryscope.config.project import load_project
from batteryscope.config.source import name_source
from batteryscope.config.sweep import name_value
from batteryscope.errors import ConfigError
from batteryscope.evaluation.sweep_points import summarise_epochs, tabulate_points
from batteryscope.plan import plan_study
from batteryscope.planning import frame_sizes
from batteryscope.planning.checks import check_project
from batteryscope.planning.frame_sizes import check_crops, list_frames
from batteryscope.report.sweep_figures import draw_sweeps
from batteryscope.report.sweeps import show_sweeps
from tests.small_params import small_params, small_study
from tests.studies import image_studies
from tests.test_config import PARAMS

GRID = {"preprocess.crop_px": [100, 200], "train.learning_rate": [1e-3, 1e-2]}


def load(sweeps, study="cathode_state", **more):
    changes = {"sweeps": sweeps, "run_sweeps": list(sweeps), **more}
    return load_project(PARAMS, {"studies": {study: changes}}).studies[study]


def plan(sweeps, **more):
    return plan_study("cathode_state", load(sweeps, **more))


def test_a_grid_shares_what_it_can():
    grid = plan({"grid": GRID})
    assert [point.name for point in grid.points] == [
        "grid_100_0p001", "grid_100_0p01", "grid_200_0p001", "grid_200_0p01"
    ]  # fmt: skip
    assert len(grid.tiles) == 3  # two crop sizes and that of the main arm
    assert len(grid.splits) == 1
    assert len(grid.stages) == 5
    assert set(grid.arms) == set(plan({}).arms)  # points are no strategies to compare


def test_a_sweep_over_training_uses_the_tiles_of_the_main_arm():
    rates = plan({"rate": {"train.learning_rate": [1e-3, 1e-2]}})
    assert rates.tiles.keys() == plan({}).tiles.keys()


def test_a_point_like_an_arm_or_another_point_does_no_work():
    base = plan({})
    crop = base.main.recipe.preprocess.crop_px
    sweeps = {
        "crop": {"preprocess.crop_px": [crop, 200]},
        "both": {"preprocess.crop_px": [200], "model.grey_levels": ["raw", "per_image"]},
    }
    both = plan(sweeps)
    arms = {point.name: point.arm for point in both.points}
    assert arms == {
        f"crop_{crop}": base.main.name,
        "crop_200": "crop_200",
        "both_200_raw": "both_200_raw",
        "both_200_per_image": "crop_200",
    }
    assert len(both.stages) == len(base.stages) + 2


def pieces(study_plan):
    return set(study_plan.tiles), set(study_plan.stages), set(study_plan.every_arm)


def test_changing_one_value_replaces_its_points_and_adding_one_adds_them():
    before = pieces(plan({"crop": {"preprocess.crop_px": [100, 200]}}))
    changed = pieces(plan({"crop": {"preprocess.crop_px": [100, 210]}}))
    added = pieces(plan({"crop": {"preprocess.crop_px": [100, 200, 210]}}))
    for old, new, more in zip(before, changed, added, strict=True):
        assert (len(old - new), len(new - old)) == (1, 1)
        assert old < more
        assert more - old == new - old


def test_a_key_that_a_stage_sets_is_swept_there():
    study = load(
        {"treatment": {"arm": "pre_ft_os", "balance.method": ["none", "class_weights"]}},
        "additive_transfer",
    )
    first, second = (
        plan_study("additive_transfer", study).every_arm[point.arm].chains
        for point in plan_study("additive_transfer", study).points
    )
    assert first[0] == second[0]  # the stage before is shared
    assert first[1] != second[1]


def test_images_are_selected_for_training_and_testing():
    points = plan({"zoom": {"dataset.where.magnification": [500, 5000]}})
    arm = points.every_arm["zoom_500"]
    assert arm.recipe.split.test_where == {"magnification": 500}
    assert points.stages[arm.chains[0]].settings.where == {"magnification": 500}
    assert len(points.tiles) == 1


def test_ready_made_sweeps_are_off_until_asked_for():
    off = load_project(PARAMS, {})
    assert all(not study.sweeps for study in image_studies(off).values())
    for scale in ("demo", "paper"):
        on = load_project(PARAMS, {"scale": scale, "sweeps": "all"})
        for name, study in image_studies(on).items():
            assert not study.sweeps or plan_study(name, study).points
        check = load_project(PARAMS, {"scale": scale, "sweeps": "crop_size,grey_levels"})
        names = [p.sweep for p in plan_study("x", check.studies["cathode_state"]).points]
        assert set(names) == {"crop_size", "grey_levels"}
    plans = {n: plan_study(n, s) for n, s in image_studies(check).items()}
    check_project(plans)


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        ({"preprocess.crop_size": [1]}, "did you mean 'preprocess.crop_px'"),
        ({"learning_rate": [1]}, "did you mean 'train.learning_rate'"),
        ({"train.learning_rates": [1]}, "did you mean 'train.learning_rate'"),
        ({"preprocess.crop_px": []}, "preprocess.crop_px has an empty list"),
        ({"preprocess.crop_px": 5}, "found 5"),
        ({"preprocess.crop_px": [5, 5]}, "the value 5 twice"),
        ({}, "names no setting to sweep"),
        ({"dataset.path": ["a"]}, "only dataset.where.<column> can"),
        ({"arm": "nobody", "train.epochs": [1]}, "arm 'nobody' is none of the arms"),
        ({"train.epochs": [0]}, "greater than 0"),
        ({"train.epochs, train.epochs": [[1, 2]]}, "'train.epochs' is named twice"),
        (
            {"train.penalty, train.penalty_weight": [["l1", 1e-5]], "train.penalty": ["l1", "l2"]},
            "'train.penalty' is named twice",
        ),
        ({"model.backbone": ["a-b", "a.b"]}, "both be called 'bad_a_b'"),
        ({"train.epochs": [1], "paper": [{"metric": "accuracy", "value": 1, "arm": "x"}]}, "none"),
    ],
)
def test_bad_sweeps(sweep, words):
    with pytest.raises(ConfigError) as caught:
        plan({"bad": sweep})
    assert words in str(caught.value)
    assert "bad" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_wishes_and_taken_names():
    with pytest.raises(ConfigError, match=r"no study has a sweep 'crop_sizes'.*'crop_size'"):
        load_project(PARAMS, {"sweeps": "crop_sizes"})
    with pytest.raises(ConfigError, match="has the name of an arm"):
        plan({"one": {"train.epochs": [2]}}, arms={"one_2": {}}, main_arm="one_2")


def test_a_sweep_of_a_study_that_is_not_built_is_told():
    switched_on = {"a": ["crop", "net"], "b": ["net"], "c": []}
    for wanted, targets in [
        ("crop", []),
        ("crop,net", ["all"]),
        ("net", ["b"]),
        ("net", ["work/a/sweeps/comparison"]),
        (["all"], ["a", "c"]),
        (None, ["c"]),
    ]:
        check_targets(switched_on, wanted, targets)
    with pytest.raises(ConfigError, match=r"'crop' is a sweep of a, .*\(b\).*name it as a target"):
        check_targets(switched_on, "net,crop", ["b"])
    with pytest.raises(ConfigError, match=r"'net' is a sweep of a and b, .*name one of them"):
        check_targets(switched_on, "net", ["search_a"])  # a search runs no sweeps
    with pytest.raises(ConfigError, match=r"'all' asks for the sweeps of a and b, "):
        check_targets(switched_on, "all", ["c"])


def test_a_crop_must_fit_into_the_smallest_image(tmp_path):
    for name, size in {"a/1.png": (64, 60), "a/2.png": (80, 70), "b/1.png": (64, 64)}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", size).save(tmp_path / name)
    (tmp_path / "a" / "notes.png").write_text("not a picture")
    dataset = DatasetSettings(name="small", path=str(tmp_path))
    assert ("a/1.png", (64, 60)) in list_frames(dataset)
    points = plan({"crop": {"preprocess.crop_px": [40, 61]}}).points
    with pytest.raises(ConfigError, match=r"61 px.*smallest image, a/1.png of 64×60 px.*most 60"):
        check_crops(dataset, points, "params.yaml: studies.x")
    check_crops(dataset, points[:1], "params.yaml: studies.x")
    # Rows of a data bar are not cut, where the settings say that there is one.
    check_crops(dataset, points[:1], "params.yaml: studies.x", {"crop_40": 20})
    bar = r"40 px is larger than .*a/1.png of 64×60 px without its data bar of 21 px; .* most 39"
    with pytest.raises(ConfigError, match=bar):
        check_crops(dataset, points[:1], "params.yaml: studies.x", {"crop_40": 21})


def test_sizes_of_very_many_images_are_read_here_and_there(tmp_path, monkeypatch, caplog):
    for name in "abcdefgh":
        (tmp_path / name).mkdir()
        Image.new("L", (64, 64)).save(tmp_path / name / "1.png")
    dataset = DatasetSettings(name="large", path=str(tmp_path))
    monkeypatch.setattr(logging.getLogger("batteryscope"), "propagate", True)
    monkeypatch.setattr(frame_sizes, "MOST_HEADERS", 4)
    names = [name for name, _ in list_frames(dataset, "params.yaml: studies.x")]
    assert names == ["a/1.png", "c/1.png", "e/1.png", "g/1.png"]
    assert "params.yaml: studies.x: of 8 images the sizes of 4 were read" in caplog.text


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"preprocess": {"crop_px": 5000}}, "preprocess.crop_px"),
        ({"arms": {"a": {"change": {"preprocess.crop_px": 5000}}}}, "arms.a.change"),
        ({"sweeps": {"size": {"preprocess.crop_px": [5000]}}}, "sweeps.size: preprocess.crop_px"),
    ],
)
def test_a_crop_too_large_for_generated_images_names_where_it_stands(tmp_path, changes, place):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(small_params(check=small_study())))
    if "sweeps" in changes:
        changes = changes | {"run_sweeps": ["size"]}
    overlay = {"studies": {"check": changes}}
    project = load_project(tmp_path / "params.yaml", overlay)
    with pytest.raises(ConfigError) as caught:
        check_project({n: plan_study(n, s) for n, s in image_studies(project).items()})
    told = name_source(str(caught.value), tmp_path / "params.yaml", {"mine.yaml": overlay})
    assert told.startswith(f"mine.yaml: studies.check.{place}")
    assert "5000 px" in told
    assert told.endswith("larger than the images of 160×144 px; choose at most 144.")


def test_names_of_values():
    assert [name_value(v) for v in (-1, 1e-5, 0.0, "", {"a": 1})] == [
        "m1", "0p00001", "0", "empty", "a_1"
    ]  # fmt: skip


def scores(arms):
    rows = [
        (arm, "", "", level, "accuracy", mean + (0.05 if level == "image" else 0), 0.02, 40)
        for arm, mean in arms.items()
        for level in ("tile", "image")
    ]
    columns = ["arm", "target", "domain", "level", "metric", "mean", "sd", "n"]
    return pd.DataFrame(rows, columns=columns).assign(backbone="net", paper=np.nan)


def make_points(swept):
    return [
        {"sweep": "s", "name": f"s_{i}", "base": "raw", "values": values, "arm": f"s_{i}"}
        for i, values in enumerate(swept)
    ]


def test_table_of_points_takes_scores_paper_and_time():
    points = make_points([{"preprocess.crop_px": 100}, {"preprocess.crop_px": 200}])
    points[1]["arm"] = "raw"
    history = pd.DataFrame({"seconds": [1.0, 3.0]})
    costs = summarise_epochs({"s_0": [history, history], "raw": [history]})
    paper = [PaperValue(metric="accuracy", level="tile", arm="s_1", value=0.9)]
    table = tabulate_points(points, scores({"s_0": 0.5, "raw": 0.6}), costs, paper)
    assert table["point"].tolist() == ["s_0", "s_0", "s_1", "s_1"]
    assert table["seconds_per_epoch"].tolist() == [2.0] * 4
    assert table["fits"].tolist() == [2, 2, 1, 1]
    assert json.loads(table["values"].iloc[0]) == {"preprocess.crop_px": 100}
    assert table["paper"].dropna().tolist() == [0.9]


@pytest.mark.parametrize(
    "swept",
    [
        [{"preprocess.crop_px": 100}, {"preprocess.crop_px": 200}],
        [{"model.grey_levels": "raw"}, {"model.grey_levels": "per_image"}],
        [{"a.b": x, "c.d": y} for x in (1, 2) for y in ("u", "v")],
        [{"a.b": x, "c.d": y, "e.f": z} for x in (1, 2) for y in (True, None) for z in (1, 2)],
    ],
)
def test_figures_and_tables_of_sweeps(swept):
    points = make_points(swept)
    arms = {point["name"]: 0.5 + 0.01 * i for i, point in enumerate(points)}
    costs = summarise_epochs({arm: [pd.DataFrame({"seconds": [2.0]})] for arm in arms})
    table = tabulate_points(points, scores(arms), costs)
    [picture] = draw_sweeps(table, generated=True)
    assert picture.name == "sweep_s"
    assert picture.png.startswith(b"\x89PNG")
    [shown] = show_sweeps(table)
    assert len(shown.rows) == len(points)
    assert shown.columns[-1] == "same work as"


@pytest.mark.workflow
def test_a_run_that_would_leave_a_sweep_out_says_so(make_sandbox):
    sweeps = {"rate": {"train.learning_rate": [1e-3, 1e-2]}}
    box = make_sandbox(small_params(one=small_study(sweeps=sweeps), two=small_study()))
    done = box.snakemake("-n", "--config", "sweeps=rate", "--", "two", check=False)
    assert done.returncode != 0
    assert done.stdout.splitlines()[-1] == (
        "ERROR: sweeps: 'rate' is a sweep of one, which this run (two) does not build; name it as "
        "a target, or leave the sweep out."
    )
    assert "compare_sweeps" in box.planned_rules("one", "--config", "sweeps=rate")
