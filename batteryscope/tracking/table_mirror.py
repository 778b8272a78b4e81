"""From the local folders of a finished study of tables to the runs that should stand in MLflow.

One run per arm and per baseline, and below each one run per repeat, which holds the errors of
all targets and domains and the curves of its networks.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batteryscope.core.baseline_catalogue import BASELINE_PREFIX
from batteryscope.core.names import flatten_settings, make_legal_name
from batteryscope.core.safe_text import first_line
from batteryscope.errors import InputError
from batteryscope.planning.layout import RowLayout
from batteryscope.tables.labels import name_arm
from batteryscope.tracking.first_view import RUN_TAG, record_strategy
from batteryscope.tracking.local_files import hash_split, list_numbers, modified_ms, read_json
from batteryscope.tracking.mirror import (
    describe_dataset,
    describe_study,
    find_data_version,
    list_figures,
)
from batteryscope.tracking.records import DatasetRecord, MetricValue, RunRecord

if TYPE_CHECKING:
    import pandas as pd


def plan_runs(layout: RowLayout, data_version: str = "") -> list[RunRecord]:
    """List the runs of a study of tables, every parent before its children.

    Raises
    ------
    InputError
        If a piece of the study cannot be read.
    """
    from batteryscope.tables.scores import score_predictions
    from batteryscope.tables.table_predictions import order_table_arms, select_main_study

    predictions = select_main_study(_read_table(layout.comparison / "predictions.parquet"))
    scores = score_predictions(predictions)
    histories = select_main_study(_read_table(layout.networks / "histories.parquet"))
    metrics = read_json(layout.comparison / "metrics.json")
    version = find_data_version(layout, data_version)
    tags = describe_study(layout, version) | {"split_hash": hash_split(layout.split().roles)}
    dataset = describe_dataset(layout.data, layout.plan.settings.dataset, version)
    trained_ms = modified_ms(layout.networks / "cost.json")
    seconds = float(read_json(layout.networks / "cost.json").get("seconds", 0))
    records = []
    for arm in order_table_arms(scores):
        records.append(_plan_arm(layout, arm, metrics, tags | {"arm": arm}, dataset))
        for repeat, part in scores[scores["arm"] == arm].groupby("repeat"):
            curves = histories[(histories["arm"] == arm) & (histories["repeat"] == repeat)]
            records.append(
                RunRecord(
                    key=f"{layout.plan.study}/{arm}/r{repeat}",
                    parent=f"{layout.plan.study}/{arm}",
                    name=f"{name_arm(arm)}, repeat {repeat}",
                    tags=tags | {"arm": arm, RUN_TAG: "fit", "repeat": str(repeat), "fold": "0"},
                    params=_describe_arm(layout, arm),
                    metrics=(*_list_scores(part), *_list_curves(curves)),
                    started_ms=trained_ms - int(1000 * seconds),
                    ended_ms=trained_ms,
                )
            )
    return records


def list_tested(layout: RowLayout) -> "pd.DataFrame":
    """Return how much the main arm errs on each test row, for a comparison of versions.

    Raises
    ------
    InputError
        The comparison or the manifest cannot be read.
    """
    from batteryscope.evaluation.versions import describe_tested
    from batteryscope.tables.published_answers import list_predictions

    return describe_tested(list_predictions(layout))


def _plan_arm(
    layout: RowLayout,
    arm: str,
    metrics: Mapping[str, Any],
    tags: dict[str, str],
    dataset: DatasetRecord,
) -> RunRecord:
    """One arm: settings, mean errors; the main arm also tables, figures, report and model."""
    is_main = arm == layout.plan.settings.main_arm
    label = name_arm(arm)
    is_baseline = arm.startswith(BASELINE_PREFIX)
    if is_baseline:
        label = f"baseline: {label}"
    artifacts: list[tuple[Path, str]] = []
    if is_main:
        tables = sorted(layout.comparison.glob("*.csv"))
        tables += [layout.comparison / "metrics.json", layout.networks / "cost.json"]
        artifacts = [(path, "tables") for path in tables]
        artifacts += list_figures(layout.report)
        artifacts += [(page, "report") for page in sorted(layout.report.glob("*.html"))]
    kind = "baseline" if is_baseline else "arm"
    tags = tags | {"main_arm": str(is_main).lower(), RUN_TAG: kind}
    return replace(
        record_strategy(layout, arm, label, metrics, tags, dataset, name_arm),
        params=_describe_arm(layout, arm),
        artifacts=tuple(artifacts),
        bundle=layout.bundle if is_main and layout.bundle.is_dir() else None,
    )


def _describe_arm(layout: RowLayout, arm: str) -> dict[str, str]:
    settings = layout.plan.settings.model_dump(mode="json", exclude={"kind", "arms", "demo"})
    return flatten_settings({"arm": arm, **{k: v for k, v in settings.items() if v != ""}})


def _list_scores(scores: "pd.DataFrame") -> list[MetricValue]:
    """Scores of one repeat as ``test/<domain>.<target>.<metric>``."""
    values = {
        f"test/{row['domain']}.{row['target']}.{row['metric']}": float(row["score"])
        for row in scores.to_dict("records")
    }
    return list_numbers(values)


def _list_curves(histories: "pd.DataFrame") -> list[MetricValue]:
    """Training and validation errors by epoch as ``epochs/<domain>.<target>.train_mape``."""
    return [
        (make_legal_name(f"epochs/{domain}.{target}.{column}"), float(value), int(epoch))
        for (domain, target), curve in histories.groupby(["domain", "target"])
        for column in ("train_mape", "validation_mape")
        for epoch, value in zip(curve["epoch"], curve[column], strict=True)
    ]


def _read_table(path: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a table ({first_line(error)}).") from None
