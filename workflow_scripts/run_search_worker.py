"""Train candidates of a search, one after the other, until none is left."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    parser.add_argument("--settings", required=True, help="study settings (JSON text or file)")
    parser.add_argument("--created", type=Path, required=True, help="JSON of create_search.py")
    parser.add_argument("--storage", required=True, help="address of the database")
    parser.add_argument("--worker", type=int, default=0, help="number of this worker")
    parser.add_argument("--manifest", type=Path, required=True, help="sample table (parquet)")
    parser.add_argument("--split", type=Path, required=True, help="roles (parquet)")
    parser.add_argument("--tiles", type=Path, help="folder of the tile store; tables have none")
    parser.add_argument("--parent", type=Path, nargs="*", default=[], help="parent stage's parts")
    parser.add_argument("--state", type=Path, required=True, help="folder that survives a kill")
    parser.add_argument(
        "--tracking-uri",
        default=os.environ.get("MLFLOW_TRACKING_URI", ""),
        help="MLflow address; empty: do not record (default: MLFLOW_TRACKING_URI)",
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write at the end")
    return run_program(work, parser, argv, heavy=True)


def work(arguments: argparse.Namespace) -> None:
    """Open the search and the data, then train."""
    from batteryscope.config.project import read_study
    from batteryscope.search.find_plan import find_search
    from batteryscope.search.worker import open_data, run_worker
    from batteryscope.tracking.live import LateRun, open_live_run
    from batteryscope.tracking.search_mirror import name_candidate_job

    plan = find_search(arguments.study, read_study(arguments.settings))
    make_trainer = open_data(
        plan, arguments.manifest, arguments.split, arguments.tiles, arguments.parent
    )

    def listen(strategy, candidate, values):  # type: ignore[no-untyped-def]
        return LateRun(
            partial(
                open_live_run,
                uri=arguments.tracking_uri,
                enabled=bool(arguments.tracking_uri),
                study=arguments.study,
                job_key=name_candidate_job(arguments.study, strategy, candidate),
                tags={"search": strategy, "candidate": str(candidate)},
                params=values,
            )
        )

    told = run_worker(
        plan,
        arguments.created,
        arguments.storage,
        arguments.worker,
        make_trainer,
        arguments.state,
        listen,
    )
    arguments.out.write_text(json.dumps(told) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
