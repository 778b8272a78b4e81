"""Processes that record runs in one store at once, and what must stand there afterwards."""

import multiprocessing
from pathlib import Path

from batteryscope.tracking.live import open_live_run
from batteryscope.tracking.records import RunRecord
from batteryscope.tracking.runs import list_runs, reconcile_runs
from batteryscope.tracking.store import find_experiment, open_client
from tests.time_limits import stretch_limit

STUDY = "parallel"
EPOCHS = 200
JOBS = 8
_ENDS_WITHIN_S = 120


def write_at_once(uri: str, artifact: Path | None = None) -> None:
    """Let eight jobs record a live run and a final one each; raises if one of them fails."""
    # The fork server imports MLflow once and has no open database that a fork would share.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["mlflow", "mlflow.store.tracking.sqlalchemy_store", "tests.tracking_study"]
    )
    failures = context.Queue()
    jobs = [
        context.Process(target=_write_history, args=(uri, i, artifact, failures))
        for i in range(JOBS)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(stretch_limit(_ENDS_WITHIN_S))
    assert failures.empty(), failures.get()


def check_histories(uri: str) -> int:
    """Compare every value of every job with what it wrote; return how many there are."""
    client = open_client(uri)
    runs = list_runs(client, find_experiment(client, uri, STUDY))
    done = {r.data.tags["job_key"]: r for r in runs if "live" not in r.data.tags}
    assert sorted(done) == [f"{STUDY}/{i}" for i in range(JOBS)]
    for number in range(JOBS):
        run = done[f"{STUDY}/{number}"]
        assert run.info.status == "FINISHED"
        history = client.get_metric_history(run.info.run_id, "val_loss")
        found = sorted((m.step, m.value) for m in history)
        assert found == [(epoch, number + epoch) for epoch in range(EPOCHS)]
    return JOBS * EPOCHS


def _write_history(uri: str, number: int, artifact: Path | None, failures) -> None:
    try:
        client = open_client(uri)
        experiment = find_experiment(client, uri, STUDY)
        run = open_live_run(uri, True, STUDY, f"{STUDY}/live/{number}")
        for epoch in range(5):
            run.log_epoch(epoch, {"val_loss": float(epoch)})
        assert run.active
        run.finish()
        metrics = tuple(("val_loss", float(number + epoch), epoch) for epoch in range(EPOCHS))
        key = f"{STUDY}/{number}"
        files = ((artifact, ""),) if artifact else ()
        texts = {"n": str(number)}
        record = RunRecord(key, None, key, {"study": STUDY}, texts, metrics, artifacts=files)
        reconcile_runs(client, uri, experiment, [record])
    except BaseException as error:  # reported by the parent process
        failures.put(f"{number}: {error!r}")
