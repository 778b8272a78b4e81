"""What stands in MLflow of a study of pictures: its arms with all fits, and its baselines.

Below each arm stands a run per stage, repeat and fold.
"""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batteryscope.core.baseline_catalogue import BASELINE_PREFIX, find_words
from batteryscope.core.names import MAX_TAG_CHARACTERS, cut_text, flatten_settings, name_live_job
from batteryscope.errors import InputError
from batteryscope.plan import StudyPlan
from batteryscope.planning.layout import PictureLayout
from batteryscope.provenance import digest_file
from batteryscope.tracking.local_files import (
    list_numbers,
    modified_ms,
    read_fit_scores,
    read_history,
    read_json,
)
from batteryscope.tracking.mirror import (
    Strategy,
    describe_dataset,
    list_common_tables,
    list_figures,
    mirror_study,
)
from batteryscope.tracking.records import DatasetRecord, MetricValue, RunRecord

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("batteryscope")

FIT_PATTERN = "part*/r*_f*"
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
    metrics = read_json(layout.comparison / "metrics.json")
    if layout.external is not None:
        metrics |= read_json(layout.external.flat_metrics)
    own = layout.answer.find_baselines(layout.plan.settings.dataset)

    def name_baseline(name: str) -> str:
        return find_words(name, own).label

    names = {key.split(".")[0] for key in metrics if key.startswith(BASELINE_PREFIX)}
    baselines = [
        Strategy(name, f"baseline: {name_baseline(name)}", layout.main_split.roles)
        for name in sorted(names)
    ]
    strategies = [*_list_arms(layout), *baselines]
    return mirror_study(layout, metrics, strategies, name_baseline, data_version)


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


def _list_arms(layout: PictureLayout) -> Iterator[Strategy]:
    plan, settings = layout.plan, layout.plan.settings
    scores = read_fit_scores(layout.comparison / "images.csv")
    tables, figures = list_common_tables(layout.comparison), list_figures(layout.report)
    stated = settings.model_dump(mode="json", include=STUDY_PARAMS)
    for name, arm in plan.arms.items():
        is_main = name == settings.best_known_arm
        params = _describe_arm(plan, stated, name)
        fits = [
            _plan_fit(plan, name, chain, folder, scores if chain == arm.chains[-1] else {})
            for chain in arm.chains
            for folder in _list_fits(layout.stage(chain))
        ]
        artifacts = list(_list_own_artifacts(layout, name, is_main))
        if has_common := is_main or len(plan.arms) <= MOST_WITH_COMMON:
            artifacts += tables
        if name in settings.arms and has_common:
            artifacts += [f for f in figures if is_main or f[0].stem in COMMON_FIGURES]
        place = layout.arm(name)
        yield Strategy(
            name=name,
            label=_name_arm(plan, name),
            split=layout.split(arm.split).roles,
            fits=fits,
            tags=_describe_place(plan, name) | {"main_arm": str(is_main).lower()},
            params=params,
            metrics=[
                value
                for path in (place.calibration, place.cost)
                if path.is_file()
                for value in list_numbers(read_json(path), f"{path.stem}/")
            ],
            artifacts=artifacts,
            tested_on=_list_external(layout) if is_main else [],
        )


def _list_own_artifacts(
    layout: PictureLayout, arm: str, is_main: bool
) -> Iterator[tuple[Path, str]]:
    """What concerns this arm alone, and of the main one what an external data set has shown."""
    place, maps = layout.arm(arm), layout.maps(arm)
    for path in (place.calibration, place.cost, maps / "same_tiles.csv"):
        if path.is_file():
            yield path, "tables"
    if is_main and layout.external is not None:
        yield layout.external.metrics, "external"
        yield layout.external.predictions, "external"
    for path in sorted(maps.glob("*.png")):
        yield path, "figures/explain"


def _plan_fit(
    plan: StudyPlan,
    arm: str,
    chain: str,
    folder: Path,
    scores: Mapping[tuple[str, int, int], list[MetricValue]],
) -> RunRecord:
    """One fit: settings of its stage, its history by epoch, its test score."""
    fit = read_json(folder / "fit.json")
    stage = plan.stages[chain].settings.stage if chain in plan.stages else chain
    params = {}
    if chain in plan.stages:
        params = flatten_settings(plan.stages[chain].settings.model_dump(mode="json"))
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
        tags=own,
        params=params,
        metrics=(*read_history(folder / "history.csv"), *numbers, *tested),
        artifacts=((folder / "fit.json", ""),),
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


def _list_external(layout: PictureLayout) -> list[DatasetRecord]:
    """The external set, on which only the main arm is tested."""
    place, settings = layout.external, layout.plan.settings.evaluate.external
    if place is None or settings is None or not place.summary.is_file():
        return []
    version = str(read_json(place.summary).get("manifest_hash") or digest_file(place.summary))
    return [describe_dataset(place, settings, version, EXTERNAL)]
