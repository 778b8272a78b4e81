"""Clones that record one study at one moment, or are killed, leave one family of runs."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow.exceptions import MlflowException

from batteryscope.tracking import runs
from batteryscope.tracking.records import DatasetRecord, RunRecord
from batteryscope.tracking.runs import list_runs, reconcile_runs
from batteryscope.tracking.store import find_experiment, open_client
from tests.time_limits import stretch_limit
from tests.tracking_study import copy_empty_store


@pytest.fixture
def uri(tmp_path):
    return copy_empty_store(tmp_path)


@pytest.mark.parametrize("seconds", ["7", "8"])  # of the other's fit; ours took 7 s
@pytest.mark.parametrize("written", [0, 1])  # of our two runs when the other begins and ends
def test_two_clones_that_write_the_same_runs_at_once_keep_one_family(
    uri, monkeypatch, written, seconds
):
    client = open_client(uri)
    experiment = find_experiment(client, uri, "cells")

    def list_records(seconds):
        return [
            RunRecord("cells/a", None, "a", {"study": "cells", "seconds": seconds}),
            RunRecord("cells/a/fit", "cells/a", "fit", {"study": "cells", "seconds": seconds}),
        ]

    write, begun = runs.write_run, []

    def let_the_other_begin_and_end(*arguments):
        begun.append(arguments)
        if len(begun) == written + 1:
            reconcile_runs(client, uri, experiment, list_records(seconds))
        return write(*arguments)

    monkeypatch.setattr(runs, "write_run", let_the_other_begin_and_end)
    agreed = reconcile_runs(client, uri, experiment, list_records("7"))
    standing = {run.data.tags["job_key"]: run for run in list_runs(client, experiment)}
    assert {key: run.info.run_id for key, run in standing.items()} == agreed
    assert len(list_runs(client, experiment)) == len(standing) == 2
    assert standing["cells/a/fit"].data.tags["mlflow.parentRunId"] == agreed["cells/a"]
    assert len({run.data.tags["seconds"] for run in standing.values()}) == 1


def test_a_clone_that_replaces_runs_of_another_is_not_replaced_by_it(uri, monkeypatch):
    client = open_client(uri)
    experiment = find_experiment(client, uri, "cells")

    def record(seconds):
        tags = {"study": "cells", "seconds": seconds}
        family = [
            RunRecord("cells/a", None, "a", tags),
            RunRecord("cells/a/b", "cells/a", "b", tags),
        ]
        return reconcile_runs(open_client(uri), uri, experiment, family)

    # The second sees the first's parent, and has deleted nothing yet when the first looks around.
    later, has_written, first_is_ready = [], threading.Event(), threading.Event()
    first, second = threading.current_thread(), ThreadPoolExecutor(1)
    write, find = runs.write_run, runs._find_superseded

    def begin_second(*arguments):
        if arguments[3].name == "b" and not later:
            later.append(second.submit(record, "8"))
            assert has_written.wait(stretch_limit(60))
        return write(*arguments)

    def wait_for_first(*arguments):
        if threading.current_thread() is not first:
            has_written.set()
            assert first_is_ready.wait(stretch_limit(60))
        return find(*arguments)

    monkeypatch.setattr(runs, "write_run", begin_second)
    monkeypatch.setattr(runs, "_find_superseded", wait_for_first)
    agreed = record("7")
    first_is_ready.set()
    found = [(run.data.tags["job_key"], run.info.run_id) for run in list_runs(client, experiment)]
    assert sorted(found) == sorted(agreed.items()) == sorted(later[0].result().items())


def test_a_clone_leaves_the_runs_of_another_that_will_replace_its_own(uri, monkeypatch):
    client = open_client(uri)
    experiment = find_experiment(client, uri, "cells")

    def record(seconds):
        tags = {"study": "cells", "seconds": seconds}
        parent = RunRecord("cells/a", None, "a", tags)
        children = [RunRecord(f"cells/a/{name}", "cells/a", name, tags) for name in ("b", "c")]
        return reconcile_runs(open_client(uri), uri, experiment, [parent, *children])

    # The second sees the first's parent, and has its last run to write when the first looks around.
    later, waits, first_is_ready = [], threading.Event(), threading.Event()
    first, second = threading.current_thread(), ThreadPoolExecutor(1)
    write = runs.write_run

    def begin_second(*arguments):
        name = arguments[3].name
        if threading.current_thread() is not first and name == "c":
            waits.set()
            assert first_is_ready.wait(stretch_limit(60))
        elif name == "b" and not later:
            later.append(second.submit(record, "8"))
            assert waits.wait(stretch_limit(60))
        return write(*arguments)

    monkeypatch.setattr(runs, "write_run", begin_second)
    record("7")
    first_is_ready.set()
    agreed = later[0].result()
    found = [(run.data.tags["job_key"], run.info.run_id) for run in list_runs(client, experiment)]
    assert sorted(found) == sorted(agreed.items())
    assert len(agreed) == 3
    parents = {run.data.tags.get("mlflow.parentRunId") for run in list_runs(client, experiment)}
    assert parents == {None, agreed["cells/a"]}


def test_a_data_set_that_another_clone_writes_at_the_same_moment_is_no_failure():
    class Client:
        asked = 0

        def log_inputs(self, run_id, inputs):
            self.asked += 1
            if self.asked == 1:
                raise MlflowException("UniqueViolation: duplicate key violates 'dataset_pk'")

    client = Client()
    runs._log_datasets(client, "r", [DatasetRecord("cells", "12", "data", "{}")])
    assert client.asked == 2


@pytest.mark.parametrize("has_model", [False, True])
def test_a_run_that_was_killed_before_its_end_is_written_again(
    uri, tmp_path, monkeypatch, has_model
):
    client = open_client(uri)
    experiment = find_experiment(client, uri, "cells")
    (tmp_path / "bundle").mkdir()
    bundle = tmp_path / "bundle" if has_model else None
    record = RunRecord("cells/a", None, "a", {}, metrics=(("accuracy", 0.5, 0),), bundle=bundle)
    # Logging a model ends the run as FINISHED, before its numbers are there.
    monkeypatch.setattr(
        runs, "log_bundle", lambda uri, run_id, bundle: client.set_terminated(run_id, "FINISHED")
    )

    def die(*given, **named):
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(client, "log_batch", die)
        with pytest.raises(KeyboardInterrupt):
            reconcile_runs(client, uri, experiment, [record])
    (half,) = list_runs(client, experiment)
    reconcile_runs(client, uri, experiment, [record])
    (whole,) = list_runs(client, experiment)
    assert whole.info.run_id != half.info.run_id
    assert whole.data.metrics == {"accuracy": 0.5}
    assert reconcile_runs(client, uri, experiment, [record]) == {"cells/a": whole.info.run_id}
