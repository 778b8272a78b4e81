"""Train all models of a study of tables, and predict with them."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.core.progress import log
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="sample table (parquet)")
    parser.add_argument("--split", type=Path, required=True, help="roles (parquet)")
    parser.add_argument("--settings", required=True, help="table study as JSON text or file")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--threads", type=int, default=1, help="processor cores (default: 1)")
    return run_program(train, parser, argv, heavy=True)


def train(arguments: argparse.Namespace) -> None:
    """Plan, train, predict, write."""
    from batteryscope.config.table_study import TableStudySettings

    settings = read_settings(TableStudySettings, arguments.settings)
    import pandas as pd
    import torch

    from batteryscope.tables.network_files import write_networks
    from batteryscope.tables.plan_tasks import plan_tasks
    from batteryscope.tables.predict_tasks import gather_histories, predict_tasks
    from batteryscope.tables.split_rows import split_rows
    from batteryscope.tables.train_stack import count_fits, train_tasks

    torch.set_num_threads(arguments.threads)
    manifest = pd.read_parquet(arguments.manifest)
    split = pd.read_parquet(arguments.split)
    features = list(settings.dataset.features)
    plan = plan_tasks(manifest, split, settings, split_rows)
    n_networks = count_fits(plan.tasks, settings.train)
    log.info("Training %d models for %d tasks", n_networks, len(plan.tasks))
    started = time.perf_counter()
    trained = train_tasks(plan.tasks, settings.train, settings.train.seed)
    seconds = round(time.perf_counter() - started, 1)
    log.info("%d models trained in %.0f s", n_networks, seconds)

    arguments.out.mkdir(parents=True, exist_ok=True)
    write_networks(arguments.out, trained, plan.table, features)
    histories = gather_histories(plan, trained)
    histories.to_parquet(arguments.out / "histories.parquet", index=False)
    predictions = predict_tasks(plan, trained, manifest, features)
    predictions.to_parquet(arguments.out / "predictions.parquet", index=False)
    cost = {"seconds": seconds, "n_networks": n_networks, "n_tasks": len(plan.tasks)}
    text = json.dumps(cost, indent=1) + "\n"
    (arguments.out / "cost.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
