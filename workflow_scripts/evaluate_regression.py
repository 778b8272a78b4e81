"""Predict validation and test images with all fits of all arms that predict capacities."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.command_line import make_parser, run_program, show_progress


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="sample table (parquet)")
    parser.add_argument(
        "--arms", required=True, help="JSON: name → {split, tiles, fits: [parts of the stage]}"
    )
    parser.add_argument("--out", type=Path, required=True, help="gets a folder per arm")
    return run_program(evaluate, parser, argv)


def evaluate(arguments: argparse.Namespace) -> None:
    """Load every fit once and predict."""
    import pandas as pd

    from batteryscope.evaluation.cost import summarise_cost
    from batteryscope.evaluation.forward import choose_device, load_fit
    from batteryscope.evaluation.regression_predictions import predict_regression_fit
    from batteryscope.tilestore import TileStore

    manifest = pd.read_parquet(arguments.manifest)
    device = choose_device()
    for arm, pieces in show_progress(json.loads(arguments.arms).items(), "evaluating", unit="arm"):
        split = pd.read_parquet(pieces["split"])
        store = TileStore.open(Path(pieces["tiles"]))
        tables, records = [], []
        for folder in sorted(fit for part in pieces["fits"] for fit in Path(part).glob("r*_f*")):
            fit = json.loads((folder / "fit.json").read_text(encoding="utf-8"))
            records.append(fit)
            roles = split[(split["repeat"] == fit["repeat"]) & (split["fold"] == fit["fold"])]
            model = load_fit(folder).to(device)
            tables.append(
                predict_regression_fit(model, store.tiles, store.index, manifest, roles, arm)
            )
        out = arguments.out / arm
        out.mkdir(parents=True, exist_ok=True)
        pd.concat(tables, ignore_index=True).to_parquet(out / "predictions.parquet", index=False)
        cost = json.dumps(summarise_cost(records), indent=1) + "\n"
        (out / "cost.json").write_text(cost, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
