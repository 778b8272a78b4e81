"""Create the search of a study in its database, once, before any worker starts."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.core.progress import log
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    parser.add_argument("--settings", required=True, help="study settings (JSON text or file)")
    parser.add_argument(
        "--strategy", choices=("asha", "random"), required=True, help="how to search"
    )
    parser.add_argument("--storage", required=True, help="address of the database")
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="split, and tile index or rows"
    )
    parser.add_argument(
        "--manifest", type=Path, required=True, help="sample table; what is learnt from it counts"
    )
    parser.add_argument("--asha", type=Path, help="created.json of ASHA, whose epochs random has")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    return run_program(create, parser, argv)


def create(arguments: argparse.Namespace) -> None:
    """Create the Optuna study and queue its candidates."""
    import pandas as pd

    from batteryscope.config.project import read_study
    from batteryscope.provenance import digest_file, digest_json
    from batteryscope.search.find_plan import find_search
    from batteryscope.search.plan import digest_samples, name_search
    from batteryscope.search.queue import create_queue, load_queue
    from batteryscope.search.results import list_candidates
    from batteryscope.search.sampling import count_random_trials, find_direction
    from batteryscope.search.storage import open_storage

    settings = read_study(arguments.settings)
    plan = find_search(arguments.study, settings)
    search = plan.settings
    digests = [digest_file(path) for path in arguments.data]
    if columns := plan.list_sample_columns():
        digests.append(digest_samples(pd.read_parquet(arguments.manifest), columns))
    data = digest_json([*digests, plan.digest_code()])
    name = name_search(plan, arguments.strategy, data)
    storage = open_storage(arguments.storage, search.heartbeat_s, search.max_retries)
    trials = search.trials
    if arguments.asha:
        asha = json.loads(arguments.asha.read_text(encoding="utf-8"))["name"]
        queue = load_queue(storage, arguments.storage, asha)
        epochs = int(list_candidates(queue.study, "asha")["epochs"].sum())
        trials = count_random_trials(epochs, search.max_epochs)
        log.info("random search: %d candidates, for the %d epochs of ASHA", trials, epochs)
    added = create_queue(storage, arguments.storage, name, find_direction(search), trials)
    log.info("%s: %d candidates, %d of them new", name, trials, added)
    text = json.dumps({"name": name, "strategy": arguments.strategy, "trials": trials}, indent=1)
    arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
