"""The database that the workers of a search share."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from batteryscope.core.names import describe_failure, hide_password
from batteryscope.errors import BatteryscopeError

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

SQLITE = "sqlite:///"
LOCK_SECONDS = 120
CONNECT_SECONDS = 10
POSTGRES = "postgresql"
LOCK_NUMBER = 0x42415454  # of Batteryscope's searches in a database, whoever else uses it


class SearchStorageError(BatteryscopeError):
    """The database of a search cannot be reached or used."""


def open_storage(url: str, heartbeat_s: int, max_retries: int) -> "RDBStorage":
    """Connect to the database; a missing SQLite file is created.

    A trial without a sign of life for twice ``heartbeat_s`` seconds can be found and put back
    into the queue (:func:`batteryscope.search.queue.revive_trials`).

    Raises
    ------
    SearchStorageError
        If the database cannot be reached.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _explain_failure(url), lock_storage(url), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.storages.RDBStorage(
            url,
            engine_kwargs={"connect_args": _limit_waiting(url), "pool_pre_ping": True},
            heartbeat_interval=heartbeat_s,
            heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(
                max_retry=max_retries, inherit_intermediate_values=True
            ),
        )


def probe_storage(url: str) -> bool:
    """Look whether the database can be reached, and make nothing.

    Returns
    -------
    bool
        False: it is a file that is not there yet.

    Raises
    ------
    SearchStorageError
        If the database cannot be reached.
    """
    import sqlalchemy

    if (file := find_file(url)) and not file.exists():
        return False
    with _explain_failure(url):
        # Only a look at its tables tells whether a file is a database.
        engine = sqlalchemy.create_engine(url, connect_args=_limit_waiting(url))
        try:
            sqlalchemy.inspect(engine).get_table_names()
        finally:
            engine.dispose()
    return True


def _limit_waiting(url: str) -> dict[str, object]:
    """Arguments of the driver: for how long it waits for a file, or a server."""
    if find_file(url):
        return {"timeout": LOCK_SECONDS}
    return {"connect_timeout": CONNECT_SECONDS} if url.startswith(POSTGRES) else {}


@contextmanager
def _explain_failure(url: str) -> Iterator[None]:
    try:
        yield
    except SearchStorageError:
        raise
    except Exception as error:  # drivers raise many kinds; each means the same to the user
        raise SearchStorageError(
            f"search.storage: the database {hide_password(url)} cannot be used "
            f"({describe_failure(error)}); {_advise(error)}"
        ) from None


def _advise(error: Exception) -> str:
    if isinstance(error, ImportError):
        return "install its driver, for PostgreSQL: pip install psycopg2-binary."
    return "start it, correct the address, or leave search.storage out for a local file."


def find_file(url: str) -> Path | None:
    """Return the file of a SQLite database, None for a server."""
    return Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else None


@contextmanager
def lock_storage(url: str) -> Iterator[None]:
    """Let one worker at a time take from the queue, or make its tables.

    Optuna alone is not enough: two workers could take the same candidate from SQLite, and two runs
    that create a search on a server at once would both make its tables, and its candidates twice.

    Raises
    ------
    SearchStorageError
        If the database cannot be reached, or others hold the lock for two minutes.
    """
    if url.startswith(POSTGRES):
        with _lock_server(url):
            yield
        return
    file = find_file(url)
    if file is None:
        yield
        return
    from filelock import FileLock

    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock", timeout=LOCK_SECONDS):
        yield


@contextmanager
def _lock_server(url: str) -> Iterator[None]:
    """Hold a lock of the PostgreSQL server, which frees it itself if this process dies."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(
        url, connect_args=_limit_waiting(url), poolclass=sqlalchemy.pool.NullPool
    )
    with _explain_failure(url):
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    try:
        with _explain_failure(url):
            connection.execute(sqlalchemy.text(f"SET lock_timeout = '{LOCK_SECONDS}s'"))
            connection.execute(sqlalchemy.text(f"SELECT pg_advisory_lock({LOCK_NUMBER})"))
        yield
    finally:
        connection.close()
