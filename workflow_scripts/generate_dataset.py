"""Generate labelled pictures: SEM top views or cross-sections of cathodes, or a check set.

The output folder appears only when it is complete. Equal settings give equal files.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.workflow.command_line import make_parser, run_program

log = logging.getLogger("batteryscope")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status."""
    parser = make_parser(__doc__)
    parser.add_argument("--settings", required=True, help="generator settings, JSON text or file")
    parser.add_argument("--out", type=Path, required=True, help="folder to create")
    parser.add_argument("--capacities", type=Path, help="simulated capacities of cross-sections")
    parser.add_argument("--workers", type=int, help="processes (default: all processors)")
    return run_program(work, parser, argv)


def work(arguments: argparse.Namespace) -> None:
    """Read the settings and generate."""
    from batteryscope.demo.write_dataset import generate_dataset, read_generator

    settings = read_generator(arguments.settings)
    count = generate_dataset(settings, arguments.out, arguments.workers, arguments.capacities)
    log.info("%d generated pictures in %s", count, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
