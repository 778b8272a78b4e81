"""The points of sweeps as runs in MLflow: one each, with the swept keys as parameters."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.config.study import StudySettings
from batteryscope.config.sweep import resolve_values
from batteryscope.config.table_study import TableStudySettings
from batteryscope.core.names import flatten_settings
from batteryscope.plan import plan_study
from batteryscope.planning.plan_table_sweeps import plan_table_sweeps
from batteryscope.provenance import digest_file
from batteryscope.tracking.local_files import list_numbers, modified_ms, read_json
from batteryscope.tracking.mirror import MAX_DATASET_DIGEST, describe_data_profile
from batteryscope.tracking.records import DatasetRecord, RunRecord

GENERATED = "generated"


def plan_point_runs(
    study: str,
    settings: StudySettings | TableStudySettings,
    comparison: Path,
    manifest_summary: Path,
    data_version: str = "",
) -> list[RunRecord]:
    """List the runs of all points, in the order of the table.

    Parameters
    ----------
    study, settings
        Name and settings of the study, which say which sweeps were run.
    comparison
        Folder with ``sweeps.csv`` and ``metrics.json``.
    manifest_summary
        ``summary.json`` of the data set.
    data_version
        Hash of the data set; empty: that of the manifest.

    Returns
    -------
    list of RunRecord
        Tag ``sweep``; parameters are the settings of the point, so also the swept ones, and
        ``dataset.where.<column>``. Metrics are those of an arm, and what an epoch took.
    """
    recipes = _list_recipes(study, settings)
    table = pd.read_csv(comparison / "sweeps.csv", keep_default_na=False)
    metrics = read_json(comparison / "metrics.json")
    summary = read_json(manifest_summary)
    version = str(data_version or summary.get("manifest_hash") or digest_file(manifest_summary))
    dataset = DatasetRecord(
        settings.dataset.name,
        version[:MAX_DATASET_DIGEST],
        _find_source(settings),
        describe_data_profile(manifest_summary),
    )
    moment = modified_ms(comparison / "sweeps.csv")
    records = []
    for name, rows in table.groupby("point", sort=False):
        first: dict[str, Any] = {str(k): v for k, v in rows.iloc[0].items()}
        recipe = recipes[first["arm"]]
        swept = resolve_values(json.loads(first["values"]))
        own = f"{name}."
        mine = {k.removeprefix(own): v for k, v in metrics.items() if k.startswith(own)}
        costs = {k: float(first[k]) for k in ("fits", "epochs", "seconds_per_epoch") if first[k]}
        seconds = costs.get("seconds_per_epoch", 0) * costs.get("epochs", 0) * costs.get("fits", 0)
        records.append(
            RunRecord(
                key=f"{study}/sweeps/{name}",
                parent=None,
                name=str(name),
                tags={
                    "study": study,
                    "arm": str(first["arm"]),
                    "sweep": str(first["sweep"]),
                    "swept": ", ".join(swept),
                    "data_version": version,
                    "generated": str(_find_source(settings) == GENERATED).lower(),
                },
                params=flatten_settings(recipe) | flatten_settings(swept),
                metrics=(*list_numbers(mine), *list_numbers(costs, "cost.")),
                dataset=dataset,
                started_ms=moment - int(1000 * seconds),
                ended_ms=moment,
            )
        )
    return records


def _list_recipes(
    study: str, settings: StudySettings | TableStudySettings
) -> dict[str, dict[str, Any]]:
    """Settings of every arm that does the work of a point."""
    if isinstance(settings, StudySettings):
        arms = plan_study(study, settings).every_arm
        return {name: arm.recipe.model_dump(mode="json") for name, arm in arms.items()}
    own: dict[str, TableStudySettings] = dict.fromkeys(settings.arms, settings)
    wanted = {"split", "networks", "train"}
    return {
        name: {"arm": name} | point.model_dump(mode="json", include=wanted)
        for name, point in (own | plan_table_sweeps(study, settings).work).items()
    }


def _find_source(settings: StudySettings | TableStudySettings) -> str:
    if isinstance(settings, StudySettings):
        return settings.dataset.path or GENERATED
    return ", ".join(file.path for file in settings.dataset.files) or GENERATED
