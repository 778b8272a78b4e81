"""From the local folders of a finished study to the runs that should stand in MLflow.

Nothing here talks to MLflow. A study is one experiment: one run per arm and per
baseline, and below each arm one run per stage, repeat and fold.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.table_data import TableDatasetSettings
from batteryscope.core.baseline_catalogue import BASELINE_PREFIX, find_words
from batteryscope.core.names import (
    MAX_TAG_CHARACTERS,
    cut_text,
    flatten_settings,
    name_live_job,
)
from batteryscope.errors import InputError
from batteryscope.plan import StudyPlan
from batteryscope.planning.layout import PictureLayout, RowLayout
from batteryscope.planning.piece_layouts import DatasetLayout
from batteryscope.planning.study_layout import StudyLayout
from batteryscope.provenance import digest_file, digest_json
from batteryscope.tracking.first_view import (
    RUN_TAG,
    SOURCE_TAG,
    group_metrics,
    list_headlines,
    record_strategy,
)
from batteryscope.tracking.local_files import (
    hash_split,
    list_numbers,
    modified_ms,
    read_fit_scores,
    read_history,
    read_json,
)
from batteryscope.tracking.records import DatasetRecord, MetricValue, RunRecord

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("batteryscope")

FIT_PATTERN = "part*/r*_f*"
# Of a hash, so that MLflow's table shows the name, too; the tag data_version holds all of it.
DATASET_DIGEST = 12
EXTERNAL = "external test"
# They show all arms beside each other and are kept with each of them.
COMMON_FIGURES = ("key_figure", "confusions", "learning_curve", "same_tiles")
# With more strategies what all have in common is kept with the main one alone: tables that grow
# with the strategies, in the run of each of them, would grow with their square.
MOST_WITH_COMMON = 25
STUDY_PARAMS = {"title", "paper", "paper_doi", "dataset", "evaluate"}


def plan_runs(layout: PictureLayout, data_version: str = "") -> list[RunRecord]:
    """List the runs of a study, every parent before its children.

    Parameters
    ----------
    layout
        Where the results lie.
    data_version
        The hash of the data set (of DVC); empty: that of the manifest's summary.

    Returns
    -------
    list of RunRecord
        Sorted by arm as planned, then stage, repeat and fold; baselines last.

    Raises
    ------
    InputError
        If ``metrics.json``, the manifest's summary or a fit's files cannot be read.
    """
    plan, settings = layout.plan, layout.plan.settings
    metrics = read_json(layout.comparison / "metrics.json")
    if layout.external is not None:
        metrics |= read_json(layout.external.flat_metrics)
    version = find_data_version(layout, data_version)
    common = describe_study(layout, version)
    dataset = describe_dataset(layout.data, settings.dataset, version)
    scores = read_fit_scores(layout.comparison / "images.csv")
    shared = _list_shared(layout)
    of_arm = _group_by_arm(metrics)
    stated = settings.model_dump(mode="json", include=STUDY_PARAMS)
    hash_once = cache(hash_split)
    records: list[RunRecord] = []
    for name, arm in plan.arms.items():
        tags = common | {"arm": name} | _describe_place(plan, name)
        tags |= {"split_hash": hash_once(layout.split(arm.split).roles)}
        fits = [
            _plan_fit(
                plan,
                stated,
                name,
                chain,
                folder,
                tags | {RUN_TAG: "fit"},
                dataset,
                scores if chain == arm.chains[-1] else {},
            )
            for chain in arm.chains
            for folder in _list_fits(layout.stage(chain))
        ]
        tags = tags | {RUN_TAG: "arm"}
        records += [_plan_arm(layout, stated, name, of_arm[name], tags, dataset, fits, shared)]
        records += fits
    for name in sorted({key.split(".")[0] for key in metrics if key.startswith(BASELINE_PREFIX)}):
        tags = common | {"arm": name, RUN_TAG: "baseline"}
        tags |= {"split_hash": hash_once(layout.main_split.roles)}
        label = f"baseline: {_name_baseline(layout, name)}"
        records.append(record_strategy(layout, name, label, metrics, tags, dataset))
    return records


def list_tested(layout: PictureLayout) -> "pd.DataFrame":
    """Return how much the published arms err on each test sample, for a comparison of versions.

    Raises
    ------
    InputError
        The comparison or the manifest cannot be read.
    """
    from batteryscope.evaluation.published_answers import list_predictions
    from batteryscope.evaluation.versions import describe_tested

    return describe_tested(list_predictions(layout))


@dataclass(frozen=True)
class _Shared:
    """What lies beside the results of single strategies: tables of all, figures of the report."""

    tables: list[tuple[Path, str]]
    figures: list[tuple[Path, str]]


def _list_shared(layout: PictureLayout) -> _Shared:
    tables = [
        (path, "tables")
        for path in sorted(layout.comparison.iterdir())
        if path.suffix == ".csv" or path.name == "metrics.json"
    ]
    return _Shared(tables, list_figures(layout.report))


def _group_by_arm(metrics: Mapping[str, Any]) -> Mapping[str, dict[str, Any]]:
    """Values of every arm, and with them those of all baselines, with which it is compared."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in metrics.items():
        found.setdefault(key.split(".")[0], {})[key] = value
    baselines = {k: v for k, v in metrics.items() if k.startswith(BASELINE_PREFIX)}
    return defaultdict(lambda: baselines, {arm: own | baselines for arm, own in found.items()})


def _plan_arm(
    layout: PictureLayout,
    stated: Mapping[str, Any],
    arm: str,
    metrics: Mapping[str, Any],
    tags: dict[str, str],
    dataset: DatasetRecord,
    fits: list[RunRecord],
    shared: _Shared,
) -> RunRecord:
    """One arm: settings, aggregated metrics, tables, figures, data and (main arm) the model."""
    plan, place, maps = layout.plan, layout.arm(arm), layout.maps(arm)
    is_main = arm == plan.settings.best_known_arm
    has_common = is_main or len(plan.arms) <= MOST_WITH_COMMON
    own = (place.calibration, place.cost, maps / "same_tiles.csv")
    artifacts = [*shared.tables] if has_common else []
    artifacts += [(path, "tables") for path in own if path.is_file()]
    if is_main and layout.external is not None:
        artifacts += [(layout.external.metrics, "external")]
        artifacts += [(layout.external.predictions, "external")]
    artifacts += [(p, "figures/explain") for p in sorted(maps.glob("*.png"))]
    if arm in plan.settings.arms and has_common:
        artifacts += [f for f in shared.figures if is_main or f[0].stem in COMMON_FIGURES]
    if is_main:
        artifacts += [(p, "report") for p in sorted(layout.report.glob("*.html"))]
    values = [*list_headlines(metrics, arm), *group_metrics(metrics, arm)]
    for path in (place.calibration, place.cost):
        if path.is_file():
            values += list_numbers(read_json(path), f"{path.stem}/")
    tags = tags | {"main_arm": str(is_main).lower()}
    name_baseline = partial(_name_baseline, layout)
    return replace(
        record_strategy(layout, arm, _name_arm(plan, arm), metrics, tags, dataset, name_baseline),
        params=_describe_arm(plan, stated, arm),
        metrics=tuple(values),
        artifacts=tuple(artifacts),
        datasets=(dataset, *_list_external(layout)) if is_main else (dataset,),
        bundle=layout.bundle if is_main and layout.bundle.is_dir() else None,
        started_ms=min((fit.started_ms for fit in fits), default=modified_ms(place.root)),
        ended_ms=max(
            [*(fit.ended_ms for fit in fits), modified_ms(layout.comparison / "metrics.json")]
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


def _plan_fit(
    plan: StudyPlan,
    stated: Mapping[str, Any],
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
    params = _describe_arm(plan, stated, arm)
    if chain in plan.stages:
        params |= flatten_settings(plan.stages[chain].settings.model_dump(mode="json"))
    own = {"stage": stage, "chain": chain}
    own |= {key: str(fit[key]) for key in ("repeat", "fold") if key in fit}
    own |= {
        f"fit.{key}": cut_text(value, MAX_TAG_CHARACTERS)
        for key, value in sorted(fit.items())
        if isinstance(value, str)
    }
    numbers = list_numbers({k: v for k, v in fit.items() if k not in ("repeat", "fold")}, "fit/")
    tested = scores.get((arm, int(fit.get("repeat", 0)), int(fit.get("fold", 0))), [])
    ended_ms = modified_ms(folder / "fit.json")
    seconds = fit.get("wall_seconds", fit.get("seconds", 0.0))
    return RunRecord(
        key=f"{plan.study}/{arm}/{chain}/{folder.name}",
        parent=f"{plan.study}/{arm}",
        name=f"{_name_arm(plan, arm)}, {stage}, repeat {own.get('repeat')}, fold {own.get('fold')}",
        tags=tags | own,
        params=params,
        metrics=(*read_history(folder / "history.csv"), *numbers, *tested),
        artifacts=((folder / "fit.json", ""),),
        datasets=(dataset,),
        live_key=name_live_job(plan.study, chain, folder.name),
        started_ms=ended_ms - int(1000 * float(seconds)),
        ended_ms=ended_ms,
    )


def _list_fits(stage: Path) -> Iterator[Path]:
    """Folders of the fits of a stage, sorted by name; incomplete ones are left out aloud."""
    folders = sorted(stage.glob(FIT_PATTERN), key=lambda path: path.name)
    if not folders:
        raise InputError(f"{stage}: holds no fit ({FIT_PATTERN}); train '{stage.name}' again.")
    for folder in folders:
        if (folder / "fit.json").is_file() and (folder / "history.csv").is_file():
            yield folder
        else:
            log.warning("%s: fit.json or history.csv is missing; not tracked.", folder)


def _name_baseline(layout: PictureLayout, name: str) -> str:
    return find_words(name, layout.answer.find_baselines(layout.plan.settings.dataset)).label


def _name_arm(plan: StudyPlan, arm: str) -> str:
    return plan.arms[arm].label if arm in plan.arms else arm.replace("_", " ")


def _describe_place(plan: StudyPlan, arm: str) -> dict[str, str]:
    """Tags by which arms are grouped: the network, and the place on a learning curve."""
    tags = {}
    if arm in plan.arms:
        tags["backbone"] = plan.arms[arm].recipe.model.backbone
    if arm in plan.settings.curve_arms:
        base, n = plan.settings.curve_arms[arm]
        tags |= {"curve_of": base, f"{plan.settings.curve_counts}s_per_class": str(n)}
    return tags


def _describe_arm(plan: StudyPlan, stated: Mapping[str, Any], arm: str) -> dict[str, str]:
    """The settings that an arm ran with, and the identity of its study."""
    shown = dict(stated)
    if arm in plan.arms:
        shown |= plan.arms[arm].recipe.model_dump(mode="json")
        # Their names alone: the hashes that follow in names of folders tell people nothing.
        shown["stages"] = [chain.rpartition("-")[0] for chain in plan.arms[arm].chains]
    return flatten_settings({key: value for key, value in shown.items() if value != ""})


def describe_study(layout: PictureLayout | RowLayout, version: str) -> dict[str, str]:
    """Return the tags that all runs of a study have; ``version`` is the hash of its data set."""
    settings = layout.plan.settings
    tags = {
        "study": layout.plan.study,
        SOURCE_TAG: f"batteryscope run {layout.plan.study}",
        "config_hash": digest_json(settings.model_dump(mode="json")),
        "data_name": settings.dataset.name,
        "data_version": version,
        "generated": str(settings.dataset.generated).lower(),
    }
    return {key: value for key, value in tags.items() if value}


def find_data_version(layout: StudyLayout, data_version: str) -> str:
    """Return the hash of the data set as given (DVC's MD5), else that of the manifest."""
    if data_version:
        return data_version
    summary = read_json(layout.data.summary)
    return str(summary.get("manifest_hash") or digest_file(layout.data.summary))


def describe_dataset(
    place: DatasetLayout,
    settings: DatasetSettings | TableDatasetSettings,
    version: str,
    use: str = "training",
) -> DatasetRecord:
    """Return what MLflow shall show of a data set: name, digest, where it comes from, its samples.

    Parameters
    ----------
    place
        Where manifest and summary lie.
    settings
        The data set.
    version
        Its hash.
    use
        What the run used it for.
    """
    generator = "" if settings.generator is None else f"generator {settings.generator.kind}"
    return DatasetRecord(
        name=settings.name,
        digest=version[:DATASET_DIGEST],
        source=settings.origin or generator,
        profile=describe_data_profile(place.summary),
        table=place.manifest if place.manifest.is_file() else None,
        use=use,
    )


def _list_external(layout: PictureLayout) -> list[DatasetRecord]:
    """The external set, on which only the main arm is tested."""
    place, settings = layout.external, layout.plan.settings.evaluate.external
    if place is None or settings is None or not place.summary.is_file():
        return []
    version = str(read_json(place.summary).get("manifest_hash") or digest_file(place.summary))
    return [describe_dataset(place, settings, version, EXTERNAL)]


def describe_data_profile(manifest_summary: Path) -> str:
    """The manifest's summary as MLflow keeps it beside a data set: JSON in one line."""
    return json.dumps(read_json(manifest_summary), sort_keys=True, ensure_ascii=True)
