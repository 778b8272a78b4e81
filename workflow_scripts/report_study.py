"""Write the report of a study: one HTML page with its figures and tables."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.core.progress import log
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    parser.add_argument("--settings", required=True, help="settings of the study (JSON)")
    parser.add_argument("--work", type=Path, required=True, help="folder with its pieces")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw (default: 1)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the report to write")
    return run_program(report, parser, argv)


def report(arguments: argparse.Namespace) -> None:
    """Let the module of the study's kind write the report."""
    from batteryscope.core.named_function import load_function
    from batteryscope.planning.layout import open_study

    layout = open_study(arguments.work, arguments.study, arguments.settings)
    write = load_function(layout.modules.report, "report_study")
    log.info("report: %s", write(layout, arguments.out, arguments.workers))


if __name__ == "__main__":
    sys.exit(main())
