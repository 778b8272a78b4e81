"""The tracking store and live runs: creation, migration, parallel writers, no server."""

import logging
import math
import os
import socket
import threading
import time
from contextlib import suppress

import pytest

from batteryscope.tracking import live, store
from batteryscope.tracking.live import LateRun, open_live_run
from batteryscope.tracking.runs import list_runs
from batteryscope.tracking.store import (
    TrackingUnavailableError,
    configure_client,
    find_database,
    find_experiment,
    open_client,
    probe_store,
    resolve_uri,
)
from tests.parallel_writers import check_histories, write_at_once
from tests.tracking_study import copy_empty_store

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def uri(tmp_path, monkeypatch):
    monkeypatch.setattr(live, "_failed_stores", set())
    return copy_empty_store(tmp_path)


@pytest.fixture
def heard(caplog):
    """Warnings of this package, which does not pass its messages on once it is configured."""
    logger = logging.getLogger("batteryscope")
    before, logger.propagate = logger.propagate, True
    caplog.set_level(logging.WARNING, logger="batteryscope")
    yield caplog
    logger.propagate = before


@pytest.fixture
def silent_server():
    """Accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_addresses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_database("sqlite:///mlflow.db") == tmp_path / "mlflow.db"
    assert find_database("sqlite:////data/x.db").as_posix() == "/data/x.db"
    assert find_database("http://host:5000") is None
    assert resolve_uri("sqlite:///mlflow.db") == f"sqlite:///{tmp_path}/mlflow.db"
    assert resolve_uri("http://host:5000") == "http://host:5000"


def test_the_users_environment_wins(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    configure_client(timeout_s=4, retries=0)
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_initialising_twice_changes_nothing(uri, tmp_path):
    client = open_client(uri)
    first = find_experiment(client, uri, "cells")
    open_client(uri)
    assert find_experiment(client, uri, "cells") == first
    location = client.get_experiment(first).artifact_location
    assert location == (tmp_path / "mlartifacts" / "cells").as_uri()
    client.delete_experiment(first)
    assert find_experiment(client, uri, "cells") == first
    assert client.get_experiment(first).lifecycle_stage == "active"


def test_unusable_stores_say_so_in_one_sentence(tmp_path, silent_server, monkeypatch):
    monkeypatch.setattr(store, "PROBE_SECONDS", 0.3)
    broken = tmp_path / "broken.db"
    broken.write_text("this is no database, whatever its name says " * 50)
    for uri in (NOWHERE, silent_server, f"sqlite:///{broken}", "nonsense://x"):
        with pytest.raises(TrackingUnavailableError) as caught:
            open_client(uri)
        assert uri in str(caught.value)
        assert "\n" not in str(caught.value)
    assert broken.read_text().startswith("this is no database")


def test_any_answer_of_a_server_counts(monkeypatch):
    import urllib.error
    import urllib.request

    def refuse(request, timeout):
        raise urllib.error.HTTPError(request.full_url, 404, "no", {}, None)

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    probe_store("http://host")


@pytest.fixture
def serve():
    """Start servers that send bytes one by one, for ever, after a beginning."""
    ended = threading.Event()
    listeners = []

    def drip(listener, beginning, repeated):
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(beginning)
            while not ended.wait(0.05):
                connection.sendall(repeated)

    def start(beginning, repeated):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=drip, args=(listener, beginning, repeated), daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    ended.set()
    for listener in listeners:
        listener.close()


def test_server_that_drips_its_header_is_given_up(serve, monkeypatch):
    monkeypatch.setattr(store, "PROBE_SECONDS", 0.5)
    started = time.monotonic()
    with pytest.raises(TrackingUnavailableError, match=r"no whole answer within 0\.5 s"):
        probe_store(serve(b"HTTP/1.1 200 OK\r\n", b"X"))
    assert time.monotonic() - started < 5


def test_server_that_drips_its_answer_is_there_but_cannot_be_used(serve, monkeypatch):
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    started = time.monotonic()
    probe_store(serve(page, b" "))
    monkeypatch.setattr(store, "probe_store", lambda _: None)  # it would take the one connection
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingUnavailableError, match="no whole answer within 2 s"):
        open_client(serve(page, b" "))
    assert time.monotonic() - started < 60  # with the import of MLflow


def test_server_of_another_kind_is_no_defect(serve):
    with pytest.raises(TrackingUnavailableError, match="does not answer"):
        probe_store(serve(b"SSH-2.0-OpenSSH_9.2\r\n", b"\r\n"))


def test_live_run_is_seen_at_once_and_replaces_a_killed_one(uri):
    killed = open_live_run(uri, True, "cells", "cells/fit-1/r0_f0")
    killed.log_epoch(0, {"val_loss": 1.0})
    run = open_live_run(
        uri, True, "cells", "cells/fit-1/r0_f0", {"stage": "fit"}, {"model": {"dropout": 0.2}}
    )
    run.log_epoch(0, {"val_loss": 0.5, "val accuracy %": math.nan})
    run.log_epoch(1, {"val_loss": 0.25, "train_loss": math.inf})
    client = open_client(uri)
    [seen] = list_runs(client, find_experiment(client, uri, "cells"))
    assert seen.info.run_id == run.run_id != killed.run_id
    assert seen.info.status == "RUNNING"
    assert seen.data.params == {"model.dropout": "0.2"}
    assert seen.data.tags["live"] == "true"
    history = client.get_metric_history(run.run_id, "val_loss")
    assert [(m.step, m.value) for m in history] == [(0, 0.5), (1, 0.25)]
    assert "train_loss" not in seen.data.metrics
    run.finish("FAILED")
    assert client.get_run(run.run_id).info.status == "FAILED"
    run.log_epoch(2, {"val_loss": 0.1})
    assert len(client.get_metric_history(run.run_id, "val_loss")) == 2


def test_a_short_fit_leaves_no_live_run_and_a_long_one_sends_its_epochs_together(uri, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    opened, requests = [], []

    def open_run():
        run = open_live_run(uri, True, "cells", "cells/fit/r0_f0")
        send = run._client.log_batch
        monkeypatch.setattr(
            run._client, "log_batch", lambda *a, **k: [requests.append(1), send(*a, **k)]
        )
        opened.append(run)
        return run

    short = LateRun(open_run, after_s=10)
    short.log_epoch(0, {"val_loss": 1.0})
    short.finish()
    assert not opened
    long = LateRun(open_run, after_s=10, every_s=3)
    for epoch in range(20):  # of a second each: sent after 10, 13, 16 and 19 s
        now[0] += 1
        long.log_epoch(epoch, {"val_loss": float(epoch), "val_accuracy": 0.5})
    long.finish("FAILED")
    [run] = opened
    client = open_client(uri)
    history = client.get_metric_history(run.run_id, "val_loss")
    assert [(m.step, m.value) for m in history] == [(i, float(i)) for i in range(20)]
    assert client.get_run(run.run_id).info.status == "FAILED"
    assert len(requests) == 5


def test_a_long_fit_shows_the_load_of_the_machine(uri, monkeypatch):
    monkeypatch.setattr(live, "SYSTEM_SECONDS", 0.1)
    client = open_client(uri)

    def fit(key):
        run = LateRun(lambda: open_live_run(uri, True, "cells", key), after_s=0)
        run.log_epoch(0, {"val_loss": 1.0})
        monitor = run._run._monitor
        end = time.monotonic() + 20
        while monitor is not None and monitor._logging_step == 0 and time.monotonic() < end:
            time.sleep(0.05)
        run.finish()
        return client.get_run(run._run.run_id).data.metrics

    shown = fit("cells/fit/r0_f0")
    assert 0 <= shown["system/cpu_utilization_percentage"] <= 100
    assert shown["system/system_memory_usage_megabytes"] > 0
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
    assert list(fit("cells/fit/r0_f1")) == ["val_loss"]


def test_live_run_gives_up_quickly_and_once(uri, silent_server, heard):
    started = time.perf_counter()
    for server in (NOWHERE, silent_server):
        for fold in range(3):
            run = open_live_run(server, True, "cells", f"cells/fit/r0_f{fold}")
            assert not run.active
            run.log_epoch(0, {"val_loss": 1.0})
            run.finish()
    assert time.perf_counter() - started < 6
    assert [r.getMessage()[:20] for r in heard.records] == ["Live tracking is off"] * 2


def test_live_run_survives_a_store_that_breaks(uri, heard, monkeypatch):
    run = open_live_run(uri, True, "cells", "cells/fit/r0_f0")

    def fail(*args, **kwargs):
        raise RuntimeError("database is locked\ntraceback")

    monkeypatch.setattr(run._client, "log_batch", fail)
    for epoch in range(3):
        run.log_epoch(epoch, {"val_loss": 1.0})
    run.finish()
    assert not run.active
    [record] = heard.records
    assert "database is locked" in record.getMessage()
    assert "traceback" not in record.getMessage()


def test_disabled_live_run_does_nothing(tmp_path):
    run = open_live_run(f"sqlite:///{tmp_path}/x.db", False, "cells", "cells/fit/r0_f0")
    run.log_epoch(0, {"val_loss": 1.0})
    run.finish()
    assert list(tmp_path.iterdir()) == []


def test_old_database_is_copied_and_migrated(tmp_path, monkeypatch):
    """A database of an older MLflow: the schema version is behind."""
    import sqlite3
    from contextlib import closing

    uri = copy_empty_store(tmp_path)
    database = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection:
        [(version,)] = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
        connection.commit()
    commands = []

    def upgrade(command, **kwargs):
        commands.append(command[2:])
        beside = command[-1].removeprefix("sqlite:///")
        with closing(sqlite3.connect(beside)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
            connection.commit()
        return store.subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(store.subprocess, "run", upgrade)
    open_client(uri)
    assert commands == [["mlflow", "db", "upgrade", f"{uri}.migrating"]]
    assert (tmp_path / "mlflow.db.before-migration").is_file()


def test_a_database_whose_making_was_killed_is_made_again(tmp_path):
    """MLflow makes its tables step by step: whoever finds half of them can use none."""
    import sqlite3
    from contextlib import closing

    database = tmp_path / "mlflow.db"
    unfinished = tmp_path / "mlflow.db.creating"
    with closing(sqlite3.connect(unfinished)) as connection:
        connection.execute("CREATE TABLE _alembic_tmp_latest_metrics (key TEXT)")
        connection.commit()
    client = open_client(f"sqlite:///{database}")
    assert [one.name for one in client.search_experiments()] == ["Default"]
    assert not unfinished.exists()


@pytest.mark.workflow
def test_parallel_writers_lose_nothing(uri):
    write_at_once(uri)
    assert check_histories(uri) == 8 * 200
