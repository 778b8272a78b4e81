"""From predictions to all tables of a comparison of predicted numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.audit.sessions import find_sessions
from batteryscope.config.study import StudySettings
from batteryscope.core.finding import Finding
from batteryscope.evaluation.covariate_findings import (
    judge_number_covariates,
    name_covariates,
)
from batteryscope.evaluation.flat_metrics import flatten_metrics
from batteryscope.evaluation.number_baselines import (
    choose_features,
    predict_baselines,
    predict_physics,
)
from batteryscope.evaluation.number_comparison import compare_numbers
from batteryscope.evaluation.number_findings import (
    Found,
    find_number_findings,
    list_protocols,
)
from batteryscope.evaluation.number_intervals import (
    flatten_intervals,
    measure_number_intervals,
)
from batteryscope.evaluation.number_metrics import tabulate_curves
from batteryscope.evaluation.number_predictions import gather_images
from batteryscope.evaluation.paired import find_left_out_ratio
from batteryscope.evaluation.sample_features import FeatureSources
from batteryscope.evaluation.sentences.numbers import SENTENCES
from batteryscope.evaluation.shortcut_numbers import (
    NumberAudit,
    audit_numbers,
    flatten_number_audits,
    predict_numbers_from_cues,
    read_perturbed_numbers,
    tabulate_number_audits,
    tell_number_verdict,
)
from batteryscope.evaluation.straddling import (
    find_straddling_arms,
    list_allowed_leakage,
    list_test_validation,
    read_splits,
)
from batteryscope.evaluation.write_comparison import write_comparison
from batteryscope.manifest.frames import read_frames
from batteryscope.manifest.select import keep_samples, select_samples
from batteryscope.planning.covariate_pairs import list_covariate_pairs
from batteryscope.planning.layout import PictureLayout
from batteryscope.samples.choose import samples_of
from batteryscope.splits.kept_together import describe_validation


def compare_study(layout: PictureLayout, out: Path) -> None:
    """Compare all arms of a study of numbers, and write what was found.

    ``comparison.csv, metrics.json, findings.json, curves.csv, intervals.csv, images.csv,
    coverage_by_porosity.csv``, and of the shortcut audit ``shortcuts.csv, confounding.csv,
    confounding_means.csv``.

    Raises
    ------
    InputError
        If a piece of the study is missing, or what a baseline sees was not measured.
    """
    study, arms, main_arm = layout.plan.settings, layout.describe_arms(), layout.plan.main.name
    manifest = pd.read_parquet(layout.data.manifest)
    quantities = study.dataset.quantities
    targets = [q.name for q in quantities if q.name in manifest]
    main = arms[main_arm]
    known = layout.answer.find_baselines(study.dataset)
    wanted = [name for name in study.evaluate.baselines if name in known]
    frames = pd.read_parquet(layout.data.frames) if "grey_levels" in wanted else None
    sources = FeatureSources(manifest, frames, Path(main["tiles"]))
    features = choose_features(sources, known, wanted)
    suffixes = list_protocols(arms, main_arm)
    trained = read_splits({name: split.roles for name, split in layout.list_splits().items()})
    tables = [pd.read_parquet(arm.predictions) for arm in layout.list_arms().values()]
    seed = study.split.seed
    tested = read_tested_splits(arms, manifest)
    tested_by = {arm: own["split"] for arm, own in arms.items()}
    for path, suffix in suffixes.items():
        split = tested[path]
        baselines = predict_baselines(manifest, features, split, targets, seed, suffix, quantities)
        trained |= dict.fromkeys(baselines["arm"].unique(), split)
        tested_by |= dict.fromkeys(baselines["arm"].unique(), path)
        tables.append(baselines)
    computed_from = find_computed_from(study)
    # Of labels that the half-cell model computed itself, its row would be exact by definition.
    if study.physics is not None and not computed_from:
        grid = pd.read_csv(layout.capacities)
        split = tested[main["split"]]
        tables.append(predict_physics(manifest, split, grid, study.physics, targets, quantities))
    images = pd.concat(
        [_keep_known(gather_images(table, manifest)) for table in tables], ignore_index=True
    )
    coverage = study.evaluate.coverage
    straddling = find_straddling_arms(trained, manifest)
    comparison = compare_numbers(
        images,
        {name: own["backbone"] for name, own in arms.items()},
        study.evaluate.paper,
        straddling,
        quantities,
        samples_of(study).noun,
    )
    curves = tabulate_curves(images, quantities)
    intervals, by_class = measure_number_intervals(images, coverage, straddling, quantities)
    labels = {name: arm.label for name, arm in study.all_arms.items() if arm.label}
    protocols = {
        name: {**own, "suffix": suffixes[own["split"]], "label": labels.get(name, name)}
        for name, own in arms.items()
    }
    splits = {name: tested[own["split"]] for name, own in arms.items()}
    findings = find_number_findings(
        Found(
            comparison=comparison,
            images=images,
            curves=curves,
            intervals=intervals,
            by_class=by_class,
            quantities=quantities,
            protocols=protocols,
            splits=splits,
            main_arm=main_arm,
            coverage=coverage,
            predicted=study.dataset.targets,
            computed_from=computed_from,
        )
    )

    def name(arm: str) -> dict[str, str]:
        return {"strategy": labels.get(arm, arm)} if arm != main_arm else {}

    for arm, reason in list_test_validation(layout.plan).items():
        facts = {"warning": describe_validation(reason)} | name(arm)
        findings.insert(0, Finding("test_validation", "warning", facts))
    for arm, reason in list_allowed_leakage(layout.plan).items():
        facts = {"reason": reason} | name(arm)
        findings.insert(0, Finding("allowed_leakage", "warning", facts))
    findings += judge_number_covariates(
        list_covariate_pairs(layout.plan),
        images,
        quantities,
        protocols,
        splits,
        name_covariates(manifest),
    )
    written = {
        "comparison": comparison,
        "curves": curves,
        "intervals": intervals,
        "coverage_by_porosity": by_class,
        "images": images,
    }
    audits = _audit(layout, manifest, tested[main["split"]], images) if layout.is_audited else []
    if audits:
        is_known = bool(find_sessions(manifest)[0])
        findings.insert(0, tell_number_verdict(audits, labels.get(main_arm, main_arm), is_known))
        written |= tabulate_number_audits(audits)
    asked = {**dict.fromkeys(comparison["arm"], main["split"]), **tested_by}
    ratios = {path: find_left_out_ratio(split) for path, split in tested.items()}
    metrics = flatten_metrics(comparison, {arm: ratios[path] for arm, path in asked.items()})
    published = intervals[intervals["arm"].isin([main_arm, *study.published_arms])]
    metrics |= flatten_intervals(published, samples_of(study).noun)
    metrics |= flatten_number_audits(audits) if audits else {}
    metrics = dict(sorted(metrics.items()))
    write_comparison(out, written, metrics, findings, SENTENCES)


def _audit(
    layout: PictureLayout, manifest: pd.DataFrame, split: pd.DataFrame, images: pd.DataFrame
) -> list[NumberAudit]:
    """Look for shortcuts to what the main arm predicts."""
    study, main = layout.plan.settings, layout.plan.main
    frames = read_frames(layout.data.frames, manifest)
    manifest = select_samples(manifest, main.recipe.split.test_where)
    model = images[images["arm"] == main.name]
    quantities = [q for q in study.dataset.quantities if (model["target"] == q.name).any()]
    return audit_numbers(
        manifest,
        predict_numbers_from_cues(manifest, split, frames, quantities, study.split.seed),
        quantities,
        model,
        read_perturbed_numbers(layout.mismatched(main.name), main.name, manifest),
        frames.set_index("sample_id")["data_bar_px"],
        samples_of(study).noun,
    )


def find_computed_from(study: StudySettings) -> str:
    """Return the column from whose porosity the capacities were computed; empty if measured."""
    cell = study.physics if study.dataset.computes_targets else None
    return cell.porosity_column if cell is not None else ""


def read_tested_splits(
    arms: Mapping[str, Mapping[str, Any]], manifest: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Read the split of every arm, by path, without the samples that ``where`` leaves out.

    The predictions of arms know no others, so whatever is compared with them must not either.
    """
    return {
        str(arm["split"]): keep_samples(
            pd.read_parquet(arm["split"]), manifest, arm.get("where", {})
        )
        for arm in arms.values()
    }


def _keep_known(images: pd.DataFrame) -> pd.DataFrame:
    """Drop targets that physics does not simulate."""
    return images[images["y_pred"].notna()]
