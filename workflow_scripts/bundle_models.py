"""Bundle the trained models of a study with all that their use needs."""

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
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    return run_program(bundle, parser, argv, heavy=True)


def bundle(arguments: argparse.Namespace) -> None:
    """Let the module of the study's kind write the bundle."""
    from batteryscope.core.named_function import load_function
    from batteryscope.planning.layout import open_study

    layout = open_study(arguments.work, arguments.study, arguments.settings)
    write = load_function(layout.modules.bundle, "bundle_models")
    record = write(layout, arguments.out)
    log.info("%d models bundled in %s.", len(record.members), arguments.out)


if __name__ == "__main__":
    sys.exit(main())
