"""A search with real (tiny) networks: what it reads, what it writes, what can be run after it."""

import json
import logging
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pandas as pd
import pytest
import yaml

from batteryscope.config.project import load_project
from batteryscope.config.search import SearchSettings
from batteryscope.config.study import StudySettings
from batteryscope.errors import ConfigError
from batteryscope.plan import plan_study
from batteryscope.search.candidate import train_candidate
from batteryscope.search.plan import name_search
from batteryscope.search.plan_search import StageSearch, change_stage, plan_search
from batteryscope.search.queue import create_queue, list_slots, load_queue, run_queue
from batteryscope.search.sampling import count_random_trials, make_pruner, make_sampler
from batteryscope.search.stage_candidate import StageTrainer, keep_seen_part, plan_candidate
from batteryscope.search.storage import open_storage
from batteryscope.tilestore import TileWriter, write_index
from batteryscope.tracking.runs import list_runs
from batteryscope.tracking.store import find_experiment, open_client
from tests.search_programs import run_search_programs, track_search
from tests.small_params import small_params, small_study
from tests.test_config import PARAMS
from tests.texture_fits import make_data, make_settings
from tests.tracking_study import copy_empty_store, load_script

SPACE = {
    "train.learning_rate": {"low": 1e-4, "high": 3e-2, "log": True},
    "train.batch_size": {"low": 4, "high": 8},
    "balance.method": ["none", "oversample"],
}
SEARCH = {"space": SPACE, "trials": 5, "workers": 1, "max_epochs": 3, "heartbeat_s": 5}
SEARCH["metric"] = "val_loss"  # of so few validation tiles many accuracies are equal


class Killed(BaseException):
    """What a test throws where a process would end."""


class WatchedTiles(np.ndarray):
    """Tiles that remember which of them were read."""

    read: list

    def __getitem__(self, rows):
        if isinstance(rows, np.ndarray):
            self.read.extend(rows.tolist())
        return np.asarray(super().__getitem__(rows))


def test_the_test_part_is_never_read():
    tiles, index, manifest, split, _ = make_data()
    watched = tiles.view(WatchedTiles)
    watched.read = []
    data = keep_seen_part(manifest, split, index, watched)
    tested = set(split.loc[split["role"] == "test", "sample_id"])
    untouched = set(index.loc[index["sample_id"].isin(tested), "tile"])
    assert tested
    assert not untouched & set(watched.read)
    assert not tested & (set(data.index["sample_id"]) | set(data.split["sample_id"]))
    assert set(data.split["role"]) == {"train", "validation"}
    # Training and validation see their own kind of tile, as in any other training.
    for role, kind in {"train": "random", "validation": "grid"}.items():
        own = set(split.loc[split["role"] == role, "sample_id"])
        assert set(data.index.loc[data.index["sample_id"].isin(own), "kind"]) == {kind}
    _, task = plan_candidate(data, make_settings(), None)
    for tile_set in (task.training, task.validation):
        assert not tested & set(tile_set.sample_ids)
        samples = data.index.set_index("tile").loc[tile_set.rows, "sample_id"]
        assert (samples == tile_set.sample_ids).all()
    # A value that only test tiles have is nowhere in what candidates get.
    marked = tiles.copy()
    marked[sorted(untouched)] = 255
    np.testing.assert_array_equal(data.tiles, keep_seen_part(manifest, split, index, marked).tiles)


def test_a_killed_candidate_goes_on_after_its_last_epoch(tmp_path, caplog, monkeypatch):
    tiles, index, manifest, split, _ = make_data()
    data = keep_seen_part(manifest, split, index, tiles)
    search = SearchSettings.model_validate(SEARCH | {"trials": 1, "heartbeat_s": 1})
    url = f"sqlite:///{tmp_path}/search.db"
    storage = open_storage(url, 1, 3)
    create_queue(storage, url, "s", "maximize", 1)
    draw = partial(make_sampler, "asha", 1)
    queue = load_queue(storage, url, "s", draw, optuna.pruners.NopPruner())

    class DiesAfterTwo:
        def log_epoch(self, epoch, metrics):
            if epoch == 1:
                raise Killed

        def finish(self, status):
            pass

    stage = SimpleNamespace(settings=make_settings())
    plan = StageSearch("check", search, "only", None, stage)

    def train(trial, listen):
        trainer = StageTrainer(plan, data)
        return train_candidate(trial, plan, trainer, tmp_path / "state", listen)

    with pytest.raises(Killed):
        run_queue(queue, lambda trial: train(trial, lambda *_: DiesAfterTwo()), 1)
    caplog.set_level(logging.INFO, logger="batteryscope")
    monkeypatch.setattr(logging.getLogger("batteryscope"), "propagate", True)
    caplog.clear()
    assert run_queue(queue, lambda trial: train(trial, lambda *_: None), 0.5) == 1
    assert "epoch 1 of" not in caplog.text
    assert "epoch 3 of 3" in caplog.text
    [trial] = list_slots(queue.study).values()
    assert trial.state.name == "COMPLETE"
    assert list(trial.intermediate_values) == [1, 2, 3]
    assert not list((tmp_path / "state").glob("candidate_*"))


def write_study(folder):
    tiles, index, manifest, split, _ = make_data()
    (folder / "tiles").mkdir()
    with TileWriter(folder / "tiles" / "tiles.npy", (32, 32)) as writer:
        writer.write(tiles)
    full = index.assign(x_px=0, y_px=0, crop_px=32, local_sd=20.0)
    write_index(folder / "tiles", full)
    manifest.to_parquet(folder / "manifest.parquet")
    split.to_parquet(folder / "split.parquet")
    params = small_params(check=small_study(search=SEARCH, preprocess={"input_px": 32}))
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    study = load_project(folder / "params.yaml").studies["check"]
    (folder / "study.json").write_text(study.model_dump_json())


def test_programs_search_and_the_best_can_be_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path)
    uri = copy_empty_store(tmp_path)
    study = ["--study", "check", "--settings", "study.json"]
    data = ["--manifest", "manifest.parquet", "--split", "split.parquet", "--tiles", "tiles"]
    run_search_programs(tmp_path, study, ["split.parquet", "tiles/index.parquet"], data, uri)

    facts = json.loads((tmp_path / "summary/search.json").read_text())
    asha, random = facts["strategies"]
    assert asha["candidates"] == 5
    assert asha["stopped_early"] >= 1
    assert asha["trained_to_the_end"] + asha["stopped_early"] == 5
    assert random["candidates"] == count_random_trials(asha["epochs"], 3)
    assert random["epochs"] == 3 * random["candidates"]
    candidates = pd.read_csv(tmp_path / "summary/candidates.csv")
    assert candidates["train.batch_size"].between(4, 8).all()
    assert (candidates["train.batch_size"] % 1 == 0).all()
    page = (tmp_path / "summary/search.html").read_text()
    assert "Did successive halving help" in page
    assert "<script src" not in page
    figures = {path.stem for path in (tmp_path / "summary/figures").glob("*.png")}
    assert {"asha_and_random", "history", "intermediate_values"} <= figures
    assert {"parallel_coordinates", "importance"} <= figures

    overlay = yaml.safe_load((tmp_path / "summary/best.yaml").read_text())
    best = load_project(tmp_path / "params.yaml", overlay).studies["check"]
    assert list(best.arms) == ["per_image", "searched"]
    plan = plan_study("check", best)
    stage = plan.stages[plan.arms["searched"].chains[-1]].settings
    assert stage.train.learning_rate == facts["best"]["values"]["train.learning_rate"]
    assert (stage.train.epochs, stage.train.monitor) == (3, "val_loss")

    assert track_search(tmp_path, "check", uri) == 0
    client = open_client(uri)
    runs = list_runs(client, find_experiment(client, uri, "check"))
    assert len(runs) == 5 + random["candidates"] + 2  # and no live run is left
    winner = next(run for run in runs if run.data.tags.get("best") == "true")
    assert float(winner.data.params["train.learning_rate"]) == stage.train.learning_rate
    assert winner.data.metrics["best_val_loss"] == facts["best"]["value"]


def study_with(search, **more):
    return StudySettings.model_validate(small_study(search=search, **more))


@pytest.mark.parametrize(
    ("search", "words"),
    [
        ({"space": {"train.learning_rate": {"low": 1, "high": 0.1}}}, "low 1 is not below high"),
        (
            {"space": {"train.learning_rate": [1]}, "storage": "nonsense"},
            "no address of a database",
        ),
        ({"space": {"train.learning_rate": {"low": 0, "high": 1, "log": True}}}, "no logarithm"),
        ({"space": {"train.learning_rate": []}}, "train.learning_rate has an empty list"),
        ({"space": {"train.learning_rats": [1]}}, "did you mean 'train.learning_rate'"),
        ({"space": {"preprocess.crop_px": [1, 2]}}, "sweep it"),
        ({"space": {"train.epochs": [1, 2]}}, "best epoch"),
        ({"space": {"model.flips_at_test": ["none", "both"]}}, "has no effect on a search"),
        ({"space": SPACE, "max_epochs": 30}, "less than or equal to 20"),
        ({"space": SPACE, "arm": "nobody"}, "search.arm 'nobody'"),
        ({"space": SPACE, "min_epochs": 9, "max_epochs": 3}, "min_epochs 9 is above"),
    ],
)
def test_bad_search(search, words):
    with pytest.raises(ConfigError) as caught:
        load_project(PARAMS, {"studies": {"additive_transfer": {"search": search}}})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_network_of_a_later_stage_stays():
    two = {"per_image": {"stages": [{"name": "one"}, {"name": "two"}]}}
    study = study_with({"space": {"model.backbone": ["test_resnet"]}}, arms=two)
    with pytest.raises(ConfigError, match=r"'model.backbone' cannot be searched in arm"):
        plan_search(plan_study("check", study))


def test_name_of_a_search_changes_with_what_decides_its_values():
    def name(data="d", **changes):
        plan = plan_search(plan_study("check", study_with(SEARCH | changes)))
        return name_search(plan, "asha", data)

    assert name() == name(trials=60, workers=4)  # the same search, continued
    assert len({name(), name("e"), name(seed=2), name(max_epochs=2)}) == 4


@pytest.mark.parametrize(
    ("column", "value", "begins_anew"),
    [("covariate_loading", 7.0, True), ("class", "b", True), ("magnification", 5.0, False)],
)
def test_a_search_begins_anew_with_other_values_beside_the_pictures(
    tmp_path, monkeypatch, column, value, begins_anew
):
    def create():
        made = ["--strategy", "asha", "--out", "asha.json", "--manifest", "manifest.parquet"]
        made += ["--study", "check", "--settings", "study.json", "--data", "split.parquet"]
        assert load_script("create_search").main([*made, "--storage", "sqlite:///c.db"]) == 0
        return json.loads(Path("asha.json").read_text())["name"]

    monkeypatch.chdir(tmp_path)
    write_study(tmp_path)
    study = json.loads(Path("study.json").read_text())
    study["dataset"]["covariates"] = {"columns": {"loading": {"unit": "mg/cm²"}}}
    Path("study.json").write_text(json.dumps(study))
    manifest = pd.read_parquet("manifest.parquet")
    manifest = manifest.assign(covariate_loading=1.0, magnification=1.0)
    manifest.to_parquet("manifest.parquet")
    name = create()
    manifest[::-1].to_parquet("manifest.parquet")  # the same samples
    assert create() == name
    manifest.loc[0, column] = value
    manifest.to_parquet("manifest.parquet")
    assert (create() != name) == begins_anew


def test_impossible_candidates_are_told_in_one_sentence():
    search = SearchSettings.model_validate(SEARCH | {"space": {"train.loss": ["focal"]}})
    stage = make_settings(label_smoothing=0.1)
    with pytest.raises(ConfigError, match="label_smoothing"):
        change_stage(stage, {"train.loss": "focal"}, search)
    assert isinstance(make_pruner("random", search), optuna.pruners.NopPruner)
