"""Mirrors a finished study in MLflow; when that is impossible, the results do not suffer."""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from batteryscope.core.names import describe_failure, hide_password
from batteryscope.errors import InputError
from batteryscope.provenance import find_git_commit
from batteryscope.tracking.address import pass_credentials
from batteryscope.tracking.first_view import show_experiment
from batteryscope.tracking.records import RunRecord
from batteryscope.tracking.runs import reconcile_runs
from batteryscope.tracking.store import find_experiment, hold_store, open_client, resolve_uri

log = logging.getLogger("batteryscope")

Status = Literal["complete", "pending", "disabled"]
UPLOAD_COMMAND = "batteryscope upload-runs"


def track_runs(
    study: str,
    plan: Callable[[], list[RunRecord]],
    uri: str,
    enabled: bool,
    command: Sequence[str],
    description: str = "",
) -> dict[str, Any]:
    """Mirror a study and describe the outcome.

    Parameters
    ----------
    study
        Its name.
    plan
        Lists the runs as they should stand, every parent before its children.
    uri
        The tracking store; empty: there is none.
    enabled
        False: MLflow is neither imported nor asked.
    command
        Name of the program and its arguments, kept to repeat this call for a later upload.
    description
        What MLflow shall say of the experiment; empty: it stays as it is, and so does its table.

    Returns
    -------
    dict
        ``status`` (``complete``, ``pending`` or ``disabled``), ``study``, ``uri``,
        ``runs`` (job key to run id), ``program`` and ``arguments``: the content of tracked.json.
        It holds no password, and the arguments not the store.

    Raises
    ------
    InputError
        If the local results cannot be read. Failures of MLflow give a warning and
        the status ``pending``, never an error.
    """
    if not (enabled and uri):
        return _describe("disabled", study, uri, {}, command)
    uri = pass_credentials(uri)
    records = plan()
    try:
        client = open_client(uri)
        experiment = find_experiment(client, uri, study)
        with hold_store(uri):
            runs = reconcile_runs(client, resolve_uri(uri), experiment, records, find_git_commit())
            if description:
                show_experiment(client, experiment, description, records)
    except InputError:
        raise
    except Exception as error:  # whatever MLflow raises, the results are safe on disk
        log.warning(
            "The runs of study '%s' are not in MLflow yet: %s (store: %s) "
            "The results are complete on disk; upload the runs later with: %s",
            study,
            describe_failure(error),
            hide_password(uri),
            UPLOAD_COMMAND,
        )
        return _describe("pending", study, uri, {}, command)
    log.info("Study '%s': %d runs in MLflow (%s).", study, len(runs), hide_password(uri))
    return _describe("complete", study, uri, runs, command)


def leave_out_store(words: Sequence[str]) -> list[str]:
    """Return arguments without ``--uri``, whose value may hold a password."""
    kept = list(words)
    while "--uri" in kept:
        place = kept.index("--uri")
        del kept[place : place + 2]
    return [word for word in kept if not word.startswith("--uri=")]


def write_tracked(path: Path, values: dict[str, Any]) -> None:
    """Write tracked.json; equal outcomes give equal files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_tracked(path: Path) -> dict[str, Any]:
    """Read a tracked.json.

    Raises
    ------
    InputError
        If the file is not what :func:`write_tracked` writes.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if (
            values["status"] in ("complete", "pending", "disabled")
            and values["arguments"]
            and values["program"]
        ):
            return dict(values)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise InputError(
        f"{path}: not a record of tracked runs; delete it and run the study again to renew it."
    )


def _describe(
    status: Status, study: str, uri: str, runs: dict[str, str], command: Sequence[str]
) -> dict[str, Any]:
    return {
        "status": status,
        "study": study,
        "uri": hide_password(uri),
        "runs": runs,
        "program": command[0],
        "arguments": leave_out_store(command[1:]),
    }
