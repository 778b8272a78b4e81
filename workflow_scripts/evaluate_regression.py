"""Gather the capacities that all fits predicted for validation and test images."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="sample table (parquet)")
    parser.add_argument(
        "--arms", required=True, help="JSON: name → {split, where, fits: [parts of the stage]}"
    )
    parser.add_argument("--out", type=Path, required=True, help="gets a folder per arm")
    return run_program(evaluate, parser, argv)


def evaluate(arguments: argparse.Namespace) -> None:
    """Take the predictions of every fit."""
    import pandas as pd

    from batteryscope.evaluation.cost import summarise_cost
    from batteryscope.evaluation.gather_fits import gather_fits

    manifest = pd.read_parquet(arguments.manifest)
    for arm, pieces in json.loads(arguments.arms).items():
        split, parts = pd.read_parquet(pieces["split"]), [Path(part) for part in pieces["fits"]]
        table, records = gather_fits(parts, split, manifest, pieces.get("where", {}), arm)
        out = arguments.out / arm
        out.mkdir(parents=True, exist_ok=True)
        table.to_parquet(out / "predictions.parquet", index=False)
        cost = json.dumps(summarise_cost(records), indent=1) + "\n"
        (out / "cost.json").write_text(cost, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
