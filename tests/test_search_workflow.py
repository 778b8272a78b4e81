"""A search by the real workflow: a database out of reach, a worker that is killed."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import psutil
import pytest

from batteryscope.config.project import load_project
from batteryscope.plan import plan_study
from batteryscope.search.plan_search import plan_search
from batteryscope.search.queue import is_over, list_slots, load_queue
from batteryscope.search.storage import open_storage
from batteryscope.search.worker import open_data
from batteryscope.tilestore import TileStore
from tests.conftest import Sandbox
from tests.small_params import small_params, small_study
from tests.time_limits import stretch_limit, wait_until

pytestmark = pytest.mark.workflow
SUMMARY = "work/check/search/summary"
DATABASE = "sqlite:///own/search.db"
SEARCH = {
    "space": {"train.learning_rate": {"low": 1.0e-4, "high": 0.1, "log": True}},
    "trials": 12,
    "workers": 2,
    "min_epochs": 3,  # so that a candidate after its first epoch is one in the middle
    "max_epochs": 9,
    "metric": "val_loss",
    "heartbeat_s": 3,
    "random": False,
}
FEW = {
    "dataset": {"generator": {"kind": "trivial", "classes": 3, "images_per_class": 6}},
    "preprocess": {"tiles_per_image": 10, "grid_tiles": 2},
}


def params(**search) -> dict:
    study = small_params(check=small_study(search=SEARCH | search, **FEW))
    return study | {"tracking": {"enabled": False}}


@pytest.fixture(scope="module")
def sandbox(make_sandbox) -> Sandbox:
    return make_sandbox(params())


@pytest.mark.parametrize(
    "address", ["postgresql://me@127.0.0.1:9/optuna", "sqlite:////proc/no/such/place.db"]
)
def test_storage_out_of_reach_is_told_before_the_data_work(sandbox, address):
    sandbox.write_params(params(storage=address))
    if "postgresql" in address:  # a dry run asks nobody
        assert sandbox.planned_rules("search_check")["check_search_storage"] == 1
    done = sandbox.snakemake("search_check", check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    told = [line for line in done.stdout.splitlines() if line.startswith("ERROR: ")]
    assert len(told) == 1, done.stdout
    assert told[0].startswith("ERROR: search.storage: the database ")
    assert "cannot be used" in told[0]
    assert not list((sandbox.root / "work/check").glob("data/*"))


def start(box: Sandbox, target: str) -> subprocess.Popen:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (box.root / "output.txt").open("w") as output:
        return subprocess.Popen(
            ["snakemake", "--cores", "2", "--", target],
            cwd=box.root, env=os.environ | {"PATH": path}, stdout=output, stderr=output,
        )  # fmt: skip


def kill_in_the_middle(box: Sandbox, run: subprocess.Popen) -> None:
    """Kill worker 0 right after the first epoch of its second candidate."""
    log = box.root / "work/check/logs/run_search_worker_asha_0.log"

    def is_in_second() -> bool:
        assert run.poll() is None, (box.root / "output.txt").read_text()
        return log.is_file() and len(re.findall("epoch 1 of 9", log.read_text())) >= 2

    assert wait_until(is_in_second, 240, 0.02)
    victims = [
        process
        for process in psutil.Process(run.pid).children(recursive=True)
        if any("worker0.json" in part for part in process.cmdline()) and "python" in process.name()
    ]
    assert victims
    for process in victims:
        process.send_signal(signal.SIGKILL)


def test_a_killed_worker_of_a_run_loses_nothing(sandbox, one_thread, monkeypatch):
    sandbox.write_params(params(storage=DATABASE))
    run = start(sandbox, SUMMARY)
    kill_in_the_middle(sandbox, run)
    # The run itself starts the worker anew; the other one takes the lost candidate, or it does.
    assert run.wait(timeout=stretch_limit(240)) == 0, (sandbox.root / "output.txt").read_text()
    assert "Nothing to be done" in sandbox.snakemake("--", SUMMARY).stdout

    monkeypatch.chdir(sandbox.root)
    name = json.loads(Path("work/check/search/asha/created.json").read_text())["name"]
    study = load_queue(open_storage(DATABASE, 3, 1), DATABASE, name).study
    trials = study.get_trials()
    states = [trial.state.name for trial in trials]
    over = [trial for trial in trials if is_over(trial)]
    assert sorted(trial.user_attrs["slot"] for trial in over) == list(range(12))  # each once
    assert states.count("FAIL") == 1  # of the killed worker
    assert states.count("PRUNED") >= 1
    assert len(trials) == 13
    candidates = pd.read_csv(f"{SUMMARY}/candidates.csv")
    assert candidates["candidate"].tolist() == list(range(12))
    assert candidates["retries"].sum() == 1
    assert not list(Path("work/check/state/search").glob("*/candidate_*"))
    assert_test_part_is_untouched(list_slots(study))


def assert_test_part_is_untouched(slots: dict) -> None:
    """A candidate gets the same value where there is nothing but white in all test tiles."""
    plan = plan_search(plan_study("check", load_project(Path("params.yaml")).studies["check"]))
    tiles, split = Path("work/check/tiles", plan.stage.tiles), Path("work/check/splits")
    split = split / plan.stage.split / "split.parquet"
    roles, index = pd.read_parquet(split), TileStore.open(tiles).index
    tested = index["sample_id"].isin(roles.loc[roles["role"] == "test", "sample_id"])
    rows = index.loc[tested & (index["tile"] >= 0), "tile"].to_numpy()
    assert len(rows)
    store = np.load(tiles / "tiles.npy", mmap_mode="r+")
    store[rows] = 255
    store.flush()
    quiet = SimpleNamespace(log_epoch=lambda *_: None)
    make = open_data(plan, Path("work/check/data/manifest.parquet"), split, tiles, [])
    slot, trial = next((s, t) for s, t in slots.items() if t.state.name == "COMPLETE")
    trained = make("asha").train(slot, trial.params, Path("again"), quiet)
    assert trained.value == pytest.approx(trial.value, rel=1e-6)
