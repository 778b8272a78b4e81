"""Studies of users' own beside the demo: names, what they take over, whose results stay."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.cli import get_argument_parser

from batteryscope.config.merge import merge_settings
from batteryscope.config.own_study import check_recipes, complete_studies
from batteryscope.config.project import Project, load_project
from batteryscope.core.run_options import describe_options
from batteryscope.errors import ConfigError
from batteryscope.workflow.kinds_of_run import (
    NOT_PUBLISHING,
    SHOWING,
    may_publish,
    shows_only,
)
from batteryscope.workflow.publication import publish_folder
from batteryscope.workflow.replaced_results import (
    UNKNOWN_PLACE,
    Publication,
    check_replaced,
    read_origin,
)
from tests.conftest import ROOT
from tests.studies import image_studies

PARAMS = ROOT / "params.yaml"
GOOD_BAD = {"pattern": "(?P<quality>good|bad)", "columns": ["quality"]}


def load(*overlays: Any) -> Project:
    """Load params.yaml with overlays: files of configs/, or studies as mappings."""
    merged: dict[str, Any] = {}
    for overlay in overlays:
        given = (
            yaml.safe_load((ROOT / "configs" / overlay).read_text())
            if isinstance(overlay, str)
            else {"studies": overlay}
        )
        merged = merge_settings(merged, given)
    return load_project(PARAMS, merged)


def own(path: str, based_on: str = "cathode_state", **more: Any) -> dict[str, Any]:
    data = {"name": Path(path).name, "path": path, "labels": GOOD_BAD}
    return {"based_on": based_on, "title": f"Mine: {path}", "dataset": data, **more}


def test_two_own_studies_and_the_demo_side_by_side():
    project = load({"first": own("data/a"), "second": own("data/b", train={"epochs": 3})})
    assert {"cathode_state", "first", "second"} <= set(project.studies)
    demo, first = project.studies["cathode_state"], project.studies["first"]
    assert first.title == "Mine: data/a"
    assert first.dataset.generator is None
    assert first.dataset.labels.columns == ["quality"]
    assert first.train == demo.train
    assert first.arms == demo.arms
    assert (first.data_origin, demo.data_origin) == ("data/a", "")
    # Nothing that was measured on other data.
    assert demo.evaluate.paper
    assert demo.evaluate.external is not None
    assert first.evaluate.external is None
    assert not first.evaluate.paper
    assert not any(sweep.paper for sweep in first.sweeps.values())
    assert (first.paper_role, first.paper_of_data) == ("design", "")
    assert first.paper == demo.paper  # to be cited for the design


def test_a_recipe_that_overlays_change_is_no_study_of_the_run():
    project = load("sem_ncm.yaml", {"mine": own("data/a")})
    assert "cathode_state" not in project.studies  # neither its data are needed nor its place
    mine = project.studies["mine"]
    assert mine.model.backbone == "tf_efficientnet_lite0"
    assert mine.split.near_duplicates == "group"
    assert mine.dataset.expected_size_px is None
    alone = load("sem_ncm.yaml")
    assert "cathode_state" in alone.studies
    assert mine.train == alone.studies["cathode_state"].train


def test_what_a_study_of_params_builds_on_stays_when_overlays_change_it():
    base, mine = {"kind": "image", "train": {}}, own("data/a", "base")
    both = {"base": base, "mine": mine}
    assert set(complete_studies(both, {"base": {"train": {}}}, "params.yaml")) == {"base", "mine"}
    assert set(complete_studies(both, both, "params.yaml")) == {"mine"}


def test_a_recipe_as_a_target_gives_a_sentence():
    studies = {"mine": "cathode_state", "gdl_tortuosity": None}
    overlaid = {"mine": {}, "cathode_state": {}}
    check_recipes(overlaid, studies, ["mine", "all", "search_mine", "work/mine/published.json"])
    for target in ("cathode_state", "search_cathode_state", "work/cathode_state/published.json"):
        with pytest.raises(ConfigError, match="name mine as the target"):
            check_recipes(overlaid, studies, [target])


def test_own_arms_bring_no_main_arm_of_others():
    mine = load({"mine": own("data/a", arms={"only": {}})}).studies["mine"]
    assert list(mine.arms) == ["only"]
    assert mine.best_known_arm == "only"


def test_values_of_the_paper_stand_beside_its_data_and_classes_only():
    papers = load("sem_ncm.yaml").studies["cathode_state"]
    assert papers.evaluate.paper
    assert papers.paper_role == "source"
    assert papers.title.startswith("Composition and cycling state")

    data = {"name": "my_frames", "path": "data/raw/mine", "labels": GOOD_BAD}
    other = load("sem_ncm.yaml", {"cathode_state": {"dataset": data}}).studies["cathode_state"]
    assert not other.evaluate.paper
    assert other.title == "my frames"
    assert other.paper_role == "design"

    fewer = {"dataset": {"labels": {"columns": ["state"]}}}
    assert (
        not load("sem_ncm.yaml", {"cathode_state": fewer}).studies["cathode_state"].evaluate.paper
    )

    stated = load("optical_microscopy.yaml").studies["cathode_state"]
    assert [value.value for value in stated.evaluate.paper] == [0.98]
    assert not any(
        "best" in arm.label for s in image_studies(load()).values() for arm in s.arms.values()
    )


def test_tables_keep_columns_and_bring_files():
    files = [{"path": "data/g.csv", "domain": "graphite"}, {"path": "data/n.csv", "domain": "nmc"}]
    mine = load(
        {
            "rows": {
                "based_on": "electrode_manufacturing",
                "title": "Mine",
                "dataset": {"name": "mine", "files": files, "source": "graphite"},
            }
        }
    ).studies["rows"]
    assert [file.path for file in mine.dataset.files] == ["data/g.csv", "data/n.csv"]
    assert "density_g_cm3" in mine.dataset.targets
    assert mine.dataset.generator is None
    assert not mine.evaluate.paper
    assert mine.data_origin == "data/g.csv; data/n.csv"


@pytest.mark.parametrize(
    ("studies", "sentence"),
    [
        ({"cathode_sate": {"train": {"epochs": 3}}}, "did you mean 'cathode_state'"),
        ({"cathode_sate": {"title": "Mine"}}, "did you mean 'cathode_state'"),
        ({"mine": {"based_on": "cathode_state"}}, "studies.mine.title: found none"),
        (
            {"mine": own("a", "cathode")},
            "'cathode', which is no other study; did you mean 'cathode_state'",
        ),
        ({"a": own("a"), "b": own("b", "a")}, "'a' is itself based on 'cathode_state'"),
        ({"a": own("a", "gdl_tortuosity", kind="image")}, "is of the kind 'table'"),
    ],
)
def test_a_wrong_base_gives_a_sentence(studies, sentence):
    with pytest.raises(ConfigError) as error:
        load(studies)
    assert sentence in str(error.value)


def publish(folder: Path, study: str, origin: str | None, generated: bool = False) -> None:
    source = folder / "work" / study
    source.mkdir(parents=True)
    (source / "summary.json").write_text(json.dumps({"generated": generated}))
    publish_folder(source, folder / "reports" / study, origin)


def test_results_are_not_replaced_by_those_of_other_data(tmp_path):
    publish(tmp_path, "mine", "data/a")
    reports = tmp_path / "reports"
    assert read_origin(reports / "mine") == "data/a"
    assert check_replaced(reports, {"mine": Publication("data/a", False)}, []) == []
    for origin, advice in (("data/b", "based_on: mine"), ("", "name the overlay")):
        study = {"mine": Publication(origin)}
        for targets in ([], ["mine"], ["all"], ["work/mine/published.json"]):
            with pytest.raises(ConfigError, match="results of the data in data/a") as error:
                check_replaced(reports, study, targets)
            assert advice in str(error.value)
            assert "--config replace=mine" in str(error.value)
        assert check_replaced(reports, study, ["other", "work/mine/data/manifest.parquet"]) == []
        assert check_replaced(reports, study, [], "mine") == []


def test_results_whose_place_was_not_noted_are_those_of_a_user(tmp_path):
    publish(tmp_path, "mine", None, generated=False)  # published before origins were noted
    reports = tmp_path / "reports"
    assert read_origin(reports / "mine") == UNKNOWN_PLACE
    with pytest.raises(ConfigError, match=r"data of your own, .*name the overlay"):
        check_replaced(reports, {"mine": Publication("")}, [])
    [told] = check_replaced(reports, {"mine": Publication("data/a", False)}, [])
    assert "replaces them by those of the data in data/a" in told


def test_the_same_data_are_known_however_they_are_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    publish(tmp_path, "mine", "data/a.csv")
    reports = tmp_path / "reports"
    same = ("data/a.csv; data/b.csv", str(tmp_path / "data/a.csv"), "link/a.csv")
    for origin in same:
        assert check_replaced(reports, {"mine": Publication(origin, False)}, []) == []
    for origin in ("data/b.csv", ""):
        with pytest.raises(ConfigError):
            check_replaced(reports, {"mine": Publication(origin, False)}, [])
    publish(tmp_path, "two", "data/a.csv; data/b.csv")
    with pytest.raises(ConfigError):  # one table less
        check_replaced(reports, {"two": Publication("data/a.csv", False)}, [])


def test_advice_can_be_followed(tmp_path):
    publish(tmp_path, "mine", "data/gone")
    publish(tmp_path, "there", str(tmp_path))
    reports = tmp_path / "reports"
    study = Publication("data/b", False, "cathode_state")
    with pytest.raises(ConfigError) as error:
        check_replaced(reports, {"mine": study}, [])
    assert "another name (based_on: cathode_state)" in str(error.value)  # not on this study
    assert "where the same data were moved" in str(error.value)
    with pytest.raises(ConfigError) as error:
        check_replaced(reports, {"there": study}, [])
    assert "moved" not in str(error.value)


def test_an_own_study_may_begin_with_generated_data(tmp_path):
    publish(tmp_path, "mine", "")
    study = {"mine": Publication("data/a", False, "cathode_state")}
    [told] = check_replaced(tmp_path / "reports", study, [])
    assert "results of generated data" in told


def test_generated_results_make_room_for_the_papers_data_alone(tmp_path):
    publish(tmp_path, "demo", None, generated=True)  # published before origins were noted
    reports = tmp_path / "reports"
    assert read_origin(reports / "demo") == ""
    assert read_origin(reports / "none") is None
    [told] = check_replaced(reports, {"demo": Publication("data/raw/sem_ncm")}, ["demo"])
    assert "results of generated data" in told
    with pytest.raises(ConfigError, match="generated data"):
        check_replaced(reports, {"demo": Publication("data/mine", is_papers=False)}, ["demo"])


def ask(*words: str) -> Any:
    return get_argument_parser().parse_known_args([*words])[0]


def test_only_what_publishes_is_kept_from_replacing_results():
    assert {*SHOWING, *NOT_PUBLISHING} <= {a.dest for a in get_argument_parser()._actions}
    for words in ([], ["mine"], ["-n"], ["-F", "mine"], ["--rerun-incomplete"]):
        assert may_publish(ask("--cores", "1", *words)), words
    for words in (
        ["--unlock"],
        ["--report"],
        ["--touch"],
        ["--cleanup-metadata", "a"],
        ["--delete-all-output"],
        ["--lint"],
    ):
        assert not may_publish(ask(*words)), words
    assert [shows_only(ask(word)) for word in ("-n", "--lint", "--unlock")] == [True, True, False]


def test_a_run_is_told_as_it_was_typed_without_where_it_was_recorded():
    here = Path("/p")
    given = [here / "configs/sem_ncm.yaml", Path("/home/me/my own.yaml")]
    assert describe_options(
        given, ["sweeps=all", "tracking={'uri': 'http://me:secret@x'}"], here
    ) == ("--configfile configs/sem_ncm.yaml '/home/me/my own.yaml' --config sweeps=all")
    assert describe_options([], ["replace=mine"], here) == ""


def test_a_told_run_holds_no_password():
    storage = "studies={cathode_state: {search: {storage: postgresql://u:pw@h/d}}}"
    told = describe_options([], [storage], Path("/p"))
    assert "pw" not in told
    assert "postgresql://***@h/d" in told
    plain = "studies={cathode_state: {seed: 3}}"
    assert plain in describe_options([], [plain], Path("/p"))
