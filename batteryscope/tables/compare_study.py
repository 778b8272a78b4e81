"""From the predictions of networks of rows to all tables of their comparison."""

from pathlib import Path

import pandas as pd

from batteryscope.core.progress import log
from batteryscope.evaluation.flat_metrics import flatten_metrics
from batteryscope.evaluation.write_comparison import write_comparison
from batteryscope.planning.layout import RowLayout
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


def compare_study(layout: RowLayout, out: Path) -> None:
    """Fit the baselines, score everything, and write tables, metrics and findings.

    Raises
    ------
    InputError
        If a piece of the study is missing or cannot be used.
    """
    settings = layout.plan.settings
    manifest = pd.read_parquet(layout.data.manifest)
    split = pd.read_parquet(layout.split().roles)
    predicted = layout.arm(settings.main_arm).predictions
    networks = pd.read_parquet(predicted)
    check_table_predictions(networks, list(settings.dataset.targets), str(predicted))
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

    out.mkdir(parents=True, exist_ok=True)
    predictions.to_parquet(out / "predictions.parquet", index=False)
    tables = {
        "comparison": comparison,
        "paired": pairs,
        "ablations": ablations,
        "intervals": intervals,
    }
    metrics = flatten_metrics(comparison, ratios, by="domain")
    write_comparison(out, tables, metrics, findings, SENTENCES)
    log.info("%d predictions of %d arms", len(predictions), predictions["arm"].nunique())
