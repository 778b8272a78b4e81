"""Write what a search found: tables, figures, a page, and the best settings as an overlay."""

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
    parser.add_argument("--created", type=Path, nargs="+", required=True, help="ASHA's first")
    parser.add_argument("--storage", required=True, help="address of the database")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    return run_program(summarise, parser, argv)


def summarise(arguments: argparse.Namespace) -> None:
    """Read all candidates and write everything."""
    from batteryscope.config.project import read_study
    from batteryscope.search.find_plan import find_search
    from batteryscope.search.queue import load_queue
    from batteryscope.search.storage import open_storage
    from batteryscope.search.write_summary import write_summary

    settings = read_study(arguments.settings)
    plan = find_search(arguments.study, settings)
    search = plan.settings
    storage = open_storage(arguments.storage, search.heartbeat_s, search.max_retries)
    searches = {}
    for path in arguments.created:
        created = json.loads(path.read_text(encoding="utf-8"))
        queue = load_queue(storage, arguments.storage, created["name"])
        searches[created["strategy"]] = queue.study
    sentence = write_summary(arguments.study, settings, plan, searches, arguments.out)
    log.info("%s", sentence)
    log.info("page: %s", arguments.out / "search.html")


if __name__ == "__main__":
    sys.exit(main())
