"""Score the points of all sweeps and write them in one table."""

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
    parser.add_argument("--points", type=Path, required=True, help="points, scorer, … (JSON)")
    parser.add_argument("--arms", nargs="+", required=True, help="name=PREDICTIONS (parquet)")
    parser.add_argument("--fits", nargs="*", default=[], help="name=PART[,PART] of an arm")
    parser.add_argument("--splits", nargs="*", default=[], help="name=SPLIT (parquet) of an arm")
    parser.add_argument("--label-columns", nargs="*", default=[], help="of the class")
    parser.add_argument("--out-dir", type=Path, required=True, help="folder for the tables")
    return run_program(compare, parser, argv, heavy=True)


def compare(arguments: argparse.Namespace) -> None:
    """Read the predictions of all points and write ``sweeps.csv`` and ``metrics.json``."""
    import pandas as pd

    from batteryscope.config.evaluate import PaperValue
    from batteryscope.config.targets import Quantity
    from batteryscope.evaluation.sweep_points import count_fits, summarise_epochs, tabulate_points
    from batteryscope.evaluation.sweep_scores import PointInputs, find_scorer

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
    scorer = find_scorer(planned["scorer"])
    inputs = PointInputs(
        arguments.arms,
        pd.read_parquet(arguments.manifest),
        arguments.label_columns,
        planned["backbones"],
        arguments.splits,
        [Quantity.model_validate(value) for value in planned["quantities"]],
        planned["bases"],
    )
    table = scorer.score(inputs)
    costs = summarise_epochs(histories) if histories else count_fits(arguments.arms)
    points = tabulate_points(planned["points"], table, costs, paper)
    arguments.out_dir.mkdir(parents=True, exist_ok=True)
    points.round(6).to_csv(arguments.out_dir / "sweeps.csv", index=False)
    metrics = json.dumps(scorer.flatten(points), indent=1) + "\n"
    (arguments.out_dir / "metrics.json").write_text(metrics, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
