"""Generate data: pictures of cathodes or cells, check sets, or a table.

The output folder appears only when it is complete. Equal settings give equal files.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.core.progress import log
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status."""
    parser = make_parser(__doc__)
    pictures = "batteryscope.demo.write_dataset"
    parser.add_argument("--by", default=pictures, help=f"module that generates ({pictures})")
    parser.add_argument("--settings", required=True, help="generator settings, JSON text or file")
    parser.add_argument("--out", type=Path, required=True, help="folder to create")
    parser.add_argument("--capacities", type=Path, help="simulated capacities of cross-sections")
    parser.add_argument("--workers", type=int, help="processes (default: all processors)")
    return run_program(work, parser, argv)


def work(arguments: argparse.Namespace) -> None:
    """Let the named module generate."""
    from batteryscope.core.named_function import load_function

    generate = load_function(arguments.by, "generate")
    told = generate(arguments.settings, arguments.out, arguments.workers, arguments.capacities)
    log.info("%s", told)


if __name__ == "__main__":
    sys.exit(main())
