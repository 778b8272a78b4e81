"""Brings the runs in MLflow in line with the runs as they should stand."""

import json
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from batteryscope.core.names import DIGEST_TAG, KEY_TAG, LIVE_TAG, PARENT_TAG
from batteryscope.tracking.model import log_bundle
from batteryscope.tracking.records import DatasetRecord, RunRecord, find_guarded

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, Metric, Run

T = TypeVar("T")

# Limits of one request, see mlflow.utils.validation: 1000 of both together.
METRICS_AT_ONCE = 800
PARAMETERS_AT_ONCE = 100
RUNS_PER_PAGE = 1000
# Which fit a run is, as a tag of final runs and a parameter of live ones.
FIT_TAG, IDENTITY = "fit.identity", "identity"
SYSTEM = "system/"  # MLflow's own prefix
# Counts how often a job was recorded anew. Clocks of several machines would not tell who was last.
GENERATION_TAG = "generation"


def reconcile_runs(
    client: "MlflowClient",
    uri: str,
    experiment_id: str,
    records: Sequence[RunRecord],
    git_commit: str = "",
) -> dict[str, str]:
    """Make MLflow show exactly these runs, touching only what differs.

    A complete run with the same job key and content digest stays as it is (and keeps
    the commit that it was made with). Otherwise a new run is written, and the old one
    is deleted only after all new ones are complete. Deleted with it are children of
    these parents that no record claims, and the live runs of these fits. Runs without
    a job key (a user's own) and of other arms stay. Of runs of the same jobs that several
    processes write at the same time, all of them keep the same ones.

    Parameters
    ----------
    client, uri
        An open client and the address of its store.
    experiment_id
        The study's experiment.
    records
        Parents before their children.
    git_commit
        Commit of the code, a tag of the runs that are written.

    Returns
    -------
    dict
        Job key to run id, in the order of ``records``.
    """
    standing = list_runs(client, experiment_id)
    by_key: dict[str, list[Run]] = defaultdict(list)
    for run in standing:
        by_key[run.data.tags.get(KEY_TAG, "")].append(run)
    run_ids: dict[str, str] = {}
    digests = {record.key: record.digest() for record in records}
    for record in records:
        parent_id = run_ids[record.parent] if record.parent is not None else ""
        digest = digests[record.key]
        kept = next((run for run in by_key[record.key] if _is_complete(run, digest)), None)
        if kept is None:
            earlier = by_key[record.key]
            load = _read_load(client, [*by_key[record.live_key or ""], *earlier], record)
            generation = 1 + max(map(_read_generation, earlier), default=0)
            counted = replace(record, tags={**record.tags, GENERATION_TAG: str(generation)})
            run_ids[record.key] = write_run(
                client, uri, experiment_id, counted, digest, parent_id, git_commit, load
            )
            continue
        run_ids[record.key] = kept.info.run_id
        if parent_id and kept.data.tags.get(PARENT_TAG) != parent_id:
            client.set_tag(kept.info.run_id, PARENT_TAG, parent_id)
    for run in _find_superseded(standing, records, set(run_ids.values())):
        _delete_once(client, run)
    if set(run_ids.values()) <= {run.info.run_id for run in standing}:
        return run_ids  # nothing was written
    return _agree_with_others(client, experiment_id, records, run_ids)


def list_runs(client: "MlflowClient", experiment_id: str) -> list["Run"]:
    """Return all runs of an experiment that are not deleted, newest first."""
    runs: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs([experiment_id], max_results=RUNS_PER_PAGE, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def write_run(
    client: "MlflowClient",
    uri: str,
    experiment_id: str,
    record: RunRecord,
    digest: str,
    parent_id: str = "",
    git_commit: str = "",
    load: Sequence["Metric"] = (),
) -> str:
    """Write one run and return its id; only a complete one is FINISHED and has the content digest.

    ``load`` is what the machine did meanwhile.
    """
    from mlflow.entities import Metric, Param, RunTag

    tags = {**record.tags, KEY_TAG: record.key}
    # A model is logged by MLflow's own run, which ends as FINISHED before all is written. Others
    # have it from the beginning: each request costs transactions of the database.
    late = [] if record.bundle is None else [RunTag(DIGEST_TAG, digest)]
    if not late:
        tags[DIGEST_TAG] = digest
    if parent_id:
        tags[PARENT_TAG] = parent_id
    if git_commit:
        tags["git_commit"] = git_commit
        # MLflow's page links this one; it knows no uncommitted changes.
        tags["mlflow.source.git.commit"] = git_commit.split("+")[0]
    run = client.create_run(experiment_id, record.started_ms, tags, record.name)
    run_id: str = run.info.run_id
    if record.datasets:
        _log_datasets(client, run_id, record.datasets)
    for path, folder in record.artifacts:
        _log_file(client, run_id, path, folder)
    if record.bundle is not None:
        log_bundle(uri, run_id, record.bundle)
    params = [Param(name, text) for name, text in record.params.items()]
    moments = _spread_times(record)
    metrics = [Metric(name, v, moments[step], step) for name, v, step in record.metrics]
    metrics += load
    # Both in one request: each costs some transactions of the database.
    batches = zip_longest(
        _in_batches(metrics, METRICS_AT_ONCE), _in_batches(params, PARAMETERS_AT_ONCE), fillvalue=()
    )
    *early, last = list(batches) or [((), ())]
    for values, texts in early:
        client.log_batch(run_id, metrics=values, params=texts)
    client.log_batch(run_id, *last, tags=late)
    client.set_terminated(run_id, "FINISHED", record.ended_ms)
    return run_id


def delete_run(client: "MlflowClient", run: "Run") -> None:
    """Delete a run and its models (MLflow keeps both restorable until ``mlflow gc``)."""
    for model in getattr(run.outputs, "model_outputs", None) or []:
        client.delete_logged_model(model.model_id)
    client.delete_run(run.info.run_id)


def _agree_with_others(
    client: "MlflowClient",
    experiment_id: str,
    records: Sequence[RunRecord],
    run_ids: dict[str, str],
) -> dict[str, str]:
    """Keep one of the families of runs that several clones have written at the same time.

    Nobody can lock a server. But whoever is ready last sees all of them, and all choose alike: who
    saw another's runs before it began replaces them, and so wins. A parent and its children are
    kept together: clones took different times for the same work.
    """
    children: dict[str, set[str]] = defaultdict(set)
    for record in records:
        children[record.parent or record.key].add(record.key)
    families = _find_families(list_runs(client, experiment_id), records)
    agreed = dict(run_ids)
    for parent, keys in children.items():
        whole = [family for family in families[parent] if keys <= set(family)]
        if not whole:
            continue  # another process has replaced ours and is not ready yet; it will see ours
        kept = max(whole, key=lambda family: _rank(family[parent][0]))
        agreed |= {key: str(kept[key][0].info.run_id) for key in keys}
        # A higher one is not whole yet. Who writes it saw ours, will delete it, and needs its own.
        beaten = [
            family
            for family in families[parent]
            if parent not in family or _rank(family[parent][0]) <= _rank(kept[parent][0])
        ]
        for key, same in [found for family in beaten for found in family.items()]:
            for run in same:
                if run.info.run_id != agreed[key]:
                    _delete_once(client, run)
    return agreed


def _rank(run: "Run") -> tuple[int, str]:
    return _read_generation(run), str(run.info.run_id)


def _read_generation(run: "Run") -> int:
    text = run.data.tags.get(GENERATION_TAG, "")
    return int(text) if text.isdecimal() else 0


def _find_families(
    standing: Sequence["Run"], records: Sequence[RunRecord]
) -> dict[str, list[dict[str, list["Run"]]]]:
    """Complete runs by key, those of one parent together; for each key of a parent.

    Children whose parent another process has deleted are a family without it.
    """
    parents = {record.key: record.parent for record in records}
    families: dict[str, dict[str, dict[str, list[Run]]]]
    families = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for run in sorted(standing, key=lambda run: str(run.info.run_id)):
        tags = run.data.tags
        key = tags.get(KEY_TAG, "")
        if key in parents and run.info.status == "FINISHED" and DIGEST_TAG in tags:
            own = run.info.run_id
            head = own if parents[key] is None else tags.get(PARENT_TAG, own)
            families[parents[key] or key][head][key].append(run)
    return defaultdict(list, {key: list(found.values()) for key, found in families.items()})


def _delete_once(client: "MlflowClient", run: "Run") -> None:
    """Delete a run that another process may just have deleted."""
    from mlflow.exceptions import MlflowException

    try:
        delete_run(client, run)
    except MlflowException:
        if client.get_run(run.info.run_id).info.lifecycle_stage != "deleted":
            raise


def _read_load(client: "MlflowClient", runs: Sequence["Run"], record: RunRecord) -> list["Metric"]:
    """Processor, memory and GPU during a fit, from the run that showed it while it trained.

    No local file holds them, so a later run of the same fit inherits them.
    """
    identity = record.tags.get(FIT_TAG)
    for run in runs:
        found = run.data.tags.get(FIT_TAG, run.data.params.get(IDENTITY))
        names = [name for name in run.data.metrics if name.startswith(SYSTEM)]
        if names and identity is not None and found == identity:
            return [m for name in names for m in client.get_metric_history(run.info.run_id, name)]
    return []


def _is_complete(run: "Run", digest: str) -> bool:
    return run.info.status == "FINISHED" and run.data.tags.get(DIGEST_TAG) == digest


def _find_superseded(
    standing: Sequence["Run"], records: Sequence[RunRecord], kept: set[str]
) -> list["Run"]:
    """Old runs of these records, children that no record claims, and live runs that are over."""
    keys = {record.key for record in records}
    keys |= {record.live_key for record in records if record.live_key is not None}
    standing_ids = {run.info.run_id for run in standing}
    superseded: list[Run] = []
    parents: set[str] = set()
    for run in standing:
        if run.info.run_id not in kept and run.data.tags.get(KEY_TAG) in keys:
            superseded.append(run)
            parents.add(run.info.run_id)
    for run in standing:
        tags = run.data.tags
        # Runs without a job key are the user's own.
        if run.info.run_id in kept | parents or KEY_TAG not in tags:
            continue
        parent = tags.get(PARENT_TAG)
        # A parent of another arm, which these records do not speak of, keeps its children.
        is_orphan = parent is not None and (parent in kept | parents or parent not in standing_ids)
        is_over = tags.get(LIVE_TAG) == "true" and run.info.status != "RUNNING"
        if is_orphan or is_over:
            superseded.append(run)
    return superseded


def _spread_times(record: RunRecord) -> dict[int, int]:
    """A time for every step, spread evenly over the run: local files keep none."""
    steps = sorted({step for _, _, step in record.metrics})
    span = record.ended_ms - record.started_ms
    return {step: record.started_ms + span * (i + 1) // len(steps) for i, step in enumerate(steps)}


def _log_file(client: "MlflowClient", run_id: str, path: Path, folder: str) -> None:
    """Upload a file; texts of others in a table cannot become formulas of who downloads it."""
    guarded = find_guarded(path)
    if guarded is None:
        client.log_artifact(run_id, str(path), folder or None)
        return
    with tempfile.TemporaryDirectory() as held:  # not log_text, which changes ends of lines
        copy = Path(held, path.name)
        copy.write_bytes(guarded)
        client.log_artifact(run_id, str(copy), folder or None)


def _log_datasets(client: "MlflowClient", run_id: str, datasets: Sequence[DatasetRecord]) -> None:
    from mlflow.entities import DatasetInput, InputTag
    from mlflow.exceptions import MlflowException

    inputs = [
        DatasetInput(_make_dataset(dataset), [InputTag("mlflow.data.context", dataset.use)])
        for dataset in datasets
    ]
    try:
        client.log_inputs(run_id, inputs)
    except MlflowException:
        # Another clone has written the same data set since the server looked for it (its database
        # says UniqueViolation); the server finds it now.
        client.log_inputs(run_id, inputs)


@lru_cache(maxsize=8)  # a study's runs share it
def _make_dataset(dataset: DatasetRecord) -> "Dataset":
    """The data set as MLflow's pages show it: digest, source, columns, number of samples."""
    import pandas as pd
    from mlflow.data.pandas_dataset import PandasDataset
    from mlflow.data.sources import LocalArtifactDatasetSource  # type: ignore[attr-defined]
    from mlflow.entities import Dataset

    table = pd.DataFrame() if dataset.table is None else pd.read_parquet(dataset.table)
    source = LocalArtifactDatasetSource(dataset.source)
    with warnings.catch_warnings():
        # Whole numbers would be no input for a model where some are missing; this is none.
        warnings.simplefilter("ignore")
        told = PandasDataset(
            table, source=source, name=dataset.name, digest=dataset.digest
        ).to_dict()
    profile = json.loads(told["profile"]) | json.loads(dataset.profile)
    return Dataset(**told | {"profile": json.dumps(profile)})


def _in_batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for i in range(0, len(items), size):
        yield items[i : i + size]
