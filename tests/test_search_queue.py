"""The queue of a search: killed workers, several at once, failures, an address that is wrong."""

import collections
import os
import signal
import subprocess
import sys

import pytest

from batteryscope.errors import ConfigError
from batteryscope.search.queue import create_queue, is_over, list_slots, load_queue, run_queue
from batteryscope.search.results import (
    compare_strategies,
    describe_search,
    find_best,
    list_candidates,
    trace_progress,
)
from batteryscope.search.storage import (
    SearchStorageError,
    open_storage,
)
from tests.conftest import ROOT
from tests.search_workers import NAME, SETTINGS, open_search, train_number
from tests.time_limits import stretch_limit, wait_until


@pytest.fixture
def url(tmp_path):
    address = f"sqlite:///{tmp_path}/search.db"
    create_queue(open_storage(address, 1, 3), address, NAME, "maximize", 12)
    return address


def start(url, worker, folder, hangs_at=-1):
    command = [sys.executable, "-m", "tests.search_workers", url, str(worker), "0.02"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([*command, str(hangs_at)], cwd=folder, env=environment)


def test_a_killed_worker_loses_nothing(url, tmp_path):
    victim, other = start(url, 0, tmp_path, hangs_at=3), start(url, 1, tmp_path)
    assert wait_until((tmp_path / "0.hangs").is_file, 60, 0.05)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert other.wait(timeout=stretch_limit(120)) == 0
    study = open_search(url).study
    states = collections.Counter(trial.state.name for trial in study.get_trials())
    over = [t.user_attrs["slot"] for t in study.get_trials() if is_over(t)]
    assert sorted(over) == list(range(12))  # none lost, none counted twice
    assert states["PRUNED"] >= 1
    assert states["FAIL"] == 1
    assert not states["RUNNING"] + states["WAITING"]
    table = list_candidates(study, "asha")
    assert table["candidate"].tolist() == list(range(12))
    assert table["retries"].sum() == 1
    assert sorted(table["ended"]) == list(range(1, 13))


def test_results_of_a_search(url):
    queue = open_search(url)
    assert run_queue(queue, lambda trial: train_number(trial, 0), 1) == 12
    assert run_queue(queue, lambda trial: 1 / 0, 1) == 0  # over is over
    table = list_candidates(queue.study, "asha")
    best = find_best(table, SETTINGS)
    complete = table[table["state"] == "complete"]
    assert best["value"] == complete["value"].max()
    assert set(best["values"]) == {"train.learning_rate"}
    progress = trace_progress(table, SETTINGS)
    assert progress["epochs"].iloc[-1] == table["epochs"].sum()
    assert progress["best"].dropna().is_monotonic_increasing
    told = compare_strategies(table, SETTINGS)
    assert told.loc[0, "trained_to_the_end"] + told.loc[0, "stopped_early"] == 12
    assert "12 candidates" in describe_search(told, best, "val_accuracy")


def test_more_candidates_continue_a_search(url):
    queue = open_search(url)
    run_queue(queue, lambda trial: train_number(trial, 0), 1)
    assert create_queue(queue.storage, url, NAME, "maximize", 12) == 0
    assert create_queue(queue.storage, url, NAME, "maximize", 14) == 2
    assert run_queue(queue, lambda trial: train_number(trial, 0), 1) == 2
    assert list(list_slots(queue.study)) == list(range(14))


def test_a_worker_that_is_started_anew_draws_new_values(url):
    left = iter(range(4))

    def stop_after_five(_):
        if next(left, None) is None:
            raise KeyboardInterrupt

    def train(trial):
        return train_number(trial, 0)

    with pytest.raises(KeyboardInterrupt):
        run_queue(open_search(url, "random"), train, 1, stop_after_five)
    queue = open_search(url, "random")
    run_queue(queue, train, 1)
    drawn = [trial.params["train.learning_rate"] for trial in queue.study.get_trials()]
    assert len(set(drawn)) == len(drawn) == 12


def test_a_candidate_with_impossible_settings_fails_alone(url):
    def train(trial):
        if trial.user_attrs["slot"] == 2:
            raise ConfigError("candidate: settings that do not go together.")
        if trial.user_attrs["slot"] == 4:
            raise MemoryError("no more")
        return train_number(trial, 0)

    queue = open_search(url)
    run_queue(queue, train, 1)
    table = list_candidates(queue.study, "asha").set_index("candidate")
    assert table["state"].value_counts()["fail"] == 2
    assert table.loc[2, "problem"] == "candidate: settings that do not go together."
    assert table.loc[4, "problem"] == "MemoryError: no more"
    assert table.drop(index=[2, 4])["state"].isin(["complete", "pruned"]).all()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("sqlite:////proc/no/such/place.db", "cannot be used"),
        ("postgresql://me:secret@127.0.0.1:9/optuna", "cannot be used"),
        ("nonsense", "correct the address"),
    ],
)
def test_storage_out_of_reach(address, words):
    with pytest.raises(SearchStorageError) as caught:
        open_storage(address, 1, 1)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_unknown_search(url):
    with pytest.raises(ConfigError, match="no search 'other'"):
        load_queue(open_storage(url, 1, 1), url, "other")
