"""Create or migrate the MLflow store once, before anything logs to it.

An unreachable store is a warning, never an error: results do not depend on MLflow.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.workflow.command_line import make_parser, run_program

log = logging.getLogger("batteryscope")


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--uri", required=True, help="the tracking store; empty: none")
    parser.add_argument("--out", type=Path, required=True, help="file for the outcome (JSON)")
    return run_program(initialise, parser, argv)


def initialise(arguments: argparse.Namespace) -> None:
    """Prepare the store and write what came of it."""
    from batteryscope.tracking.store import TrackingUnavailableError, initialise_store

    status = "ready" if arguments.uri else "disabled"
    try:
        if arguments.uri:
            initialise_store(arguments.uri)
    except TrackingUnavailableError as error:
        status = "unreachable"
        log.warning("%s Everything runs on without it; upload the runs later.", error)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps({"status": status}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
