"""Train all fits (repeats and folds) of one stage of an arm, and let each predict."""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--settings", required=True, help="stage settings (JSON text or file)")
    parser.add_argument("--manifest", type=Path, required=True, help="sample table (parquet)")
    parser.add_argument("--split", type=Path, required=True, help="roles (parquet)")
    parser.add_argument("--balance", type=Path, required=True, help="balance plan (parquet)")
    parser.add_argument("--tiles", type=Path, required=True, help="folder of the tile store")
    parser.add_argument("--parent", type=Path, nargs="*", default=[], help="parent stage's parts")
    parser.add_argument("--part", type=int, default=0, help="which share of the fits to train")
    parser.add_argument("--state", type=Path, required=True, help="folder that survives a kill")
    parser.add_argument("--out", type=Path, required=True, help="folder for the finished fits")
    parser.add_argument(
        "--tracking-uri",
        default=os.environ.get("MLFLOW_TRACKING_URI", ""),
        help="MLflow address; empty: do not record (default: MLFLOW_TRACKING_URI)",
    )
    parser.add_argument("--chain", default="", help="name of the stage chain, for tracking")
    return run_program(train, parser, argv, heavy=True)


def train(arguments: argparse.Namespace) -> None:
    """Load tables and tiles, then train."""
    from batteryscope.plan import StageSettings

    settings = read_settings(StageSettings, arguments.settings)
    import pandas as pd

    from batteryscope.evaluation.judge_fit import write_fit_predictions
    from batteryscope.models.weights_file import digest_weights
    from batteryscope.provenance import digest_training_code
    from batteryscope.tilestore import TileStore
    from batteryscope.tracking.live import LateRun, open_live_run
    from batteryscope.training.stage import is_first_process, list_fits, plan_fits, train_stage

    manifest, split = pd.read_parquet(arguments.manifest), pd.read_parquet(arguments.split)
    store = TileStore.open(arguments.tiles)
    parents = {fit.name: fit for part in arguments.parent for fit in sorted(part.glob("r*_f*"))}
    classes, tasks = plan_fits(
        settings,
        manifest,
        split,
        pd.read_parquet(arguments.balance),
        store.index,
        store.tiles,
        list_fits(split, arguments.part, settings.train.parallel_jobs),
        digest_training_code() + digest_weights(settings.model),
        parents,
    )

    def make_listener(task):  # type: ignore[no-untyped-def]
        return LateRun(
            partial(
                open_live_run,
                uri=arguments.tracking_uri,
                enabled=bool(arguments.tracking_uri),
                study=settings.study,
                job_key=f"{settings.study}/{arguments.chain}/{task.name}",
                tags={"stage": settings.stage, "repeat": str(task.repeat), "fold": str(task.fold)},
                params={"backbone": settings.model.backbone, "identity": task.identity},
            )
        )

    arguments.out.mkdir(parents=True, exist_ok=True)  # stays empty if there are more jobs than fits
    train_stage(
        settings, classes, tasks, store.tiles, arguments.state, arguments.out, make_listener
    )
    for task in tasks if is_first_process() else []:
        roles = split[(split["repeat"] == task.repeat) & (split["fold"] == task.fold)]
        folder = arguments.out / task.name
        write_fit_predictions(folder, store, manifest, roles, settings.train.accelerator)


if __name__ == "__main__":
    sys.exit(main())
