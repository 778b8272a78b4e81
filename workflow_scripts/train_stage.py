"""Train all fits (repeats and folds) of one stage of an arm, and let each predict.

Of a study of rows all models of all arms are one stage.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--by", required=True, help="module that trains")
    parser.add_argument("--settings", required=True, help="settings of it (JSON text or file)")
    parser.add_argument("--manifest", type=Path, required=True, help="sample table (parquet)")
    parser.add_argument("--split", type=Path, required=True, help="roles (parquet)")
    parser.add_argument("--out", type=Path, required=True, help="folder for what was trained")
    parser.add_argument("--threads", type=int, default=1, help="cores for rows (default: 1)")
    pictures = parser.add_argument_group("stages of pictures")
    pictures.add_argument("--balance", type=Path, help="balance plan (parquet)")
    pictures.add_argument("--tiles", type=Path, help="folder of the tile store")
    pictures.add_argument("--parent", type=Path, nargs="*", default=[], help="parent's parts")
    pictures.add_argument("--part", type=int, default=0, help="which share of the fits to train")
    pictures.add_argument("--state", type=Path, help="folder that survives a kill")
    pictures.add_argument(
        "--tracking-uri",
        default=os.environ.get("MLFLOW_TRACKING_URI", ""),
        help="MLflow address; empty: do not record (default: MLFLOW_TRACKING_URI)",
    )
    pictures.add_argument("--chain", default="", help="name of the stage chain, for tracking")
    return run_program(train, parser, argv, heavy=True)


def train(arguments: argparse.Namespace) -> None:
    """Let the module of what is learnt from train."""
    from batteryscope.core.named_function import load_function
    from batteryscope.planning.training_job import TrainingJob
    from batteryscope.tracking.live import record_fit

    recorder = partial(record_fit, arguments.tracking_uri, arguments.chain)
    job = TrainingJob(
        settings=arguments.settings,
        manifest=arguments.manifest,
        split=arguments.split,
        out=arguments.out,
        threads=arguments.threads,
        balance=arguments.balance,
        tiles=arguments.tiles,
        state=arguments.state,
        parents=tuple(arguments.parent),
        part=arguments.part,
        make_listener=recorder if arguments.tracking_uri else None,
    )
    load_function(arguments.by, "train")(job)


if __name__ == "__main__":
    sys.exit(main())
