"""The points of sweeps as runs in MLflow: one each, with the swept keys as parameters."""

import json
from typing import Any

import pandas as pd

from batteryscope.config.sweep import resolve_values
from batteryscope.core.names import flatten_settings
from batteryscope.planning.layout import PictureLayout, RowLayout
from batteryscope.tracking.first_view import RUN_TAG, group_metrics, list_headlines
from batteryscope.tracking.local_files import list_numbers, modified_ms, read_json
from batteryscope.tracking.mirror import (
    describe_dataset,
    find_data_version,
)
from batteryscope.tracking.records import RunRecord


def plan_runs(layout: PictureLayout | RowLayout, data_version: str = "") -> list[RunRecord]:
    """List the runs of all points, in the order of the table.

    Parameters
    ----------
    layout
        Where ``sweeps.csv`` and ``metrics.json`` of the points lie, and what was planned.
    data_version
        Hash of the data set; empty: that of the manifest.

    Returns
    -------
    list of RunRecord
        Tag ``sweep``; parameters are the settings of the point, so also the swept ones, and
        ``dataset.where.<column>``. Metrics are those of an arm, and what an epoch took.
    """
    study, settings, comparison = layout.plan.study, layout.plan.settings, layout.sweep_comparison
    recipes = layout.list_recipes()
    table = pd.read_csv(comparison / "sweeps.csv", keep_default_na=False)
    metrics = read_json(comparison / "metrics.json")
    version = find_data_version(layout, data_version)
    dataset = describe_dataset(layout.data, settings.dataset, version)
    moment = modified_ms(comparison / "sweeps.csv")
    records = []
    for name, rows in table.groupby("point", sort=False):
        first: dict[str, Any] = {str(k): v for k, v in rows.iloc[0].items()}
        recipe = recipes[first["arm"]]
        swept = resolve_values(json.loads(first["values"]))
        costs = {k: float(first[k]) for k in ("fits", "epochs", "seconds_per_epoch") if first[k]}
        seconds = costs.get("seconds_per_epoch", 0) * costs.get("epochs", 0) * costs.get("fits", 0)
        records.append(
            RunRecord(
                key=f"{study}/sweeps/{name}",
                parent=None,
                name=str(name),
                tags={
                    "study": study,
                    RUN_TAG: "point of a sweep",
                    "arm": str(first["arm"]),
                    "sweep": str(first["sweep"]),
                    "swept": ", ".join(swept),
                    "data_version": version,
                    "generated": str(settings.dataset.generated).lower(),
                },
                params=flatten_settings(recipe) | flatten_settings(swept),
                metrics=(
                    *list_headlines(metrics, str(name)),
                    *group_metrics(metrics, str(name)),
                    *list_numbers(costs, "cost/"),
                ),
                datasets=(dataset,),
                started_ms=moment - int(1000 * seconds),
                ended_ms=moment,
            )
        )
    return records
