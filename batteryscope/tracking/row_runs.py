"""What stands in MLflow of a study of tables: its arms and baselines.

Below each stands a run per repeat, which holds the errors of all targets and domains and the curves
of its networks.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from batteryscope.core.baseline_catalogue import BASELINE_PREFIX
from batteryscope.core.names import flatten_settings, make_legal_name
from batteryscope.core.safe_text import first_line
from batteryscope.errors import InputError
from batteryscope.planning.layout import RowLayout
from batteryscope.tables.labels import name_arm
from batteryscope.tracking.local_files import list_numbers, modified_ms, read_json
from batteryscope.tracking.mirror import Strategy, list_common_tables, list_figures, mirror_study
from batteryscope.tracking.records import MetricValue, RunRecord

if TYPE_CHECKING:
    import pandas as pd


def plan_runs(layout: RowLayout, data_version: str = "") -> list[RunRecord]:
    """List the runs of a study of tables, every parent before its children.

    Raises
    ------
    InputError
        If a piece of the study cannot be read.
    """
    metrics = read_json(layout.comparison / "metrics.json")
    return mirror_study(layout, metrics, _list_strategies(layout), name_arm, data_version)


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


def _list_strategies(layout: RowLayout) -> Iterator[Strategy]:
    """Arms and baselines; the main arm has all tables, figures and the report."""
    from batteryscope.tables.scores import score_predictions
    from batteryscope.tables.table_predictions import order_table_arms, select_main_study

    predictions = select_main_study(_read_table(layout.comparison / "predictions.parquet"))
    scores = score_predictions(predictions)
    histories = select_main_study(_read_table(layout.networks / "histories.parquet"))
    split, cost = layout.split().roles, layout.networks / "cost.json"
    trained_ms, seconds = modified_ms(cost), float(read_json(cost).get("seconds", 0))
    for arm in order_table_arms(scores):
        is_main = arm == layout.plan.settings.main_arm
        label = name_arm(arm)
        fits = [
            RunRecord(
                key=f"{layout.plan.study}/{arm}/r{repeat}",
                parent=f"{layout.plan.study}/{arm}",
                name=f"{label}, repeat {repeat}",
                tags={"repeat": str(repeat), "fold": "0"},
                metrics=(
                    *_list_scores(part),
                    *_list_curves(
                        histories[(histories["arm"] == arm) & (histories["repeat"] == repeat)]
                    ),
                ),
                started_ms=trained_ms - int(1000 * seconds),
                ended_ms=trained_ms,
            )
            for repeat, part in scores[scores["arm"] == arm].groupby("repeat")
        ]
        is_baseline = arm.startswith(BASELINE_PREFIX)
        tables = [*list_common_tables(layout.comparison), (cost, "tables")]
        yield Strategy(
            name=arm,
            label=f"baseline: {label}" if is_baseline else label,
            split=split,
            fits=fits,
            tags={"main_arm": str(is_main).lower()},
            params=_describe_arm(layout, arm),
            artifacts=[*tables, *list_figures(layout.report)] if is_main else [],
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
