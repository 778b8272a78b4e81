"""A search in a study of tables: what candidates see and are worth, what can be run after it."""

import collections
import json

import optuna
import pandas as pd
import pytest
import yaml

from batteryscope.config.project import load_project
from batteryscope.config.table_study import TableSearchSettings, TableStudySettings
from batteryscope.errors import ConfigError
from batteryscope.planning.plan_table_sweeps import plan_table_sweeps
from batteryscope.samples import rows as samples_rows
from batteryscope.search.candidate import train_candidate
from batteryscope.search.plan import name_search
from batteryscope.search.plan_table_search import list_rungs, plan_table_search
from batteryscope.search.queue import create_queue, list_slots, load_queue, run_queue
from batteryscope.search.storage import open_storage
from batteryscope.search.table_candidate import TableCandidate, TableTrainer, keep_seen_rows
from batteryscope.tables.train_stack import GroupTraining
from batteryscope.tracking.runs import list_runs
from batteryscope.tracking.store import find_experiment, open_client
from tests.made_up_table_study import make_manifest, make_split, make_table_settings
from tests.search_programs import run_search_programs, track_search
from tests.test_config import PARAMS
from tests.tracking_study import copy_empty_store, load_script

ROWS = {"graphite": 60, "nmc": 40, "si_graphite": 40}
SPACE = {
    "networks.density.nodes": {"low": 2, "high": 6},
    "networks.hidden_layers": [1, 2],
    "train.learning_rate": {"low": 1e-3, "high": 0.1, "log": True},
}
SEARCH = {"space": SPACE, "trials": 4, "workers": 1, "min_epochs": 3, "max_epochs": 12}
STUDY = "electrodes"


class Killed(BaseException):
    """What a test throws where a process would end."""


def make_study(**search):
    study = make_table_settings().model_dump(mode="json")
    study["train"] |= {"epochs": 12, "restarts": 1}
    return TableStudySettings.model_validate(study | {"search": SEARCH | search})


def judge(settings, rows):
    return TableCandidate(settings, rows).finish()


@pytest.fixture(scope="module")
def tables():
    manifest = make_manifest(ROWS)
    return manifest, make_split(manifest)


@pytest.fixture(scope="module")
def rows(tables):
    return keep_seen_rows(*tables)


def test_the_test_rows_are_never_seen(tables, rows):
    manifest, split = tables
    tested = set(split.loc[(split["repeat"] == 0) & (split["role"] == "test"), "sample_id"])
    assert tested
    assert not tested & (set(rows.manifest["sample_id"]) | set(rows.split["sample_id"]))
    assert set(rows.split["role"]) == {"train", "validation"}
    assert set(rows.split["repeat"]) == {0}
    assert len(rows.manifest) == len(manifest) - len(tested)
    # A candidate is worth the same whatever stands in the test rows.
    spoilt = manifest.copy()
    spoilt.loc[spoilt["sample_id"].isin(tested), ["density", "mass_loading", "roll_gap"]] = 1e6
    settings = plan_table_search(STUDY, make_study()).change({"train.epochs": 3})
    assert judge(settings, rows) == judge(settings, keep_seen_rows(spoilt, split))


def test_a_candidate_is_worth_what_the_study_gets_with_its_settings(tables, rows, tmp_path):
    """The last rung is the training of the study itself, on the validation rows."""
    manifest, split = tables
    manifest.to_parquet(tmp_path / "manifest.parquet")
    split.to_parquet(tmp_path / "split.parquet")
    study = make_study()
    own = study.model_copy(update={"search": None})
    (tmp_path / "study.json").write_text(own.model_dump_json())
    arguments = ["--manifest", "manifest.parquet", "--split", "split.parquet", "--out", "networks"]
    arguments = [a if a.startswith("--") else str(tmp_path / a) for a in arguments]
    settings = ["--settings", str(tmp_path / "study.json")]
    assert (
        load_script("train_stage").main(
            ["--by", samples_rows.ROWS.modules.train, *arguments, *settings]
        )
        == 0
    )
    table = pd.read_parquet(tmp_path / "networks/predictions.parquet")
    judged = table[
        (table["arm"] == "adapter") & (table["role"] == "validation") & (table["repeat"] == 0)
    ]
    error = 100 * (judged["y_pred"] / judged["y_true"] - 1).abs()
    places = error.groupby([judged["target"], judged["domain"]]).mean()
    assert len(places) == 4
    worth = judge(plan_table_search(STUDY, study).change({}), rows)
    assert worth == pytest.approx(places.mean(), rel=1e-9)


class Told:
    """A listener that remembers, and may die."""

    def __init__(self, dies_at=None):
        self.dies_at, self.epochs = dies_at, []

    def log_epoch(self, epoch, metrics):
        if epoch + 1 == self.dies_at:
            raise Killed
        self.epochs.append(epoch + 1)
        assert set(metrics) == {"val_mape"}

    def finish(self, status):
        pass


def test_a_killed_candidate_is_tried_again_from_its_first_look(tmp_path, rows):
    plan = plan_table_search(STUDY, make_study(heartbeat_s=1))
    assert plan.list_rungs("asha") == [3, 9, 12]
    assert plan.list_rungs("random") == [12]
    url = f"sqlite:///{tmp_path}/search.db"
    storage = open_storage(url, 1, 3)
    create_queue(storage, url, "s", "minimize", 1)
    queue = load_queue(storage, url, "s", pruner=optuna.pruners.NopPruner())
    trainer = TableTrainer(plan, rows, "asha")

    def train(listener):
        return lambda trial: train_candidate(trial, plan, trainer, tmp_path, lambda *_: listener)

    with pytest.raises(Killed):
        run_queue(queue, train(Told(dies_at=9)), 1)
    told = Told()
    assert run_queue(queue, train(told), 0.5) == 1
    assert told.epochs == [3, 9, 12]
    [trial] = list_slots(queue.study).values()
    assert trial.state.name == "COMPLETE"
    assert list(trial.intermediate_values) == [3, 9, 12]
    assert trial.value == trial.intermediate_values[12]
    assert trial.user_attrs["epochs"] == 12


@pytest.mark.parametrize("arm", ["adapter", "fine_tuning", "scratch", "pretrained"])
def test_a_candidate_goes_on_from_look_to_look(rows, tmp_path, monkeypatch, arm):
    """No network has more than all epochs, and the looks in between change nothing."""
    spent = collections.Counter()
    advance = GroupTraining.advance

    def count(group, epochs):
        spent.update({task.name: epochs for task in group.tasks})
        advance(group, epochs)

    monkeypatch.setattr(GroupTraining, "advance", count)
    plan = plan_table_search(STUDY, make_study(arm=arm))
    told = Told()
    values = {"train.learning_rate": 0.03}
    trained = TableTrainer(plan, rows, "asha").train(0, values, tmp_path, told)
    assert told.epochs == [3, 9, 12]
    assert set(spent.values()) == {12}
    assert trained.epochs == 12
    at_once = TableTrainer(plan, rows, "random").train(0, values, tmp_path, Told())
    assert at_once.value == trained.value


def write_tables(folder, tables):
    manifest, split = tables
    manifest.to_parquet(folder / "manifest.parquet")
    split.to_parquet(folder / "split.parquet")
    study = make_study().model_dump(mode="json")
    (folder / "params.yaml").write_text(yaml.safe_dump({"studies": {STUDY: study}}))
    study = load_project(folder / "params.yaml").studies[STUDY]
    (folder / "study.json").write_text(study.model_dump_json())


def test_programs_search_and_the_best_can_be_run(tables, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tables(tmp_path, tables)
    uri = copy_empty_store(tmp_path)
    study = ["--study", STUDY, "--settings", "study.json"]
    data = ["--manifest", "manifest.parquet", "--split", "split.parquet"]
    run_search_programs(tmp_path, study, ["split.parquet", "manifest.parquet"], data, uri)

    facts = json.loads((tmp_path / "summary/search.json").read_text())
    asha, random = facts["strategies"]
    assert asha["candidates"] == 4
    assert asha["stopped_early"] >= 1
    assert asha["trained_to_the_end"] + asha["stopped_early"] == 4
    candidates = pd.read_csv(tmp_path / "summary/candidates.csv")
    spent = candidates[candidates["strategy"] == "asha"]["epochs"]
    assert set(spent) <= {3, 9, 12}
    assert asha["epochs"] == spent.sum()
    assert random["epochs"] == 12 * random["candidates"] == 12 * max(1, round(spent.sum() / 12))
    assert (candidates["networks.density.nodes"] % 1 == 0).all()
    page = (tmp_path / "summary/search.html").read_text()
    assert "no test row was read" in page
    assert "test rows of other repeats" in page
    assert "image" not in page.split("<body")[1].split("data:image")[0]
    figures = {path.stem for path in (tmp_path / "summary/figures").glob("*.png")}
    assert {"asha_and_random", "history", "intermediate_values", "importance"} <= figures

    overlay = yaml.safe_load((tmp_path / "summary/best.yaml").read_text())
    study = load_project(tmp_path / "params.yaml", overlay).studies[STUDY]
    configured, found = plan_table_sweeps(STUDY, study).points
    assert configured.arm == "adapter"  # the study's own networks, trained once
    best = plan_table_sweeps(STUDY, study).work[found.arm]
    values = facts["best"]["values"]
    assert best.train.learning_rate == values["train.learning_rate"]
    assert best.networks["density"].nodes == values["networks.density.nodes"]
    assert {n.hidden_layers for n in best.networks.values()} == {values["networks.hidden_layers"]}
    worth = judge(best, keep_seen_rows(*tables))
    assert worth == pytest.approx(facts["best"]["value"], rel=1e-12)

    assert track_search(tmp_path, STUDY, uri) == 0
    client = open_client(uri)
    runs = list_runs(client, find_experiment(client, uri, STUDY))
    assert len(runs) == 4 + random["candidates"] + 2  # and no live run is left
    winner = next(run for run in runs if run.data.tags.get("best") == "true")
    assert winner.data.metrics["best_val_mape"] == facts["best"]["value"]


@pytest.mark.parametrize(
    ("search", "words"),
    [
        ({"space": {"train.learning_rate": {"low": 1, "high": 0.1}}}, "low 1 is not below high"),
        ({"space": {"train.learning_rate": []}}, "train.learning_rate has an empty list"),
        ({"space": {"train.learning_rats": [1]}}, "did you mean 'train.learning_rate'"),
        ({"space": {"networks.density_g_cm3.node": [1]}}, "did you mean 'networks.nodes'"),
        ({"space": {"networks.densty.nodes": [1]}}, "is no setting of an arm"),
        ({"space": {"split.test_fraction": [0.1, 0.2]}}, "sweep it, or search networks, train"),
        ({"space": {"train.epochs": [1, 2]}}, "best epoch"),
        ({"space": {"networks.density_g_cm3.nodes": [2], "networks.nodes": [2]}}, "same setting"),
        ({"arm": "nobody"}, "search.arm 'nobody'"),
        ({"min_epochs": 9, "max_epochs": 3}, "min_epochs 9 is above"),
        ({"metric": "val_accuracy"}, "search.metric: found 'val_accuracy'"),
        ({"space": {"networks.nodes": [0, 2]}}, "search.space.networks.nodes"),
        ({"space": {"networks.nodes": {"low": 1.5, "high": 4}}}, "search.space.networks.nodes"),
    ],
)
def test_bad_search(search, words):
    name = "electrode_manufacturing"
    own = {"space": {"train.batch_size": [8]}} | search

    def plan():
        studies = load_project(PARAMS, {"studies": {name: {"search": own}}}).studies
        return plan_table_search(name, studies[name])

    with pytest.raises(ConfigError) as caught:
        plan()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_ready_made_searches_of_tables_are_possible():
    for scale, rungs in {"demo": [2, 6, 18, 20], "paper": [2, 6, 18, 20]}.items():
        studies = load_project(PARAMS, {"scale": scale}).studies
        for name in ("electrode_manufacturing", "gdl_tortuosity"):
            plan = plan_table_search(name, studies[name])
            assert plan.list_rungs("asha") == rungs
            assert plan.settings.is_error
            whole = [key for key in plan.settings.space if key.startswith("networks.")]
            assert all(plan.settings.is_integer(key, plan.recipe) for key in whole)
    assert plan_table_search("none", make_table_settings()) is None


def test_name_of_a_search_changes_with_what_decides_its_values():
    def name(data="d", **changes):
        return name_search(plan_table_search(STUDY, make_study(**changes)), "asha", data)

    assert name() == name(trials=60, workers=4)  # the same search, continued
    assert len({name(), name("e"), name(seed=2), name(max_epochs=9), name(arm="scratch")}) == 5


def test_the_space_of_an_overlay_replaces_the_ready_made_one():
    own = {"search": {"space": {"networks.nodes": [2, 3]}}}  # not beside those of single targets
    studies = load_project(PARAMS, {"studies": {"electrode_manufacturing": own}}).studies
    assert list(studies["electrode_manufacturing"].search.space) == ["networks.nodes"]
    assert studies["electrode_manufacturing"].search.trials == 12


def test_rungs_end_with_all_epochs():
    search = TableSearchSettings(space={"train.batch_size": [8]}, min_epochs=5, max_epochs=45)
    assert list_rungs(search) == [5, 15, 45]
