"""Score the points of all sweeps and write them in one table."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.command_line import make_parser, run_program
from batteryscope.config.evaluate import PaperValue


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="sample table (parquet)")
    parser.add_argument("--points", type=Path, required=True, help="points, networks, paper (JSON)")
    parser.add_argument("--arms", nargs="+", required=True, help="name=PREDICTIONS (parquet)")
    parser.add_argument("--fits", nargs="+", required=True, help="name=PART[,PART] of an arm")
    parser.add_argument("--label-columns", nargs="+", required=True, help="of the manifest")
    parser.add_argument("--out-dir", type=Path, required=True, help="folder for the tables")
    return run_program(compare, parser, argv)


def compare(arguments: argparse.Namespace) -> None:
    """Read the predictions of all points and write ``sweeps.csv`` and ``metrics.json``."""
    import pandas as pd

    from batteryscope.evaluation.comparison import compare_arms, flatten_metrics
    from batteryscope.evaluation.predictions import read_all_predictions
    from batteryscope.evaluation.sweep_points import summarise_epochs, tabulate_points

    planned = json.loads(arguments.points.read_text(encoding="utf-8"))
    paper = [PaperValue.model_validate(value) for value in planned["paper"]]
    histories = {
        name: [
            pd.read_csv(path)
            for part in parts.split(",")
            for path in sorted(Path(part).glob("r*_f*/history.csv"))
        ]
        for name, _, parts in (text.partition("=") for text in arguments.fits)
    }
    table = compare_arms(
        read_all_predictions(arguments.arms),
        pd.read_parquet(arguments.manifest),
        arguments.label_columns,
        planned["backbones"],
    )
    points = tabulate_points(planned["points"], table, summarise_epochs(histories), paper)
    arguments.out_dir.mkdir(parents=True, exist_ok=True)
    points.round(6).to_csv(arguments.out_dir / "sweeps.csv", index=False)
    renamed = points.drop(columns="arm").rename(columns={"point": "arm"})
    metrics = json.dumps(flatten_metrics(renamed), indent=1) + "\n"
    (arguments.out_dir / "metrics.json").write_text(metrics, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
