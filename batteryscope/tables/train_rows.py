"""Trains all models of a study of rows together, and lets them predict."""

import json
import time

import pandas as pd
import torch

from batteryscope.config.json_text import read_settings
from batteryscope.config.table_study import TableStudySettings
from batteryscope.core.progress import log
from batteryscope.errors import ConfigError
from batteryscope.planning.training_job import TrainingJob
from batteryscope.tables.network_files import write_networks
from batteryscope.tables.plan_tasks import plan_tasks
from batteryscope.tables.predict_tasks import gather_histories, predict_tasks
from batteryscope.tables.split_rows import split_rows
from batteryscope.tables.train_stack import count_fits, train_tasks


def train(job: TrainingJob) -> None:
    """Plan, train, predict, write.

    Raises
    ------
    ConfigError
        Settings cannot be read, or files were named that rows do not have.
    """
    settings = read_settings(TableStudySettings, job.settings)
    if job.balance or job.tiles or job.state or job.parents:
        raise ConfigError("--balance, --tiles, --state, --parent are for pictures; leave them out.")
    torch.set_num_threads(job.threads)
    manifest, split = pd.read_parquet(job.manifest), pd.read_parquet(job.split)
    features = list(settings.dataset.features)
    plan = plan_tasks(manifest, split, settings, split_rows)
    n_networks = count_fits(plan.tasks, settings.train)
    log.info("Training %d models for %d tasks", n_networks, len(plan.tasks))
    started = time.perf_counter()
    trained = train_tasks(plan.tasks, settings.train, settings.train.seed)
    seconds = round(time.perf_counter() - started, 1)
    log.info("%d models trained in %.0f s", n_networks, seconds)

    job.out.mkdir(parents=True, exist_ok=True)
    write_networks(job.out, trained, plan.table, features)
    histories = gather_histories(plan, trained)
    histories.to_parquet(job.out / "histories.parquet", index=False)
    predictions = predict_tasks(plan, trained, manifest, features)
    predictions.to_parquet(job.out / "predictions.parquet", index=False)
    cost = {"seconds": seconds, "n_networks": n_networks, "n_tasks": len(plan.tasks)}
    text = json.dumps(cost, indent=1) + "\n"
    (job.out / "cost.json").write_text(text, encoding="utf-8")
