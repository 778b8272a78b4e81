"""Gather what all fits of arms predicted for validation and test samples."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--by", required=True, help="module that describes the predictions")
    parser.add_argument("--manifest", type=Path, required=True, help="sample table (parquet)")
    parser.add_argument(
        "--arms", required=True, help="JSON: name → {split, where, fits: [parts of the stage]}"
    )
    parser.add_argument("--out", type=Path, required=True, help="gets a folder per arm")
    return run_program(evaluate, parser, argv)


def evaluate(arguments: argparse.Namespace) -> None:
    """Take the predictions of every fit, arm by arm."""
    from batteryscope.core.named_function import load_function
    from batteryscope.evaluation.gather_fits import gather_arms

    describe = load_function(arguments.by, "describe_predictions")
    gather_arms(arguments.manifest, json.loads(arguments.arms), describe, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
