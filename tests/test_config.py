"""Configuration: precedence of layers, and one clear sentence for every mistake."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from PIL import Image
from snakemake.utils import update_config

from batteryscope.config.merge import change_settings, merge_settings
from batteryscope.config.project import load_project
from batteryscope.config.schema import describe_setting, list_settings_classes, make_schema
from batteryscope.config.setting_meanings import WORDS
from batteryscope.config.study import StudySettings
from batteryscope.errors import BatteryscopeError, ConfigError
from batteryscope.plan import plan_study
from batteryscope.planning.checks import check_project
from tests.studies import image_studies

ROOT = Path(__file__).resolve().parent.parent
PARAMS = ROOT / "params.yaml"


def load(**study):
    return load_project(PARAMS, {"studies": {"cathode_state": study}} if study else {})


def test_demo_scale_replaces_paper_settings():
    demo = load_project(PARAMS).studies["cathode_state"]
    paper = load_project(PARAMS, {"scale": "paper"}).studies["cathode_state"]
    assert paper.model.backbone == "efficientnet_b7"
    assert paper.train.learning_rate == pytest.approx(3.5e-4)
    assert paper.train.batch_size == 10
    assert paper.preprocess.crop_px == 300
    assert demo.model.backbone != "efficientnet_b7"
    assert demo.demo == {}


def test_overlay_wins_over_demo_section():
    settings = load(train={"epochs": 3}).studies["cathode_state"]
    assert settings.train.epochs == 3
    assert settings.train.batch_size == 32  # of the demo section


def test_params_file_itself_is_valid_at_both_scales_and_checks():
    for scale in ("demo", "paper"):
        project = load_project(PARAMS, {"scale": scale})
        plans = {name: plan_study(name, study) for name, study in image_studies(project).items()}
        check_project(plans)


@pytest.mark.parametrize(
    ("study", "words"),
    [
        ({"train": {"learning_rte": 1}}, ["train.learning_rte", "'learning_rate'"]),
        ({"preproces": {}}, ["preproces", "'preprocess'"]),
        ({"train": {"epochs": 0}}, ["train.epochs", "found 0", "greater than 0"]),
        ({"train": {"optimiser": "lion"}}, ["train.optimiser", "'lion'", "'adam'"]),
        ({"model": {"grey_levels": "raws"}}, ["model.grey_levels", "'raws'", "'per_image'"]),
        ({"train": {"warmup_epochs": 9, "epochs": 5}}, ["train", "warmup_epochs 9"]),
        (
            {"split": {"scheme": "holdout", "test_fraction": 0.6, "validation_fraction": 0.5}},
            ["split", "leave nothing to train on"],
        ),
        ({"labels": 1}, ["labels", "unknown key"]),
        (
            {"dataset": {"labels": {"pattern": "(?P<composition>"}}},
            ["labels", "regular expression"],
        ),
        ({"dataset": {"labels": {"pattern": "ncm"}}}, ["labels.pattern", "(?P<composition>"]),
        (
            {"dataset": {"generator": {"kind": "sem"}}},
            ["dataset.generator.kind: found 'sem'", "'trivial'"],
        ),
        ({"dataset": {"generator": {"kind": "trivial", "classes": 1}}}, ["generator.classes:"]),
        ({"demo": 3}, ["cathode_state.demo: found 3", "mapping"]),
        ({"train": True}, ["cathode_state.train: found True", "mapping of settings."]),
        ({"main_arm": "best"}, ["main_arm 'best'", "per_image"]),
        ({"arms": {"baseline_x": {}}, "main_arm": "baseline_x"}, ["must not begin"]),
    ],
)
def test_mistake_is_one_sentence_naming_the_key(study, words):
    with pytest.raises(ConfigError) as error:
        load(**study)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith("params.yaml: ")
    for word in words:
        assert word in message


def load_and_check(**study):
    project = load(**study)
    check_project({name: plan_study(name, s) for name, s in image_studies(project).items()})


@pytest.mark.parametrize(
    ("study", "words"),
    [
        ({"preprocess": {"crop_px": 1000}}, ["crop_px", "1000", "512×384"]),
        ({"split": {"scheme": "kfold", "folds": 99}}, ["folds", "99", "15 images"]),
        ({"dataset": {"path": "data/raw/nowhere"}}, ["dataset.path", "data/raw/nowhere"]),
        (
            {"evaluate": {"paper": [{"metric": "accuracy", "value": 99.6}]}},
            ["evaluate.paper.0", "accuracy is a share", "0.996"],
        ),
        ({"evaluate": {"survey": "survey.csv"}}, ["survey", "does not exist"]),
        ({"model": {"weights": "no/such.pth"}}, ["model.weights", "no/such.pth"]),
        (
            {"arms": {"a": {"change": {"model.bakbone": "x"}}}, "main_arm": "a"},
            ["arms.a.change: model.bakbone", "'backbone'"],
        ),
        (
            {"arms": {"a": {"change": {"train.epochs.x": 1}}}, "main_arm": "a"},
            ["arms.a.change: train.epochs: found {'x': 1}"],
        ),
    ],
)
def test_impossible_combination_is_found_before_any_job(study, words):
    with pytest.raises(BatteryscopeError) as error:
        load_and_check(**study)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_more_folds_than_images_of_the_smallest_folder_class(tmp_path):
    for name, count in (("ncm333_pristine", 5), ("ncm811_pristine", 2)):
        (tmp_path / name).mkdir()
        for i in range(count):
            (tmp_path / name / f"{i}.png").touch()
    project = load(dataset={"path": str(tmp_path)}, split={"scheme": "kfold", "folds": 3})
    with pytest.raises(
        ConfigError, match=r"smallest class, '811_pristine', has 2 images.*kfold.*at least 3"
    ):
        check_project({n: plan_study(n, s) for n, s in image_studies(project).items()})


def test_class_with_a_single_image_is_found_before_any_job(tmp_path):
    for name, count in (("ncm333_pristine", 5), ("ncm811_pristine", 1)):
        (tmp_path / name).mkdir()
        for i in range(count):
            (tmp_path / name / f"{i}.png").touch()
    with pytest.raises(ConfigError, match=r"'811_pristine', has 1 image, but.*at least 3"):
        load_and_check(dataset={"path": str(tmp_path)}, split={"scheme": "holdout"})


def test_more_folds_than_specimens_of_the_smallest_folder_class(tmp_path):
    for specimen in ("a", "b"):
        folder = tmp_path / "ncm333_pristine" / specimen
        folder.mkdir(parents=True)
        for i in range(9):
            (folder / f"{i}.png").touch()
    labels = {"pattern": "ncm(?P<composition>[0-9]+)_(?P<state>[a-z]+)/(?P<specimen_id>[a-z]+)"}
    dataset = {"path": str(tmp_path), "labels": labels}
    kfold = {"scheme": "kfold", "folds": 3}
    with pytest.raises(ConfigError, match=r"has 2 specimens.*at least 3"):
        load_and_check(dataset=dataset, split=kfold)
    load_and_check(dataset=dataset, split=kfold | {"group": "image"})


def test_crop_larger_than_the_images_of_a_folder(tmp_path):
    for name, size in (("a", (90, 80)), ("b", (200, 150))):
        (tmp_path / name).mkdir()
        for i in (1, 2, 3):
            Image.new("L", size).save(tmp_path / name / f"{i}.png")
    (tmp_path / "a" / "0.png").write_text("no picture")
    dataset = {"path": str(tmp_path), "labels": {"pattern": None, "columns": ["class"]}}
    rest = {"evaluate": {"external": None}}
    load_and_check(dataset=dataset, preprocess={"crop_px": 150}, **rest)
    with pytest.raises(ConfigError, match=r"crop_px: 151 px.*200×150 px"):
        load_and_check(dataset=dataset, preprocess={"crop_px": 151}, **rest)


def test_data_set_known_to_dvc_but_absent_says_dvc_pull(tmp_path):
    (tmp_path / "x.dvc").write_text("outs: []")
    project = load(dataset={"path": str(tmp_path / "x")})
    with pytest.raises(ConfigError, match="dvc pull"):
        check_project({n: plan_study(n, s) for n, s in image_studies(project).items()})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"scale: demo\nstudies: [", r"not valid YAML \(line 2: expected .*\); correct the file"),
        (b"scale: d\xe9mo", "cannot be read .*UTF-8"),
        (b"- scale", "expected a mapping"),
        (b"scale: demo\nscale: paper", r"line 2: the key 'scale' occurs twice"),
    ],
)
def test_invalid_yaml_is_one_sentence(tmp_path, content, sentence):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=sentence):
        load_project(path)


def test_reserved_study_name_is_refused():
    study = yaml.safe_load(PARAMS.read_text())["studies"]["cathode_state"]
    with pytest.raises(ConfigError, match="'all' has a meaning of its own"):
        load_project(PARAMS, {"studies": {"all": study}})


def test_class_that_is_left_out_may_be_small(tmp_path):
    for name, count in (("ncm333_pristine", 5), ("ncm811_pristine", 2)):
        (tmp_path / name).mkdir()
        for i in range(count):
            (tmp_path / name / f"{i}.png").touch()
    kept = {"path": str(tmp_path), "where": {"composition": "333"}}
    load_and_check(dataset=kept, split={"scheme": "kfold", "folds": 3})


def test_merge_keeps_inputs_and_replaces_arms_as_a_whole():
    base = {"a": {"x": 1, "y": 2}, "arms": {"one": {}, "two": {}}}
    merged = merge_settings(base, {"a": {"y": 3}, "arms": {"three": {}}})
    assert merged == {"a": {"x": 1, "y": 3}, "arms": {"three": {}}}
    assert base["a"] == {"x": 1, "y": 2}


def test_merge_replaces_alternatives_of_another_kind():
    merged = merge_settings({"g": {"kind": "a", "n": 1}}, {"g": {"kind": "b", "m": 2}})
    assert merged == {"g": {"kind": "b", "m": 2}}


def test_dotted_changes():
    assert change_settings({"a": {"b": 1, "c": 2}}, {"a.b": 5}) == {"a": {"b": 5, "c": 2}}


def test_all_mistakes_are_told_at_once_a_line_each():
    with pytest.raises(ConfigError) as error:
        load(
            train={"epochs": "many", "optimiser": "adman"},
            preprocess={"data_bar": "top"},  # two alternatives, one mistake
            modle={},
        )
    lines = str(error.value).splitlines()
    assert all(line.startswith("params.yaml: studies.cathode_state.") for line in lines)
    assert [line.split(": ")[1].rpartition(".")[2] for line in lines] == [
        "data_bar", "epochs", "optimiser", "modle"
    ]  # fmt: skip
    assert lines[2].endswith("; did you mean 'adam'?")
    assert "did you mean 'model'?" in lines[3]


def test_tables_without_networks_have_one_for_every_target():
    overlay = yaml.safe_load((ROOT / "configs" / "nmc811_heterogeneity.yaml").read_text())
    name, study = next(iter(overlay["studies"].items()))
    study.pop("networks", None)
    for key in ("sweeps", "search", "demo"):
        study.pop(key, None)
    found = load_project(PARAMS, overlay).studies[name]
    assert set(found.networks) == set(found.dataset.targets)
    assert {network.nodes for network in found.networks.values()} == {3}


def test_schema_in_docs_is_up_to_date():
    written = json.loads((ROOT / "docs" / "params.schema.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(make_schema(), sort_keys=True)), "run `make schema`"


def test_schema_describes_every_setting():
    schema = make_schema()
    parts = [schema, *schema["$defs"].values()]
    told = {k: v["description"] for part in parts for k, v in part.get("properties", {}).items()}
    assert all(len(text) > 10 for text in told.values()), told
    classes = list_settings_classes()
    known = {f"{cls.__name__}.{key}" for cls in classes for key in cls.model_fields}
    assert set(WORDS) <= known | {name.partition(".")[2] for name in known}  # none of old keys
    assert told["early_stopping_epochs"].startswith("Training ends after so many epochs")
    assert describe_setting(StudySettings, "based_on").startswith("based_on: the study whose")


FILES = [ROOT / "params.yaml", *sorted((ROOT / "configs").glob("*.yaml"))]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_schema_accepts_whole_files_and_overlays(path):
    text = path.read_text(encoding="utf-8")
    head = f"$schema={'' if path.parent == ROOT else '../'}docs/params.schema.json"
    assert text.startswith(f"# yaml-language-server: {head}\n")
    check = jsonschema.Draft202012Validator(make_schema())
    assert list(check.iter_errors(yaml.safe_load(text))) == []
    wrong = {"studies": {"x": {"train": {"epoch": 3}}}}
    assert list(check.iter_errors(wrong))


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.name)
def test_overlays_in_configs_are_valid_as_their_commands_use_them(path):
    """Together with what the command in an overlay's head puts before it, merged by Snakemake."""
    head = re.search(r"--configfile ((?:configs/\S+ ?)+)", path.read_text(encoding="utf-8"))
    files = head[1].split()
    assert files[-1] == f"configs/{path.name}"
    together: dict = {}
    for file in files:
        update_config(together, yaml.safe_load((ROOT / file).read_text(encoding="utf-8")))
    project = load_project(PARAMS, together)
    for name, study in image_studies(project).items():
        plan_study(name, study)
