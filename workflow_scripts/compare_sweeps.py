"""Score the points of all sweeps and write them in one table."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    parser.add_argument("--settings", required=True, help="settings of the study (JSON)")
    parser.add_argument("--work", type=Path, required=True, help="folder with its pieces")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables")
    return run_program(compare, parser, argv, heavy=True)


def compare(arguments: argparse.Namespace) -> None:
    """Read the predictions of all points and write ``sweeps.csv`` and ``metrics.json``."""
    from batteryscope.evaluation.sweep_study import compare_sweeps
    from batteryscope.planning.layout import open_study

    layout = open_study(arguments.work, arguments.study, arguments.settings)
    compare_sweeps(layout, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
