"""Connect to the database of a search, so that a wrong address is told before the long work."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--storage", required=True, help="address of the database")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    return run_program(connect, parser, argv)


def connect(arguments: argparse.Namespace) -> None:
    """Open the database."""
    from batteryscope.search.storage import open_storage

    # Nothing is trained here, so signs of life and retries do not matter.
    open_storage(arguments.storage, heartbeat_s=60, max_retries=0)
    arguments.out.write_text(json.dumps({"reached": True}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
