"""A worker of a search: opens it, takes candidates and trains them until none is left."""

import json
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.core.named_function import load_function
from batteryscope.search.candidate import CandidateTrainer, train_candidate
from batteryscope.search.plan import SearchPlan, Strategy
from batteryscope.search.queue import load_queue, run_queue
from batteryscope.search.results import describe_progress
from batteryscope.search.sampling import make_pruner, make_sampler
from batteryscope.search.storage import open_storage
from batteryscope.training.callbacks import EpochListener

log = logging.getLogger("batteryscope")


def open_data(
    plan: SearchPlan, manifest: Path, split: Path, tiles: Path | None, parents: Sequence[Path]
) -> Callable[[Strategy], CandidateTrainer]:
    """Open data and return what makes the trainer of a strategy.

    Parameters
    ----------
    plan
        The search.
    manifest, split
        Tables of the contract.
    tiles
        Tile store of a study of images; None for tables.
    parents
        Parts of the stage that the searched one continues; empty if there is none.
    """
    samples, roles = pd.read_parquet(manifest), pd.read_parquet(split)
    open_trainer = load_function(plan.trainer, "open_trainer")
    make: Callable[[Strategy], CandidateTrainer] = open_trainer(
        plan, samples, roles, tiles, parents
    )
    return make


def run_worker(
    plan: SearchPlan,
    created: Path,
    storage: str,
    worker: int,
    make_trainer: Callable[[Strategy], CandidateTrainer],
    state: Path,
    listen: Callable[[str, int, dict[str, Any]], EpochListener | None],
) -> dict[str, Any]:
    """Train candidates until every one of the search has ended.

    Parameters
    ----------
    plan
        The search.
    created
        The file that tells its name and strategy.
    storage
        Address of the database.
    worker
        Number of this worker, for messages.
    make_trainer
        Makes what trains the candidates of a strategy.
    state
        Folder that survives a kill.
    listen
        Makes a listener from strategy, number and values of a candidate.

    Returns
    -------
    dict
        The name of the search: who trained what is chance, and equal searches shall give
        equal files.
    """
    told = json.loads(created.read_text(encoding="utf-8"))
    search, name, strategy = plan.settings, told["name"], told["strategy"]
    queue = load_queue(
        open_storage(storage, search.heartbeat_s, search.max_retries),
        storage,
        name,
        make_sampler=partial(make_sampler, strategy, search.seed),
        pruner=make_pruner(strategy, search),
    )
    trainer = make_trainer(strategy)
    ended = run_queue(
        queue,
        lambda trial: train_candidate(
            trial,
            plan,
            trainer,
            state / name,
            lambda candidate, values: listen(strategy, candidate, values),
        ),
        search.heartbeat_s,
        lambda trial: log.info(
            "%s", describe_progress(queue.study, trial, search, f"{plan.study} {strategy}")
        ),
    )
    log.info("worker %d: ended %d candidates", worker, ended)
    return {"name": name}
