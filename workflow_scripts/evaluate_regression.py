"""Gather the capacities that all fits predicted for validation and test images."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.command_line import make_parser, run_program


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
    from batteryscope.evaluation.predictions import read_fit_predictions
    from batteryscope.manifest.select import keep_samples

    manifest = pd.read_parquet(arguments.manifest)
    for arm, pieces in json.loads(arguments.arms).items():
        split = pd.read_parquet(pieces["split"])
        split = keep_samples(split, manifest, pieces.get("where", {}))
        tables, records = [], []
        for folder in sorted(fit for part in pieces["fits"] for fit in Path(part).glob("r*_f*")):
            fit = json.loads((folder / "fit.json").read_text(encoding="utf-8"))
            records.append(fit)
            roles = split[(split["repeat"] == fit["repeat"]) & (split["fold"] == fit["fold"])]
            tables.append(read_fit_predictions(folder, roles, arm))
        out = arguments.out / arm
        out.mkdir(parents=True, exist_ok=True)
        pd.concat(tables, ignore_index=True).to_parquet(out / "predictions.parquet", index=False)
        cost = json.dumps(summarise_cost(records), indent=1) + "\n"
        (out / "cost.json").write_text(cost, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
