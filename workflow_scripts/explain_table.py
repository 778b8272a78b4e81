"""Explain the networks of a study of tables: SHAP values, ranks, partial dependence."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.core.progress import log, show_progress
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="sample table (parquet)")
    parser.add_argument("--split", type=Path, required=True, help="roles (parquet)")
    parser.add_argument("--networks", type=Path, required=True, help="folder of the networks")
    parser.add_argument("--settings", required=True, help="table study as JSON text or file")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables")
    return run_program(explain, parser, argv, heavy=True)


def explain(arguments: argparse.Namespace) -> None:
    """Explain every case and write four tables."""
    from batteryscope.config.table_study import TableStudySettings

    settings = read_settings(TableStudySettings, arguments.settings)
    from functools import partial

    import pandas as pd
    import torch

    from batteryscope.tables.attribution import compare_ranks, rank_features
    from batteryscope.tables.explain_study import (
        BEFORE_TRANSFER,
        explain_study,
        find_networks,
        list_cases,
    )
    from batteryscope.tables.network_files import read_descriptions, read_networks, read_plan
    from batteryscope.tables.networks import predict_rows

    torch.set_num_threads(1)  # more threads only slow down networks of this size
    manifest = pd.read_parquet(arguments.manifest)
    split = pd.read_parquet(arguments.split)
    plan = read_plan(read_descriptions(arguments.networks))
    source = settings.dataset.source
    cases = list_cases(settings, sorted(set(manifest["domain"])))
    tasks = sorted({t for case in cases for t in find_networks(plan, case, source)["task"]})
    networks = read_networks(arguments.networks, tasks)
    predictors = {task: partial(predict_rows, network) for task, network in networks.items()}

    explained = list(
        show_progress(
            explain_study(manifest, split, predictors, plan, settings),
            "explaining",
            total=len(cases),
            unit="case",
        )
    )
    shap_values = pd.concat([values for _, values, _ in explained], ignore_index=True)
    ranking = rank_features(shap_values)
    tables = {
        "shap_values": shap_values,
        "ranking": ranking,
        "rank_changes": compare_ranks(ranking, BEFORE_TRANSFER, settings.main_arm),
        "partial_dependence": pd.concat([d for _, _, d in explained], ignore_index=True),
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(arguments.out / f"{name}.csv", index=False, float_format="%.8g")
    log.info("%d cases explained with %d networks", len(explained), len(networks))


if __name__ == "__main__":
    sys.exit(main())
