"""Tabulate a data set: one row per usable sample, and a list of the rest with reasons."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.core.progress import log
from batteryscope.workflow.command_line import make_parser, run_program

MAX_LISTED = 20


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program."""
    parser = make_parser(__doc__)
    parser.add_argument("--by", default="", help="module that reads (default: as settings say)")
    parser.add_argument(
        "--dataset", type=Path, default=Path(), help="folder of the files (default: this one)"
    )
    parser.add_argument("--settings", required=True, help="data set settings as JSON text or file")
    parser.add_argument(
        "--simulated", type=Path, help="capacities of the half-cell model (CSV), as labels"
    )
    parser.add_argument("--physics", help="half cell that they describe (JSON text or file)")
    parser.add_argument(
        "--manifest", type=Path, required=True, help="sample table (parquet) to write"
    )
    parser.add_argument(
        "--rejects", type=Path, required=True, help="list of rejects (CSV) to write"
    )
    parser.add_argument(
        "--cache", type=Path, help="file that keeps what was read, for the next time"
    )
    parser.add_argument("--frames", type=Path, help="measurements per frame (parquet) to write")
    parser.add_argument("--summary", type=Path, required=True, help="summary (JSON) to write")
    return run_program(_ingest, parser, argv)


def _ingest(arguments: argparse.Namespace) -> None:
    from batteryscope.core.named_function import load_function
    from batteryscope.samples.find_modules import find_reader

    ingest = load_function(arguments.by or find_reader(arguments.settings), "ingest")
    given = (arguments.settings, arguments.dataset, arguments.simulated, arguments.physics)
    found = ingest(*given, arguments.cache)
    found.write(arguments.manifest, arguments.rejects, arguments.summary, arguments.frames)
    for word, lines in found.listed.items():
        for line in lines[:MAX_LISTED]:
            log.warning("%s", line)
        if len(lines) > MAX_LISTED:
            further = len(lines) - MAX_LISTED
            log.warning("… and %d more %s, see %s", further, word, arguments.rejects)
    for sentence in found.warnings:
        log.warning("%s", sentence)
    log.info("%s", found.sentence)


if __name__ == "__main__":
    sys.exit(main())
