"""Train candidates of a search, one after the other, until none is left."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from batteryscope.command_line import log, make_parser, read_settings, run_program

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


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
    parser.add_argument("--tiles", type=Path, required=True, help="folder of the tile store")
    parser.add_argument("--parent", type=Path, nargs="*", default=[], help="parent stage's parts")
    parser.add_argument("--state", type=Path, required=True, help="folder that survives a kill")
    parser.add_argument(
        "--tracking-uri",
        default=os.environ.get("MLFLOW_TRACKING_URI", ""),
        help="MLflow address; empty: do not record (default: MLFLOW_TRACKING_URI)",
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write at the end")
    return run_program(work, parser, argv)


def work(arguments: argparse.Namespace) -> None:
    """Open the search and the data, then train."""
    import pandas as pd

    from batteryscope.config.study import StudySettings
    from batteryscope.plan import plan_study
    from batteryscope.search.candidate import keep_seen_part, train_candidate
    from batteryscope.search.plan_search import plan_search
    from batteryscope.search.queue import is_over, list_slots, load_queue, run_queue
    from batteryscope.search.sampling import make_pruner, make_sampler
    from batteryscope.search.storage import open_storage
    from batteryscope.tilestore import TileStore
    from batteryscope.tracking.live import open_live_run
    from batteryscope.tracking.search_mirror import name_candidate_job

    created = json.loads(arguments.created.read_text(encoding="utf-8"))
    strategy = created["strategy"]
    settings = read_settings(StudySettings, arguments.settings)
    plan = plan_search(plan_study(arguments.study, settings))
    assert plan is not None  # the rule exists for studies with a search alone
    search = plan.settings
    queue = load_queue(
        open_storage(arguments.storage, search.heartbeat_s, search.max_retries),
        arguments.storage,
        created["name"],
        sampler=make_sampler(strategy, search.seed, arguments.worker),
        pruner=make_pruner(strategy, search),
    )
    store = TileStore.open(arguments.tiles)
    split = pd.read_parquet(arguments.split)
    data = keep_seen_part(pd.read_parquet(arguments.manifest), split, store.index, store.tiles)
    fit = f"r{data.split['repeat'].iloc[0]}_f{data.split['fold'].iloc[0]}"
    parents = [folder for part in arguments.parent for folder in part.glob(fit)]

    def listen(candidate, values):  # type: ignore[no-untyped-def]
        return open_live_run(
            uri=arguments.tracking_uri,
            enabled=bool(arguments.tracking_uri),
            study=arguments.study,
            job_key=name_candidate_job(arguments.study, strategy, candidate),
            tags={"search": strategy, "candidate": str(candidate)},
            params=values,
        )

    def report(trial: "FrozenTrial") -> None:
        slots = list_slots(queue.study)
        over = [t for t in slots.values() if is_over(t)]
        values = [t.value for t in over if t.state.name == "COMPLETE" and t.value is not None]
        choose = max if search.metric == "val_accuracy" else min
        best = choose(values) if values else None
        log.info(
            "%s search %s: candidate %d %s at %s after %d epochs; %d of %d done, best %s %s",
            arguments.study,
            strategy,
            trial.user_attrs["slot"],
            trial.state.name.lower(),
            "–" if trial.value is None else f"{trial.value:.4f}",
            trial.user_attrs.get("epochs", 0),
            len(over),
            len(slots),
            search.metric,
            "–" if best is None else f"{best:.4f}",
        )

    state = arguments.state / created["name"]
    ended = run_queue(
        queue,
        lambda trial: train_candidate(
            trial,
            search,
            plan.stage.settings,
            data,
            state,
            parents[0] if parents else None,
            listen,
        ),
        search.heartbeat_s,
        report,
    )
    # Who trained what is chance; equal searches shall give equal files.
    arguments.out.write_text(json.dumps({"name": created["name"]}) + "\n", encoding="utf-8")
    log.info("worker %d: ended %d candidates", arguments.worker, ended)


if __name__ == "__main__":
    sys.exit(main())
