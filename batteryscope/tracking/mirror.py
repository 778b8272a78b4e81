"""From the local folders of a finished study to the runs that should stand in MLflow.

Nothing here talks to MLflow. A study is one experiment: one run per arm and per baseline, and below
each the runs of its fits, which the modules of its kind list (``picture_runs``, ``row_runs``).
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.table_data import TableDatasetSettings
from batteryscope.core.baseline_catalogue import BASELINE_PREFIX
from batteryscope.planning.layout import PictureLayout, RowLayout
from batteryscope.planning.piece_layouts import DatasetLayout
from batteryscope.planning.study_layout import StudyLayout
from batteryscope.provenance import digest_file, digest_json
from batteryscope.tracking.first_view import RUN_TAG, SOURCE_TAG, record_strategy
from batteryscope.tracking.local_files import hash_split, modified_ms, read_json
from batteryscope.tracking.records import DatasetRecord, MetricValue, RunRecord

# Of a hash, so that MLflow's table shows the name, too; the tag data_version holds all of it.
DATASET_DIGEST = 12


@dataclass(frozen=True)
class Strategy:
    """An arm or a baseline as it should stand in MLflow.

    Attributes
    ----------
    name, label
        How it is called in files, and by people.
    split
        Table of the division that it was tried in.
    fits
        Its fits, but for the tags, settings and data set that they share with it.
    tags, params
        What it is, and the settings that it ran with.
    metrics
        What is known of it beside the comparison.
    artifacts
        Local files, and their folders in the run.
    tested_on
        Further data sets.
    """

    name: str
    label: str
    split: Path
    fits: Sequence[RunRecord] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Sequence[MetricValue] = ()
    artifacts: Sequence[tuple[Path, str]] = ()
    tested_on: Sequence[DatasetRecord] = ()


def mirror_study(
    layout: PictureLayout | RowLayout,
    metrics: Mapping[str, Any],
    strategies: Iterable[Strategy],
    name_baseline: Callable[[str], str],
    data_version: str = "",
) -> list[RunRecord]:
    """List the runs of a study, every parent before its children.

    Parameters
    ----------
    layout
        Where the results lie.
    metrics
        The content of ``metrics.json``.
    strategies
        Arms and baselines in their order. The one with the tag ``main_arm`` has the model and
        the report.
    name_baseline
        Names a baseline as people know it.
    data_version
        The hash of the data set (of DVC); empty: that of the manifest's summary.

    Raises
    ------
    InputError
        If the manifest's summary or a split cannot be read.
    """
    version = find_data_version(layout, data_version)
    common = describe_study(layout, version)
    dataset = describe_dataset(layout.data, layout.plan.settings.dataset, version)
    compared_ms = modified_ms(layout.comparison / "metrics.json")
    bundle = layout.bundle if layout.bundle.is_dir() else None
    hash_once, of_strategy = cache(hash_split), _group_by_strategy(metrics)
    records: list[RunRecord] = []
    pages = [(page, "report") for page in sorted(layout.report.glob("*.html"))]
    for one in strategies:
        is_main = one.tags.get("main_arm") == "true"
        kind = "baseline" if one.name.startswith(BASELINE_PREFIX) else "arm"
        tags = common | {"arm": one.name, "split_hash": hash_once(one.split), **one.tags}
        of_fits = {key: value for key, value in tags.items() if key != "main_arm"}
        own, about = of_strategy[one.name], tags | {RUN_TAG: kind}
        record = record_strategy(layout, one.name, one.label, own, about, dataset, name_baseline)
        records.append(
            replace(
                record,
                params=one.params,
                metrics=(*record.metrics, *one.metrics),
                artifacts=(*one.artifacts, *(pages if is_main else ())),
                datasets=(dataset, *one.tested_on),
                bundle=bundle if is_main else None,
                started_ms=min((fit.started_ms for fit in one.fits), default=compared_ms),
                ended_ms=max([*(fit.ended_ms for fit in one.fits), compared_ms]),
            )
        )
        records += [
            replace(
                fit,
                tags={**of_fits, RUN_TAG: "fit", **fit.tags},
                params={**one.params, **fit.params},
                datasets=(dataset,),
            )
            for fit in one.fits
        ]
    return records


def _group_by_strategy(metrics: Mapping[str, Any]) -> Mapping[str, dict[str, Any]]:
    """Values of every arm, and with them those of all baselines, with which it is compared."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in metrics.items():
        found.setdefault(key.split(".")[0], {})[key] = value
    baselines = {k: v for k, v in metrics.items() if k.startswith(BASELINE_PREFIX)}
    return defaultdict(lambda: baselines, {arm: own | baselines for arm, own in found.items()})


def list_common_tables(comparison: Path) -> list[tuple[Path, str]]:
    """Tables of a comparison for the folder ``tables/`` of a run."""
    return [
        (path, "tables")
        for path in sorted(comparison.iterdir())
        if path.suffix == ".csv" or path.name == "metrics.json"
    ]


def list_figures(report: Path) -> list[tuple[Path, str]]:
    """Pictures of the report below ``figures/``, in the folders that they have there."""
    figures = []
    for path in sorted(report.rglob("*.png")):
        parts = path.relative_to(report).parent.parts
        figures.append(
            (path, "/".join(["figures", *(part for part in parts if part != "figures")]))
        )
    return figures


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


def describe_data_profile(manifest_summary: Path) -> str:
    """The manifest's summary as MLflow keeps it beside a data set: JSON in one line."""
    return json.dumps(read_json(manifest_summary), sort_keys=True, ensure_ascii=True)
