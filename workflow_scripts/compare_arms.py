"""Put arms, baselines and published values of a study side by side, or points of its sweeps."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--by", help="module that compares (default: that of the study)")
    parser.add_argument("--study", required=True, help="name of the study")
    parser.add_argument("--settings", required=True, help="settings of the study (JSON)")
    parser.add_argument("--work", type=Path, required=True, help="folder with its pieces")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables")
    return run_program(compare, parser, argv, heavy=True)


def compare(arguments: argparse.Namespace) -> None:
    """Let a module compare."""
    from batteryscope.core.named_function import load_function
    from batteryscope.planning.layout import open_study

    layout = open_study(arguments.work, arguments.study, arguments.settings)
    doer = arguments.by or layout.modules.compare
    load_function(doer, "compare_study")(layout, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
