"""Open a page on this machine alone: choose a published model, drop pictures or a scan on it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.core.progress import log
from batteryscope.planning.study_layout import MODELS
from batteryscope.workflow.command_line import make_parser, run_program

# Where make app installs what only the page needs; what both have is taken from the environment.
EXTRA = Path("work/app")


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of published models")
    parser.add_argument("--port", type=int, default=7860, help="default: 7860")
    return run_program(open_app, parser, argv)


def open_app(arguments: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C."""
    sys.path.append(str(EXTRA.absolute()))
    from batteryscope.app.page import HOST, serve_page

    log.info("Open http://%s:%d in a browser; stop with Ctrl-C.", HOST, arguments.port)
    serve_page(arguments.models, arguments.port)


if __name__ == "__main__":
    sys.exit(main())
