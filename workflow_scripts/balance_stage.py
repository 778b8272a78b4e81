"""Plan how often each training tile of a stage is seen and what it weighs in the loss."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.core.progress import log
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program."""
    parser = make_parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="sample table (parquet)")
    parser.add_argument("--split", type=Path, required=True, help="roles (parquet)")
    parser.add_argument("--index", type=Path, required=True, help="index of the tile store")
    parser.add_argument("--settings", required=True, help="what to balance, as JSON text or file")
    parser.add_argument("--out", type=Path, required=True, help="balance plan (parquet) to write")
    return run_program(_balance, parser, argv)


def _balance(arguments: argparse.Namespace) -> None:
    import pandas as pd

    from batteryscope.balance import balance_stage
    from batteryscope.manifest.schema import read_manifest
    from batteryscope.plan import BalanceTask

    task = read_settings(BalanceTask, arguments.settings)
    plan = balance_stage(
        read_manifest(arguments.manifest, task.label_columns),
        pd.read_parquet(arguments.split),
        pd.read_parquet(arguments.index),
        task.balance,
        task.where,
        task.stage,
        task.seed,
        needs_all_classes=task.needs_all_classes,
        tiles_per_class=task.tiles_per_class,
    )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    plan.to_parquet(arguments.out, index=False)
    n_fits = len(plan[["repeat", "fold"]].drop_duplicates())
    log.info("%d fits, %.0f tiles per epoch on average", n_fits, plan["copies"].sum() / n_fits)


if __name__ == "__main__":
    sys.exit(main())
