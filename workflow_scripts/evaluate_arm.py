"""Gather what all fits of an arm predicted for validation and test tiles, and calibrate."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.workflow.command_line import add_where, make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--arm", required=True, help="name of the arm")
    parser.add_argument("--manifest", type=Path, required=True, help="sample table (parquet)")
    parser.add_argument("--split", type=Path, required=True, help="roles (parquet)")
    add_where(parser)
    parser.add_argument("--fits", type=Path, nargs="+", required=True, help="parts of the stage")
    parser.add_argument("--predictions", type=Path, required=True, help="table (parquet) to write")
    parser.add_argument("--calibration", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--cost", type=Path, required=True, help="time and size (JSON) to write")
    return run_program(evaluate, parser, argv)


def evaluate(arguments: argparse.Namespace) -> None:
    """Take the predictions of each fit that belong to the arm."""
    import pandas as pd

    from batteryscope.evaluation.calibration import calibrate_votes
    from batteryscope.evaluation.cost import summarise_cost
    from batteryscope.evaluation.gather_fits import gather_fits

    manifest, split = pd.read_parquet(arguments.manifest), pd.read_parquet(arguments.split)
    where = json.loads(arguments.where)
    predictions, records = gather_fits(arguments.fits, split, manifest, where, arguments.arm)
    predictions.to_parquet(arguments.predictions, index=False)

    temperature, n_images = calibrate_votes(predictions)
    values = {"temperature": round(temperature, 6), "n_images": n_images}
    arguments.calibration.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    cost = summarise_cost(records)
    arguments.cost.write_text(json.dumps(cost, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
