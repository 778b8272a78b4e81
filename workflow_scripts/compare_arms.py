"""Put all arms, baselines and published values side by side, and say what follows."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.workflow.command_line import add_where, make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="sample table (parquet)")
    parser.add_argument("--audit", type=Path, required=True, help="audit.json of the split")
    parser.add_argument("--split", type=Path, required=True, help="roles of the main arm (parquet)")
    parser.add_argument("--splits", nargs="*", default=[], help="name=ROLES of every arm")
    parser.add_argument("--labels", default="{}", help="JSON: what the report calls each arm")
    parser.add_argument("--arms", nargs="+", required=True, help="name=PREDICTIONS (parquet)")
    parser.add_argument("--baselines", type=Path, help="predictions of the baselines")
    parser.add_argument("--settings", required=True, help="evaluation settings as JSON")
    parser.add_argument("--main-arm", required=True, help="whose numbers are told first")
    parser.add_argument("--backbones", type=json.loads, default="{}", help="network of each arm")
    add_where(parser)
    parser.add_argument("--pairs", nargs="*", help="arms to compare two by two (default: all)")
    parser.add_argument("--label-columns", nargs="+", required=True, help="of the manifest")
    parser.add_argument("--mismatched", default="{}", help="JSON: tests with other grey levels")
    parser.add_argument("--survey", type=Path, help="table (CSV, Excel) with image, expert, answer")
    parser.add_argument("--dataset", type=Path, help="folder of the images")
    parser.add_argument("--out-dir", type=Path, required=True, help="folder for the tables")
    return run_program(compare, parser, argv)


def compare(arguments: argparse.Namespace) -> None:
    """Read the predictions of all arms and write tables, metrics and findings."""
    import pandas as pd

    from batteryscope.config.evaluate import EvaluateSettings
    from batteryscope.evaluation import comparison, verdicts
    from batteryscope.evaluation.arm_pairs import compare_pairs_of_arms, judge_pairs
    from batteryscope.evaluation.calibration import tabulate_arm_reliability
    from batteryscope.evaluation.class_measures import tabulate_measures
    from batteryscope.evaluation.flat_metrics import flatten_metrics
    from batteryscope.evaluation.grey_mismatch import judge_mismatches, read_mismatched
    from batteryscope.evaluation.misclassified import list_misclassified
    from batteryscope.evaluation.paired import find_left_out_ratio
    from batteryscope.evaluation.predictions import read_all_predictions
    from batteryscope.evaluation.sentences.classes import SENTENCES
    from batteryscope.evaluation.straddling import list_straddling_findings, read_splits
    from batteryscope.evaluation.survey import compare_with_survey, judge_survey, read_survey
    from batteryscope.evaluation.write_comparison import write_comparison
    from batteryscope.manifest.select import keep_samples

    asked = read_settings(EvaluateSettings, arguments.settings)
    manifest = pd.read_parquet(arguments.manifest)
    audit = json.loads(arguments.audit.read_text(encoding="utf-8"))
    main_arm, labels = arguments.main_arm, arguments.label_columns
    predictions = read_all_predictions(arguments.arms, arguments.baselines)
    splits = read_splits(arguments.splits)
    levels = comparison.list_levels(predictions, manifest, splits)
    tests, scored = read_mismatched(arguments.mismatched, predictions)
    networks, bases = arguments.backbones, {test.name: test.arm for test in tests}
    table = comparison.compare_arms(scored, manifest, labels, networks, asked.paper, splits, bases)
    images = levels[level := "image" if "image" in levels else "slice"]
    judged = levels[verdicts.find_judged_level(table, main_arm)]
    split = pd.read_parquet(arguments.split)
    # Training images of other domains do not make the tested ones overlap less.
    where = json.loads(arguments.where)
    tested = keep_samples(split, manifest, where)
    findings = verdicts.collect_findings(table, images, manifest, main_arm, audit, split, judged)
    pairs = compare_pairs_of_arms(images, arguments.pairs or list(networks), tested)
    findings += [*judge_pairs(pairs, main_arm), *judge_mismatches(tests, table, main_arm)]
    findings += list_straddling_findings(splits, json.loads(arguments.labels), manifest)
    tables = {
        "comparison": table,
        "per_class": comparison.compare_classes(levels),
        "class_measures": tabulate_measures(levels),
        "confusion": comparison.compare_confusions(levels),
        "misclassified": list_misclassified(levels, manifest, main_arm),
        "images": images,
        "reliability": tabulate_arm_reliability(predictions, level),
        "paired": pairs,
        "specimens": levels.get("specimen"),  # by vote, with the share of agreeing images
    }
    if arguments.survey:
        answers = read_survey(arguments.survey, arguments.dataset, asked.survey_format)
        tables["survey"] = compared = compare_with_survey(answers, images, manifest, main_arm)
        findings.append(judge_survey(compared))
    ratio = find_left_out_ratio(tested)
    own = {
        name: find_left_out_ratio(keep_samples(s, manifest, where)) for name, s in splits.items()
    }
    own |= {name: own[arm] for name, arm in bases.items() if arm in own}
    ratios = dict.fromkeys(table["arm"], ratio) | own
    metrics = flatten_metrics(table, ratios)
    write_comparison(arguments.out_dir, tables, metrics, findings, SENTENCES)


if __name__ == "__main__":
    sys.exit(main())
