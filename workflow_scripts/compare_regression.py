"""Put networks, baselines, physics and published capacities side by side, and say what follows."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--settings", required=True, help="study settings as JSON")
    parser.add_argument("--manifest", type=Path, required=True, help="sample table (parquet)")
    parser.add_argument("--predicted", type=Path, required=True, help="folder with one per arm")
    parser.add_argument(
        "--arms", required=True, help="JSON: name → {split, where, tiles, scheme, group, backbone}"
    )
    parser.add_argument("--main-arm", required=True, help="whose numbers are told first")
    parser.add_argument("--frames", type=Path, help="measured frames (parquet), for grey levels")
    parser.add_argument("--simulated", type=Path, help="capacities of the half-cell model (CSV)")
    parser.add_argument("--out-dir", type=Path, required=True, help="folder for the tables")
    return run_program(compare, parser, argv, heavy=True)


def compare(arguments: argparse.Namespace) -> None:
    """Fit the baselines, score everything and write the tables."""
    from batteryscope.config.study import StudySettings

    study = read_settings(StudySettings, arguments.settings)
    from batteryscope.evaluation.regression_study import RegressionPieces, compare_study

    pieces = RegressionPieces(
        manifest=arguments.manifest,
        predicted=arguments.predicted,
        arms=json.loads(arguments.arms),
        main_arm=arguments.main_arm,
        simulated=arguments.simulated,
        frames=arguments.frames,
    )
    compare_study(study, pieces, arguments.out_dir)


if __name__ == "__main__":
    sys.exit(main())
