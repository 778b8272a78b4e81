"""From predictions to all tables of a comparison of classifiers."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from batteryscope.core.finding import keep_unique_labels, label_arms
from batteryscope.evaluation import class_findings, comparison
from batteryscope.evaluation.arm_pairs import compare_pairs_of_arms, judge_pairs
from batteryscope.evaluation.calibration import tabulate_arm_reliability
from batteryscope.evaluation.class_measures import tabulate_measures
from batteryscope.evaluation.confidence_study import read_temperature, study_confidence
from batteryscope.evaluation.covariate_findings import judge_class_covariates, name_covariates
from batteryscope.evaluation.flat_metrics import flatten_metrics
from batteryscope.evaluation.grey_mismatch import judge_mismatches, read_mismatched
from batteryscope.evaluation.paired import find_left_out_ratio
from batteryscope.evaluation.predictions import (
    PREFIX,
    find_classes,
    get_probabilities,
    join_predictions,
    read_all_predictions,
)
from batteryscope.evaluation.sentences.classes import SENTENCES
from batteryscope.evaluation.shortcut_study import (
    ShortcutAudit,
    audit_shortcuts,
    flatten_audit,
    read_cues,
    read_perturbed,
    tabulate_audit,
    tell_verdict,
)
from batteryscope.evaluation.straddling import (
    list_allowed_findings,
    list_allowed_leakage,
    list_straddling_findings,
    list_test_validation,
    read_splits,
)
from batteryscope.evaluation.survey import compare_with_survey, judge_survey, read_survey
from batteryscope.evaluation.write_comparison import write_comparison
from batteryscope.manifest.grades import list_grades
from batteryscope.manifest.select import keep_samples, select_samples
from batteryscope.planning.covariate_pairs import list_covariate_pairs
from batteryscope.planning.grey_mismatches import list_mismatches
from batteryscope.planning.layout import PictureLayout
from batteryscope.samples.choose import samples_in


def list_misclassified(
    levels: Mapping[str, pd.DataFrame], manifest: pd.DataFrame, arm: str
) -> pd.DataFrame:
    """List the misclassified test tiles and images of one arm.

    Parameters
    ----------
    levels
        Test predictions by level (:func:`list_levels`); ``specimen`` is not used.
    manifest
        Manifest, for the paths.
    arm
        Name of the arm.

    Returns
    -------
    DataFrame
        ``level, path, sample_id, tile, repeat, fold, y_true, y_pred, confidence,
        p_<class>…``; images before tiles, most confident first. ``confidence`` is the
        probability of the predicted class.
    """
    paths = manifest.set_index("sample_id")["path"]
    tables = []
    for level in ("image", "slice", "tile"):
        if level not in levels:
            continue
        table = levels[level]
        wrong = table[(table["arm"] == arm) & (table["y_true"] != table["y_pred"])]
        wrong = wrong.assign(
            level=level,
            path=wrong["sample_id"].map(paths),
            confidence=get_probabilities(wrong).max(axis=1) if len(wrong) else 0.0,
        )
        tables.append(
            wrong.sort_values(
                ["confidence", "sample_id", "tile", "repeat", "fold"],
                ascending=[False, True, True, True, True],
            )
        )
    table = pd.concat(tables, ignore_index=True)
    columns = ["level", "path", "sample_id", "tile", "repeat", "fold", "y_true", "y_pred"]
    return table[[*columns, "confidence", *[PREFIX + name for name in find_classes(table)]]]


def compare_study(layout: PictureLayout, out: Path) -> None:
    """Write tables, metrics and findings of arms, baselines and the paper side by side.

    Raises
    ------
    InputError
        If a piece of the study is missing, or predictions or a survey cannot be used.
    """
    plan = layout.plan
    asked, main_arm, where = (
        plan.settings.evaluate,
        plan.main.name,
        plan.main.recipe.split.test_where,
    )
    manifest = pd.read_parquet(layout.data.manifest)
    names_of = keep_unique_labels({arm.name: arm.label for arm in plan.arms.values()})
    audit = json.loads(layout.main_split.audit.read_text(encoding="utf-8"))
    predictions = read_all_predictions(
        {name: arm.predictions for name, arm in layout.list_arms().items()},
        layout.baselines(plan.main.split),
    )
    splits = read_splits({name: split.roles for name, split in layout.list_splits().items()})
    split = splits[main_arm]
    grades = list_grades(manifest)
    levels = comparison.list_levels(predictions, manifest, splits)
    tests = list_mismatches(plan)
    other = [layout.mismatched(arm) for arm in dict.fromkeys(test.arm for test in tests)]
    bases = {test.name: test.arm for test in tests}
    table = comparison.compare_arms(
        join_predictions([predictions, *read_mismatched(other)]),
        manifest,
        plan.settings.dataset.labels.columns,
        {arm.name: arm.recipe.model.backbone for arm in plan.arms.values()},
        asked.paper,
        splits,
        bases,
    )
    images = levels[level := samples_in(manifest.columns).noun]
    judged = levels[unit := class_findings.find_judged_level(table, main_arm)]
    # Training images of other domains do not make the tested ones overlap less.
    tested = keep_samples(split, manifest, where)
    findings = class_findings.collect_findings(
        table, images, manifest, main_arm, audit, split, judged
    )
    # Arms of another division were tested on other samples.
    paired = [arm for arm in plan.settings.arms if plan.arms[arm].split == plan.main.split]
    pairs = compare_pairs_of_arms(images, paired, tested)
    findings += [*judge_pairs(pairs, main_arm), *judge_mismatches(tests, table, main_arm)]
    findings += list_straddling_findings(splits, names_of, manifest)
    # The main arm's own are warnings of the audit already.
    allowed, validated = (
        {arm: why for arm, why in told.items() if arm != main_arm}
        for told in (list_allowed_leakage(plan), list_test_validation(plan))
    )
    findings += list_allowed_findings(allowed, names_of, validated)
    beside = {a: b for a, b in list_covariate_pairs(plan).items() if a in paired}
    findings += judge_class_covariates(beside, judged, tested, name_covariates(manifest), unit)
    tables = {
        "comparison": table,
        "per_class": comparison.compare_classes(levels, grades),
        "class_measures": tabulate_measures(levels),
        "confusion": comparison.compare_confusions(levels, grades),
        "misclassified": list_misclassified(levels, manifest, main_arm),
        "images": images,
        "reliability": tabulate_arm_reliability(predictions, level),
        "paired": pairs,
        "specimens": levels.get("specimen"),  # by vote, with the share of agreeing images
    }
    sure = study_confidence(
        predictions[predictions["arm"] == main_arm],
        judged[judged["arm"] == main_arm],
        list(dict.fromkeys([level, unit])),
        manifest,
        split,
        asked.coverage,
        read_temperature(layout.arm(main_arm).calibration),
    )
    findings += sure.findings
    tables |= {"sets": sure.sets, "risk_coverage": sure.risk}
    audit_numbers: dict[str, float | int] = {}
    if layout.is_audited:
        found = _audit(layout, manifest, judged, unit)
        # Beside the verdict on the baselines, which it puts into perspective.
        findings.insert(1, tell_verdict(found, names_of.get(main_arm, "")))
        tables |= tabulate_audit(found)
        audit_numbers = flatten_audit(found)
    if asked.survey:
        answers = read_survey(Path(asked.survey), layout.find_dataset(), asked.survey_format)
        tables["survey"] = compared = compare_with_survey(answers, images, manifest, main_arm)
        findings.append(judge_survey(compared))
    own = {
        name: find_left_out_ratio(keep_samples(roles, manifest, where))
        for name, roles in splits.items()
    }
    own |= {name: own[arm] for name, arm in bases.items()}
    ratios = dict.fromkeys(table["arm"], find_left_out_ratio(tested)) | own
    metrics = flatten_metrics(table, ratios) | sure.metrics | audit_numbers
    named = label_arms(findings, names_of)
    write_comparison(out, tables, dict(sorted(metrics.items())), named, SENTENCES)


def _audit(
    layout: PictureLayout, manifest: pd.DataFrame, judged: pd.DataFrame, unit: str
) -> ShortcutAudit:
    main = layout.plan.main
    bars = pd.read_parquet(layout.data.frames, columns=["sample_id", "data_bar_px"])
    return audit_shortcuts(
        select_samples(manifest, main.recipe.split.test_where),
        read_cues(layout.shortcuts(main.split)),
        judged[judged["arm"] == main.name],
        read_perturbed(layout.mismatched(main.name), main.name),
        bars.set_index("sample_id")["data_bar_px"],
        unit,
        main.name,
    )
