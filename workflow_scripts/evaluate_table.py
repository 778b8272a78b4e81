"""Compare networks and baselines of a table study, with intervals, and say what follows."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.core.progress import log
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="row table (parquet)")
    parser.add_argument("--split", type=Path, required=True, help="roles (parquet)")
    parser.add_argument(
        "--predictions", type=Path, required=True, help="predictions of the networks (parquet)"
    )
    parser.add_argument("--settings", required=True, help="the table study as JSON")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables")
    return run_program(evaluate, parser, argv)


def evaluate(arguments: argparse.Namespace) -> None:
    """Fit the baselines, score everything, and write tables, metrics and findings."""
    import pandas as pd

    from batteryscope.config.table_study import TableStudySettings
    from batteryscope.evaluation.flat_metrics import flatten_metrics
    from batteryscope.evaluation.write_comparison import write_comparison
    from batteryscope.tables.ablations import find_full_values, summarise_ablations
    from batteryscope.tables.baselines import predict_baselines
    from batteryscope.tables.compare import compare_pairs, find_left_out_ratios
    from batteryscope.tables.findings import find_table_findings
    from batteryscope.tables.intervals import measure_intervals
    from batteryscope.tables.scores import (
        compare_table_arms,
        score_predictions,
    )
    from batteryscope.tables.sentences import SENTENCES
    from batteryscope.tables.split_rows import find_row_groups
    from batteryscope.tables.table_predictions import check_table_predictions, name_source_arm

    settings = read_settings(TableStudySettings, arguments.settings)
    manifest = pd.read_parquet(arguments.manifest)
    split = pd.read_parquet(arguments.split)
    networks = pd.read_parquet(arguments.predictions)
    check_table_predictions(networks, list(settings.dataset.targets), str(arguments.predictions))
    networks = name_source_arm(networks, settings.dataset.source)
    baselines = predict_baselines(manifest, split, settings, settings.train.seed)
    predictions = pd.concat([networks[baselines.columns], baselines], ignore_index=True)

    scores = score_predictions(predictions)
    comparison = compare_table_arms(predictions, settings)
    ratios = find_left_out_ratios(split, manifest.set_index("sample_id")["domain"])
    groups = find_row_groups(manifest, list(settings.dataset.features))
    pairs = compare_pairs(predictions, settings.main_arm, ratios, groups)
    ablations = summarise_ablations(predictions, find_full_values(manifest, split, settings))
    intervals = measure_intervals(predictions, settings.evaluate.coverage)
    findings = find_table_findings(
        manifest, split, scores, pairs, ablations, intervals, predictions, settings
    )

    arguments.out.mkdir(parents=True, exist_ok=True)
    predictions.to_parquet(arguments.out / "predictions.parquet", index=False)
    tables = {
        "comparison": comparison,
        "paired": pairs,
        "ablations": ablations,
        "intervals": intervals,
    }
    metrics = flatten_metrics(comparison, ratios, by="domain")
    write_comparison(arguments.out, tables, metrics, findings, SENTENCES)
    log.info("%d predictions of %d arms", len(predictions), predictions["arm"].nunique())


if __name__ == "__main__":
    sys.exit(main())
