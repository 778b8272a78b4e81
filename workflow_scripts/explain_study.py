"""Explain what the networks of a study look at: maps of pictures, values of features."""

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
    parser.add_argument("--out", type=Path, required=True, help="folder for maps and tables")
    return run_program(explain, parser, argv, heavy=True)


def explain(arguments: argparse.Namespace) -> None:
    """Let the module of the study's kind explain all arms."""
    from batteryscope.core.named_function import load_function
    from batteryscope.planning.layout import open_study

    layout = open_study(arguments.work, arguments.study, arguments.settings)
    load_function(layout.modules.explain, "explain_study")(layout, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
