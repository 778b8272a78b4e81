"""What jobs are given: inputs, settings, code and cores, asked as Snakemake asks."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from batteryscope.config.json_text import read_settings
from batteryscope.config.own_study import check_recipes
from batteryscope.config.study import StudySettings
from batteryscope.errors import ConfigError
from batteryscope.planning.check_run import check_run
from batteryscope.planning.job_inputs import JobInputs, list_weights, match_names, open_project
from batteryscope.provenance import PROJECT_ROOT
from batteryscope.search.job_inputs import find_searches
from batteryscope.workflow.job_code import JobCode, OtherVersionError, find_installed
from batteryscope.workflow.job_requests import JobRequests, MeasuredJobs, share_cores
from tests.small_params import small_params, small_study

OWN = {"name": "own", "path": "pictures", "labels": {"source": "folders"}}
SEARCH = {
    "metric": "val_accuracy", "arm": "per_image", "trials": 2, "workers": 2, "max_epochs": 4,
    "space": {"train.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
}  # fmt: skip


def ask(study: str, **names: str) -> SimpleNamespace:
    return SimpleNamespace(study=study, **names)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> JobInputs:
    folder = tmp_path_factory.mktemp("project")
    own = small_study()
    own["dataset"] = OWN | {"path": str(folder / "pictures")}
    params = small_params(made=small_study(), own=own)
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (folder / "pictures").mkdir()
    (folder / "pictures/a.png").write_bytes(b"no picture, but a file")
    return open_project(folder / "params.yaml", {}, folder / "work")


def test_generated_pictures_are_an_input_and_those_of_a_user_are_not(jobs) -> None:
    made = jobs.layouts["made"]
    assert jobs.generated_images(ask("made", source="data")) == made.data.images
    assert jobs.generated_images(ask("made")) == made.data.images
    assert jobs.generated_images(ask("own")) == []
    assert jobs.find_dataset(ask("own")).endswith("/pictures")
    assert jobs.label_simulation(ask("made", source="data")) == []
    assert jobs.label_options(ask("made"), SimpleNamespace(simulated=[])) == []


def test_an_edited_picture_of_a_user_is_noticed(jobs) -> None:
    assert jobs.list_pictures(ask("made", source="data")) == ""
    assert jobs.list_pictures(ask("own", source="data"))


def test_a_file_of_settings_has_what_one_job_depends_on(jobs) -> None:
    whole = read_settings(StudySettings, jobs.study_file(ask("made")))
    assert whole.title == "check set"
    reduced = jobs.settings_without("title", "explain")(ask("made"))
    assert Path(reduced).parent == jobs.layouts["made"].settings
    assert read_settings(StudySettings, reduced).title == ""
    model = jobs.setting_of("model", lambda w: jobs.study_of(w).model)(ask("made"))
    assert json.loads(Path(model).read_text())["backbone"] == "test_resnet"


def test_stages_know_their_check_balance_and_parents(jobs) -> None:
    [(chain, stage)] = jobs.plan_of(ask("made")).stages.items()
    assert jobs.stage_of(ask("made", chain=chain)) is stage
    assert jobs.check_of(ask("made", check=stage.check_id)) == stage.check
    assert jobs.balance_of(ask("made", balance=stage.balance_id)) == stage.balance
    assert jobs.list_parents(ask("made", chain=chain)) == []
    assert jobs.count_gpus(ask("made")) == 1
    assert list_weights("imagenet") == []
    assert list_weights("a/b.pt") == ["a/b.pt"]


def test_patterns_name_the_studies_of_a_kind_or_none(jobs) -> None:
    assert jobs.learning_from("tiles") == "made|own"
    assert jobs.learning_from("rows") == match_names([]) == "(?!)"


def test_searches_have_their_inputs_by_strategy(jobs) -> None:
    assert find_searches(jobs).searches == {}
    study = read_settings(StudySettings, jobs.study_file(ask("made")))
    searching = study.model_validate(study.model_dump(mode="json") | {"search": SEARCH})
    project = jobs.project.model_copy(update={"studies": {"made": searching}})
    searches = find_searches(JobInputs(project, jobs.layouts, jobs.data_versions))
    layout = jobs.layouts["made"].search
    assert searches.studies == "made"
    assert searches.storage_of(ask("made")) == f"sqlite:///{layout.database.as_posix()}"
    assert searches.find_finished_asha(ask("made", strategy="asha")) == []
    finished = searches.find_finished_asha(ask("made", strategy="random"))
    assert finished == [*(layout.worker("asha", i) for i in (0, 1)), layout.created("asha")]
    assert searches.find_reached(ask("made", strategy="asha")) == []
    assert searches.find_input("rows")(ask("made")) == []


def test_a_run_of_a_recipe_is_refused_as_before(jobs) -> None:
    assert check_run(jobs.project, {}, None, ["made"], None) == []
    with pytest.raises(ConfigError) as told:
        check_run(jobs.project, {"gone": {}}, None, ["gone"], None)
    with pytest.raises(ConfigError) as expected:
        check_recipes({"gone": {}}, {"made": None, "own": None}, ["gone"])
    assert str(told.value) == str(expected.value)


def test_code_is_named_from_the_folder_of_the_run(tmp_path: Path) -> None:
    code = JobCode(PROJECT_ROOT, PROJECT_ROOT, tmp_path)
    assert code.program_of("train_stage") == "workflow_scripts/train_stage.py"
    elsewhere = JobCode(PROJECT_ROOT, tmp_path, tmp_path)
    assert elsewhere.program_of("x") == f"{PROJECT_ROOT}/workflow_scripts/x.py"
    listed = json.loads(Path(code.code_of("train_stage")).read_text())
    assert "batteryscope/tracking/live.py" in listed
    spared = json.loads(Path(code.code_of("train_stage", leave_out="tracking")).read_text())
    assert set(listed) - set(spared) == {n for n in listed if n.split("/")[1] == "tracking"}
    named = json.loads(Path(code.module_code("batteryscope.seeds")).read_text())
    assert "batteryscope/seeds.py" in named


def test_rules_of_another_version_start_no_programs() -> None:
    def read(file: str) -> str:
        return (PROJECT_ROOT / "rules" / file).read_text(encoding="utf-8")

    assert find_installed(read) == PROJECT_ROOT
    with pytest.raises(OtherVersionError, match=r"\.smk: found another version of Batteryscope"):
        find_installed(lambda file: read(file) + "x")


def test_on_a_cluster_jobs_ask_for_what_earlier_ones_took() -> None:
    measured = {("train_stage", "mine"): MeasuredJobs(seconds=900, memory_mb=3000)}
    here = JobRequests(lambda: measured, on_cluster=False)
    assert (here.ask_memory("train_stage", 6000), here.ask_minutes("train_stage")) == (6000, 60)
    there = JobRequests(lambda: measured, on_cluster=True)
    assert there.ask_memory("train_stage", 6000)(ask("mine"), 1) == 4500
    assert there.ask_memory("train_stage", 6000)(ask("other"), 2) == 12000
    assert there.ask_minutes("train_stage")(ask("mine"), 1) == 45


def test_cores_are_shared_by_the_studies_that_are_asked_for() -> None:
    assert share_cores(8, ["a"], ["a", "b"]) == 8
    assert share_cores(8, [], ["a", "b"]) == 4
    assert share_cores(1, [], ["a", "b"]) == 1
