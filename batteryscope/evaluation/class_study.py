"""From predictions to all tables of a comparison of classifiers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.config.evaluate import EvaluateSettings
from batteryscope.core.finding import keep_unique_labels, label_arms
from batteryscope.evaluation import comparison, verdicts
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


@dataclass(frozen=True)
class ComparedArms:
    """Where the pieces lie, and what the arms are.

    Attributes
    ----------
    manifest, audit, split
        Sample table; audit and roles of the main arm's division.
    arms, splits
        Texts ``name=path`` of predictions and of divisions.
    main_arm
        Whose numbers are told first.
    label_columns
        Of the manifest.
    baselines
        Predictions of the baselines.
    backbones, labels
        Network of each arm; what the report calls it.
    where
        Conditions of ``split.test_where``.
    pairs
        Arms to compare two by two; empty: all.
    mismatched
        ``tests`` and ``predictions`` with other grey levels.
    covariates
        Arm with covariates → the same without, or None.
    survey, dataset
        Table with image, expert, answer; folder of the images.
    shortcuts, frames, perturbed
        For the shortcut audit: predictions by what may stand in for the class, table of frames,
        predictions of changed tiles. None: there is no audit.
    calibration
        Temperature of the main arm; without it votes are as predicted.
    allowed
        Arm → reason why its division may leak; the audit tells that of the main arm.
    validated
        Arm → reason why its test part validates as well; that of the main arm likewise.
    """

    manifest: Path
    audit: Path
    split: Path
    arms: Sequence[str]
    main_arm: str
    label_columns: Sequence[str]
    baselines: Path | None = None
    backbones: Mapping[str, str] = field(default_factory=dict)
    splits: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, Any] = field(default_factory=dict)
    pairs: Sequence[str] = ()
    mismatched: Mapping[str, Any] = field(default_factory=dict)
    covariates: Mapping[str, str | None] = field(default_factory=dict)
    survey: Path | None = None
    dataset: Path | None = None
    shortcuts: Path | None = None
    frames: Path | None = None
    perturbed: Sequence[Path] = ()
    calibration: Path | None = None
    allowed: Mapping[str, str] = field(default_factory=dict)
    validated: Mapping[str, str] = field(default_factory=dict)


def compare_study(layout: PictureLayout, out: Path) -> None:
    """Compare all arms of a study of classes.

    Raises
    ------
    InputError
        If a piece of the study is missing or cannot be used.
    """
    plan = layout.plan
    tests = list_mismatches(plan)
    other = [layout.mismatched(arm) for arm in dict.fromkeys(test.arm for test in tests)]
    survey = plan.settings.evaluate.survey
    pieces = ComparedArms(
        manifest=layout.data.manifest,
        audit=layout.main_split.audit,
        split=layout.main_split.roles,
        arms=[f"{name}={arm.predictions}" for name, arm in layout.list_arms().items()],
        main_arm=plan.main.name,
        label_columns=plan.settings.dataset.labels.columns,
        baselines=layout.baselines(plan.main.split),
        backbones={arm.name: arm.recipe.model.backbone for arm in plan.arms.values()},
        splits=[f"{name}={split.roles}" for name, split in layout.list_splits().items()],
        labels={arm.name: arm.label for arm in plan.arms.values()},
        where=plan.main.recipe.split.test_where,
        # Arms of another division were tested on other samples.
        pairs=[a for a in plan.settings.arms if plan.arms[a].split == plan.main.split],
        mismatched={
            "tests": [test.model_dump(mode="json") for test in tests],
            "predictions": [path.as_posix() for path in other],
        },
        covariates=list_covariate_pairs(plan),
        survey=Path(survey) if survey else None,
        dataset=layout.find_dataset(),
        shortcuts=layout.shortcuts(plan.main.split) if layout.is_audited else None,
        frames=layout.data.frames,
        perturbed=[layout.mismatched(plan.main.name)] if layout.is_audited else [],
        calibration=layout.arm(plan.main.name).calibration,
        allowed=list_allowed_leakage(plan),
        validated=list_test_validation(plan),
    )
    compare_arms(pieces, plan.settings.evaluate, out)


def compare_arms(pieces: ComparedArms, asked: EvaluateSettings, out: Path) -> None:
    """Write tables, metrics and findings of arms, baselines and the paper side by side.

    Raises
    ------
    InputError
        If predictions or a survey cannot be used.
    """
    manifest = pd.read_parquet(pieces.manifest)
    names_of = keep_unique_labels(pieces.labels)
    audit = json.loads(pieces.audit.read_text(encoding="utf-8"))
    main_arm, labels = pieces.main_arm, list(pieces.label_columns)
    predictions = read_all_predictions(pieces.arms, pieces.baselines)
    splits = read_splits(pieces.splits)
    grades = list_grades(manifest)
    levels = comparison.list_levels(predictions, manifest, splits)
    tests, scored = read_mismatched(json.dumps(pieces.mismatched), predictions)
    networks, bases = pieces.backbones, {test.name: test.arm for test in tests}
    table = comparison.compare_arms(scored, manifest, labels, networks, asked.paper, splits, bases)
    images = levels[level := samples_in(manifest.columns).noun]
    judged = levels[verdicts.find_judged_level(table, main_arm)]
    split = pd.read_parquet(pieces.split)
    # Training images of other domains do not make the tested ones overlap less.
    tested = keep_samples(split, manifest, pieces.where)
    findings = verdicts.collect_findings(table, images, manifest, main_arm, audit, split, judged)
    paired = pieces.pairs or list(networks)
    pairs = compare_pairs_of_arms(images, paired, tested)
    findings += [*judge_pairs(pairs, main_arm), *judge_mismatches(tests, table, main_arm)]
    findings += list_straddling_findings(splits, names_of, manifest)
    # The main arm's own are warnings of the audit already.
    allowed, validated = (
        {arm: why for arm, why in told.items() if arm != main_arm}
        for told in (pieces.allowed, pieces.validated)
    )
    findings += list_allowed_findings(allowed, names_of, validated)
    beside = {a: b for a, b in pieces.covariates.items() if a in paired}
    unit, names = verdicts.find_judged_level(table, main_arm), name_covariates(manifest)
    findings += judge_class_covariates(beside, judged, tested, names, unit)
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
        splits.get(main_arm, split),
        asked.coverage,
        read_temperature(pieces.calibration),
    )
    findings += sure.findings
    tables |= {"sets": sure.sets, "risk_coverage": sure.risk}
    audit_numbers: dict[str, float | int] = {}
    if pieces.shortcuts is not None:
        found = _audit(pieces, manifest, judged, unit)
        # Beside the verdict on the baselines, which it puts into perspective.
        findings.insert(1, tell_verdict(found, names_of.get(main_arm, "")))
        tables |= tabulate_audit(found)
        audit_numbers = flatten_audit(found)
    if pieces.survey:
        answers = read_survey(pieces.survey, pieces.dataset, asked.survey_format)
        tables["survey"] = compared = compare_with_survey(answers, images, manifest, main_arm)
        findings.append(judge_survey(compared))
    own = {
        name: find_left_out_ratio(keep_samples(roles, manifest, pieces.where))
        for name, roles in splits.items()
    }
    own |= {name: own[arm] for name, arm in bases.items() if arm in own}
    ratios = dict.fromkeys(table["arm"], find_left_out_ratio(tested)) | own
    metrics = flatten_metrics(table, ratios) | sure.metrics | audit_numbers
    named = label_arms(findings, names_of)
    write_comparison(out, tables, dict(sorted(metrics.items())), named, SENTENCES)


def _audit(
    pieces: ComparedArms, manifest: pd.DataFrame, judged: pd.DataFrame, unit: str
) -> ShortcutAudit:
    assert pieces.shortcuts is not None
    bars = None
    if pieces.frames is not None:
        bars = pd.read_parquet(pieces.frames, columns=["sample_id", "data_bar_px"])
    return audit_shortcuts(
        select_samples(manifest, pieces.where),
        read_cues(pieces.shortcuts),
        judged[judged["arm"] == pieces.main_arm],
        read_perturbed(pieces.perturbed, pieces.main_arm),
        None if bars is None else bars.set_index("sample_id")["data_bar_px"],
        unit,
        pieces.main_arm,
    )
