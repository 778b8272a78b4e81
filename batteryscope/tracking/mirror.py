"""From the local folders of a finished study to the runs that should stand in MLflow.

Nothing here talks to MLflow. A study is one experiment: one run per arm and per
baseline, and below each arm one run per stage, repeat and fold.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from batteryscope.core.names import (
    MAX_TAG_CHARACTERS,
    cut_text,
    flatten_settings,
    name_live_job,
)
from batteryscope.errors import InputError
from batteryscope.plan import StudyPlan, plan_study
from batteryscope.provenance import digest_file, digest_json
from batteryscope.tracking.local_files import (
    hash_split,
    list_numbers,
    modified_ms,
    read_fit_scores,
    read_history,
    read_json,
)
from batteryscope.tracking.records import DatasetRecord, MetricValue, RunRecord, StudyResults

log = logging.getLogger("batteryscope")

FIT_PATTERN = "part*/r*_f*"
MAX_DATASET_DIGEST = 36
# They show all arms beside each other and are kept with each of them.
COMMON_FIGURES = ("key_figure", "confusions", "learning_curve", "same_tiles")


def plan_runs(results: StudyResults) -> list[RunRecord]:
    """List the runs of a study, every parent before its children.

    Parameters
    ----------
    results
        Where the results lie.

    Returns
    -------
    list of RunRecord
        Sorted by arm as given, then stage, repeat and fold; baselines last.

    Raises
    ------
    InputError
        If ``metrics.json``, the manifest's summary or a fit's files cannot be read.
    """
    plan = plan_study(results.study, results.settings)
    metrics = read_json(results.comparison / "metrics.json")
    if results.external is not None:
        metrics |= read_json(results.external / "metrics.json")
    common = _describe_data(results)
    dataset = _make_dataset(results)
    scores = read_fit_scores(results.comparison / "images.csv")
    records: list[RunRecord] = []
    for arm in results.arms:
        split = results.splits.get(arm)
        tags = common | {"arm": arm} | _describe_place(results, plan, arm)
        tags |= {"split_hash": hash_split(split)} if split else {}
        chains = results.arm_stages.get(arm, ())
        fits = [
            _plan_fit(
                results,
                plan,
                arm,
                chain,
                folder,
                tags | {"run": "fit"},
                dataset,
                scores if chain == chains[-1] else {},
            )
            for chain in chains
            for folder in _list_fits(results, chain)
        ]
        tags = tags | {"run": "arm"}
        records += [_plan_arm(results, plan, arm, metrics, tags, dataset, fits), *fits]
    for name in sorted({key.split(".")[0] for key in metrics if key.startswith("baseline_")}):
        main = results.splits.get(results.settings.best_known_arm)
        tags = (
            common
            | {"arm": name, "run": "baseline"}
            | ({"split_hash": hash_split(main)} if main else {})
        )
        records.append(_plan_baseline(results, name, metrics, tags, dataset))
    return records


def _plan_arm(
    results: StudyResults,
    plan: StudyPlan,
    arm: str,
    metrics: Mapping[str, Any],
    tags: dict[str, str],
    dataset: DatasetRecord,
    fits: list[RunRecord],
) -> RunRecord:
    """One arm: settings, aggregated metrics, tables, figures, data and (main arm) the model."""
    folder = results.arms[arm]
    is_main = arm == results.settings.best_known_arm
    tables = [
        path
        for path in sorted(results.comparison.iterdir())
        if path.suffix == ".csv" or path.name == "metrics.json"
    ]
    own = ("calibration.json", "cost.json", "explain/same_tiles.csv")
    tables += [folder / name for name in own if (folder / name).is_file()]
    artifacts = [(path, "tables") for path in tables]
    if is_main and results.external is not None:
        files = ("metrics.csv", "predictions.csv")
        artifacts += [(results.external / name, "external") for name in files]
    artifacts += [(p, "figures/explain") for p in sorted(folder.glob("explain/*.png"))]
    if results.report is not None and arm in results.settings.arms:
        figures = list_figures(results.report)
        artifacts += [f for f in figures if is_main or f[0].stem in COMMON_FIGURES]
    if is_main and results.report is not None:
        artifacts += [(p, "report") for p in sorted(results.report.glob("*.html"))]
    values = _pick_metrics(metrics, arm)
    for name in ("calibration", "cost"):
        if (path := folder / f"{name}.json").is_file():
            values += list_numbers(read_json(path), f"{name}.")
    return RunRecord(
        key=f"{results.study}/{arm}",
        parent=None,
        name=arm,
        tags=tags | {"main_arm": str(is_main).lower()},
        params=_describe_arm(results, plan, arm),
        metrics=tuple(values),
        artifacts=tuple(artifacts),
        dataset=dataset,
        bundle=results.bundle if is_main else None,
        started_ms=min((fit.started_ms for fit in fits), default=modified_ms(folder)),
        ended_ms=max(
            [*(fit.ended_ms for fit in fits), modified_ms(results.comparison / "metrics.json")]
        ),
    )


def list_figures(report: Path) -> list[tuple[Path, str]]:
    """Pictures of the report below ``figures/``, in the folders that they have there."""
    figures = []
    for path in sorted(report.rglob("*.png")):
        parts = path.relative_to(report).parent.parts
        figures.append(
            (path, "/".join(["figures", *(part for part in parts if part != "figures")]))
        )
    return figures


def _plan_baseline(
    results: StudyResults,
    name: str,
    metrics: Mapping[str, Any],
    tags: dict[str, str],
    dataset: DatasetRecord,
) -> RunRecord:
    moment = modified_ms(results.comparison / "metrics.json")
    return RunRecord(
        key=f"{results.study}/{name}",
        parent=None,
        name=name,
        tags=tags,
        metrics=tuple(_pick_metrics(metrics, name)),
        dataset=dataset,
        started_ms=moment,
        ended_ms=moment,
    )


def _plan_fit(
    results: StudyResults,
    plan: StudyPlan,
    arm: str,
    chain: str,
    folder: Path,
    tags: dict[str, str],
    dataset: DatasetRecord,
    scores: Mapping[tuple[str, int, int], list[MetricValue]],
) -> RunRecord:
    """One fit: its settings, its history by epoch, what it was trained on, its test score."""
    fit = read_json(folder / "fit.json")
    stage = plan.stages[chain].settings.stage if chain in plan.stages else chain
    params = _describe_arm(results, plan, arm)
    if chain in plan.stages:
        params |= flatten_settings(plan.stages[chain].settings.model_dump(mode="json"))
    own = {"stage": stage, "chain": chain}
    own |= {key: str(fit[key]) for key in ("repeat", "fold") if key in fit}
    own |= {
        f"fit.{key}": cut_text(value, MAX_TAG_CHARACTERS)
        for key, value in sorted(fit.items())
        if isinstance(value, str)
    }
    numbers = list_numbers({k: v for k, v in fit.items() if k not in ("repeat", "fold")})
    tested = scores.get((arm, int(fit.get("repeat", 0)), int(fit.get("fold", 0))), [])
    ended_ms = modified_ms(folder / "fit.json")
    seconds = fit.get("wall_seconds", fit.get("seconds", 0.0))
    return RunRecord(
        key=f"{results.study}/{arm}/{chain}/{folder.name}",
        parent=f"{results.study}/{arm}",
        name=f"{arm} {stage} {folder.name}",
        tags=tags | own,
        params=params,
        metrics=(*read_history(folder / "history.csv"), *numbers, *tested),
        artifacts=((folder / "fit.json", ""),),
        dataset=dataset,
        live_key=name_live_job(results.study, chain, folder.name),
        started_ms=ended_ms - int(1000 * float(seconds)),
        ended_ms=ended_ms,
    )


def _list_fits(results: StudyResults, chain: str) -> Iterator[Path]:
    """Folders of the fits of a stage, sorted by name; incomplete ones are left out aloud."""
    if chain not in results.stages:
        raise InputError(f"--stages: no folder is given for the stage '{chain}' of --arm-stages.")
    folders = sorted(results.stages[chain].glob(FIT_PATTERN), key=lambda path: path.name)
    if not folders:
        raise InputError(
            f"{results.stages[chain]}: holds no fit ({FIT_PATTERN}); train '{chain}' again."
        )
    for folder in folders:
        if (folder / "fit.json").is_file() and (folder / "history.csv").is_file():
            yield folder
        else:
            log.warning("%s: fit.json or history.csv is missing; not tracked.", folder)


def _pick_metrics(metrics: Mapping[str, Any], arm: str) -> list[MetricValue]:
    mine = {k.removeprefix(f"{arm}."): v for k, v in metrics.items() if k.startswith(f"{arm}.")}
    return list_numbers(mine)


def _describe_place(results: StudyResults, plan: StudyPlan, arm: str) -> dict[str, str]:
    """Tags by which arms are grouped: the network, and the place on a learning curve."""
    tags = {}
    if arm in plan.arms:
        tags["backbone"] = plan.arms[arm].recipe.model.backbone
    if arm in results.settings.curve_arms:
        base, images = results.settings.curve_arms[arm]
        tags |= {"curve_of": base, "images_per_class": str(images)}
    return tags


def _describe_arm(results: StudyResults, plan: StudyPlan, arm: str) -> dict[str, str]:
    """The settings that an arm ran with, and the identity of its study."""
    settings = results.settings.model_dump(mode="json")
    shown = {key: settings[key] for key in ("title", "paper", "paper_doi", "dataset", "evaluate")}
    if arm in plan.arms:
        shown |= plan.arms[arm].recipe.model_dump(mode="json")
        shown["stages"] = list(plan.arms[arm].chains)
    return flatten_settings({key: value for key, value in shown.items() if value != ""})


def _describe_data(results: StudyResults) -> dict[str, str]:
    tags = {
        "study": results.study,
        "config_hash": results.config_hash or digest_json(results.settings.model_dump(mode="json")),
        "data_name": results.data_name,
        "data_version": _find_data_version(results),
        "generated": str(results.settings.dataset.path is None).lower(),
    }
    return {key: value for key, value in tags.items() if value}


def _find_data_version(results: StudyResults) -> str:
    """Return the hash of the data set as given (DVC's MD5), else that of the manifest."""
    if results.data_version:
        return results.data_version
    summary = read_json(results.manifest_summary)
    return str(summary.get("manifest_hash") or digest_file(results.manifest_summary))


def _make_dataset(results: StudyResults) -> DatasetRecord:
    return DatasetRecord(
        name=results.data_name,
        digest=_find_data_version(results)[:MAX_DATASET_DIGEST],
        source=results.settings.dataset.path or "generated",
        profile=describe_data_profile(results.manifest_summary),
    )


def describe_data_profile(manifest_summary: Path) -> str:
    """The manifest's summary as MLflow keeps it beside a data set: JSON in one line."""
    return json.dumps(read_json(manifest_summary), sort_keys=True, ensure_ascii=True)
