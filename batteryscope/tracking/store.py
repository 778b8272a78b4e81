"""The tracking store: is it there, is it ready, and a client that never waits for long."""

import logging
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

from batteryscope.core.names import describe_failure, hide_password
from batteryscope.errors import BatteryscopeError
from batteryscope.tracking.address import HTTP, find_header, pass_credentials

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROBE_SECONDS = 3.0
LOCK_SECONDS = 120.0
MIRROR_SECONDS = 1200.0  # as long as another study may take to write all its runs
ARTIFACT_FOLDER = "mlartifacts"
SQLITE_PREFIX = "sqlite:///"
SERVER_DATABASES = ("postgresql", "mysql", "mssql")
# Restrained answers to a bad network: MLflow's own defaults wait for many minutes.
CLIENT_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOG_UV_FILES": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",
    # What fails is said in one warning of our own, not in MLflow's tracebacks.
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}

T = TypeVar("T")


class TrackingUnavailableError(BatteryscopeError):
    """The tracking store cannot be reached or used; results are not affected."""


def configure_client(timeout_s: int = 30, retries: int = 1) -> None:
    """Set MLflow's time limits and silence, wherever the user's environment says nothing.

    To be called before MLflow is imported, since it reads some of this only once.
    """
    wanted = CLIENT_ENVIRONMENT | {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(timeout_s),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries),
    }
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(os.environ["MLFLOW_LOGGING_LEVEL"].upper())


def find_database(uri: str) -> Path | None:
    """Return the absolute path of a SQLite store's file, None for any other store."""
    if not uri.startswith(SQLITE_PREFIX):
        return None
    name = uri.removeprefix(SQLITE_PREFIX).split("?")[0]
    return None if name in ("", ":memory:") else Path(name).expanduser().absolute()


def resolve_uri(uri: str) -> str:
    """Make the path of a SQLite store absolute; other addresses stay as they are."""
    database = find_database(uri)
    if database is None:
        return uri
    query = uri.partition("?")[2]
    return f"{SQLITE_PREFIX}{database.as_posix()}" + (f"?{query}" if query else "")


def probe_store(uri: str) -> None:
    """Ask a server whether it is there, before the slow import of MLflow.

    Raises
    ------
    TrackingUnavailableError
        If an http(s) server does not answer within 3 s, however slowly it sends. Any answer
        counts, since a proxy may hide the health page. Other stores are not probed.
    """
    if not uri.startswith(HTTP):
        return
    request = urllib.request.Request(
        pass_credentials(uri).rstrip("/") + "/health", method="GET", headers=find_header()
    )

    def ask() -> None:
        with (
            suppress(urllib.error.HTTPError),
            urllib.request.urlopen(request, timeout=PROBE_SECONDS),
        ):
            pass

    try:
        _call_within(PROBE_SECONDS, ask)
    except (OSError, ValueError, HTTPException) as error:
        raise TrackingUnavailableError(
            f"MLflow at {hide_password(uri)} does not answer ({describe_failure(error)})."
        ) from None


def _call_within(seconds: float, call: Callable[[], T]) -> T:
    """Return what a call returns, or raise TimeoutError.

    Limits of sockets begin anew at every byte. A call that is given up goes on in a thread that
    does not keep the program alive.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except Exception as error:
            answer.set_exception(error)

    Thread(target=run, daemon=True).start()
    if not wait([answer], seconds).done:
        raise TimeoutError(f"no whole answer within {seconds:g} s")
    return answer.result()


def probe_database(uri: str) -> None:
    """Open a database once: MLflow tries ten times without a word, which takes minutes.

    Raises
    ------
    TrackingUnavailableError
        It cannot be opened or, if it is a file, not be written.
    """
    try:
        if database := find_database(uri):
            _probe_file(database)
        elif uri.startswith(SERVER_DATABASES):
            import sqlalchemy

            limit = "timeout" if uri.startswith("mssql") else "connect_timeout"
            engine = sqlalchemy.create_engine(uri, connect_args={limit: max(1, int(PROBE_SECONDS))})
            with engine.connect():
                pass
            engine.dispose()
    except Exception as error:  # drivers raise many kinds; each means the same to the user
        raise TrackingUnavailableError(
            f"MLflow's database {hide_password(uri)} cannot be opened ({describe_failure(error)})."
        ) from None


def _probe_file(database: Path) -> None:
    import sqlite3
    from contextlib import closing

    if database.exists() and not database.is_file():
        raise OSError("it is a folder" if database.is_dir() else "it is no file")
    place = database if database.exists() else _existing_parent(database)
    if not os.access(place, os.W_OK):
        raise PermissionError(f"{place} cannot be written")
    if database.exists():
        with closing(sqlite3.connect(database, timeout=LOCK_SECONDS)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def _existing_parent(path: Path) -> Path:
    """The nearest folder above that is there; raises if it is a file."""
    parent = next(p for p in path.parents if p.exists())
    if not parent.is_dir():
        raise NotADirectoryError(f"{parent} is no folder")
    return parent


def open_client(uri: str, timeout_s: int = 30, retries: int = 1) -> "MlflowClient":
    """Return a client of a store that answers; a missing SQLite database is created.

    Whoever comes first creates the database, or migrates it to a newer MLflow, behind a file lock.
    Both happen to a file beside it, which takes its place when it is complete, so that a process
    that is killed leaves no half of one. Before a migration the database is copied
    (``….before-migration``).

    Parameters
    ----------
    uri
        ``sqlite:///file.db`` (relative to the current directory, or absolute), the
        address of a server, or any other store that MLflow knows. User and password of a server
        are sent as a header.
    timeout_s, retries
        Limits of one request to a server, unless the environment sets others.

    Raises
    ------
    TrackingUnavailableError
        If the store cannot be reached, created or migrated.
    """
    configure_client(timeout_s, retries)
    uri = pass_credentials(uri)
    probe_store(uri)
    database = find_database(uri)
    try:
        probe_database(uri)
        if database is None:
            return _connect(uri)
        # MLflow creates its tables without a lock: several first users would collide.
        from filelock import FileLock

        database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{database}.lock", timeout=LOCK_SECONDS):
            return _connect_or_migrate(resolve_uri(uri), database)
    except TrackingUnavailableError:
        raise
    except Exception as error:  # MLflow's stores raise many kinds; none may reach the results
        raise TrackingUnavailableError(
            f"MLflow store {hide_password(uri)} cannot be used ({describe_failure(error)})."
        ) from error


@contextmanager
def hold_store(uri: str) -> Iterator[None]:
    """Let one process at a time bring the runs in a SQLite database in line; servers are not held.

    Two that begin together would both find nothing, and write every run twice.
    """
    database = find_database(uri)
    if database is None:
        yield
        return
    from filelock import FileLock

    with FileLock(f"{database}.mirror.lock", timeout=MIRROR_SECONDS):
        yield


def find_experiment(client: "MlflowClient", uri: str, name: str) -> str:
    """Return the id of the experiment of that name; create or restore it if need be.

    Beside a SQLite database, artifacts go to the folder ``mlartifacts``; a server
    decides for itself. Several jobs may call this at once.
    """
    from mlflow.exceptions import MlflowException

    database = find_database(uri)
    location = None if database is None else (database.parent / ARTIFACT_FOLDER / name).as_uri()
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException:
            # Another job was quicker; anything else shows in the next line.
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)


def _connect(uri: str) -> "MlflowClient":
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    if uri.startswith(HTTP):
        limit, retries = (
            float(os.environ[f"MLFLOW_HTTP_REQUEST_{name}"]) for name in ("TIMEOUT", "MAX_RETRIES")
        )
        _call_within((limit + 1) * (retries + 1), lambda: client.search_experiments(max_results=1))
    else:
        client.search_experiments(max_results=1)
    return client


def _connect_or_migrate(uri: str, database: Path) -> "MlflowClient":
    from mlflow.exceptions import MlflowException

    if not database.exists():
        _create(database)
    try:
        return _connect(uri)
    except MlflowException as error:
        if "out-of-date database schema" not in str(error):
            raise
    _migrate(database)
    return _connect(uri)


def _create(database: Path) -> None:
    """Let MLflow make its tables, which takes seconds."""
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    beside = _begin_beside(database, ".creating")
    uri = f"{SQLITE_PREFIX}{beside.as_posix()}"
    SqlAlchemyStore(uri, DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH).engine.dispose()
    beside.replace(database)


def _migrate(database: Path) -> None:
    """Upgrade a copy with MLflow's own command, then copy it back, which SQLite does in one step.

    It must stay the same file, since this process has it open.
    """
    _copy_database(database, database.with_name(database.name + ".before-migration"))
    beside = _begin_beside(database, ".migrating")
    _copy_database(database, beside)
    command = [sys.executable, "-m", "mlflow", "db", "upgrade"]
    command += [f"{SQLITE_PREFIX}{beside.as_posix()}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise TrackingUnavailableError(
            f"{database}: the migration to this version of MLflow failed ({lines[-1][:200]}); "
            f"the database is as it was."
        )
    _copy_database(beside, database)
    beside.unlink()


def _begin_beside(database: Path, suffix: str) -> Path:
    """Return a file beside the database that is not there, even if a process was killed at it."""
    beside = database.with_name(database.name + suffix)
    for left in (beside, beside.with_name(beside.name + "-journal")):
        left.unlink(missing_ok=True)
    return beside


def _copy_database(source: Path, target: Path) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
