"""Draw from what parts of a picture networks predict capacities: maps of all arms, and numbers."""

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
    parser.add_argument("--settings", required=True, help="explain settings (JSON text or file)")
    parser.add_argument("--manifest", type=Path, required=True, help="sample table (parquet)")
    parser.add_argument("--dataset", type=Path, required=True, help="folder of the images")
    parser.add_argument("--phases", type=Path, help="folder of phase maps")
    parser.add_argument("--arms", required=True, help="JSON: name → {split, where, tiles, fits, …}")
    parser.add_argument("--published", nargs="+", default=[], help="arms with all methods")
    parser.add_argument("--max-pixels", type=int, default=200_000_000, help="largest picture")
    parser.add_argument("--out", type=Path, required=True, help="folder for maps and tables")
    return run_program(explain, parser, argv, heavy=True)


def explain(arguments: argparse.Namespace) -> None:
    """Explain arm by arm."""
    from batteryscope.config.evaluate import ExplainSettings

    settings = read_settings(ExplainSettings, arguments.settings)
    from batteryscope.explain.regression_study import ExplainPieces, explain_study

    pieces = ExplainPieces(
        manifest=arguments.manifest,
        dataset=arguments.dataset,
        phases=arguments.phases,
        arms=json.loads(arguments.arms),
        published=tuple(arguments.published),
        max_pixels=arguments.max_pixels,
    )
    explain_study(pieces, settings, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
