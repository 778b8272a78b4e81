"""What people see first in MLflow: names of runs, their headline values, descriptions, columns.

MLflow's own pages choose by names alone: charts are grouped by what stands before ``/``, sections
and charts are sorted by name, and a table shows no metric until somebody asks for it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batteryscope.evaluation.headline_metrics import select_headlines
from batteryscope.evaluation.metric_catalogue import METRICS
from batteryscope.tracking.local_files import list_numbers
from batteryscope.tracking.records import MetricValue, RunRecord
from batteryscope.tracking.store import TrackingUnavailableError, find_database, open_client

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Capitals sort before all other sections; metrics without any would come last. A column of MLflow's
# table shows a dozen letters.
HEADLINE = "Key/"
OF_CASE = " of "
SHORT_NAMES = {"_low": "low", "_high": "high", "best_baseline_": "baseline"}
NOTE_TAG = "mlflow.note.content"
# MLflow keeps a shared view of an experiment as a tag; an address with its key opens it.
VIEW_KEY = "headlines"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW_KEY}"
MAX_COLUMNS = 8
# Of MLflow's two kinds of pages the one with runs and metrics; it would ask, or guess.
KIND = {"mlflow.experimentKind": "custom_model_development"}
PAGES = "workflowType=machine_learning"  # in an address; those for language models come first else
# The pages of MLflow tell nobody of their use, and do not ask about it.
SWITCHED_OFF = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def list_headlines(metrics: Mapping[str, Any], arm: str) -> list[MetricValue]:
    """Return the headline values of an arm as metrics of the first section.

    What is measured comes first, then the case: ``Key/mape of nmc.density_g_cm3``.
    """
    named = {}
    for name, value in select_headlines(metrics, arm).items():
        case, _, metric = name.rpartition(".")
        kind, _ = _split_name(metric)
        named[SHORT_NAMES.get(kind, metric) + (OF_CASE + case if case else "")] = value
    return list_numbers(named, HEADLINE)


def group_metrics(metrics: Mapping[str, Any], arm: str) -> list[MetricValue]:
    """Return all values of an arm, a section of charts per level, such as ``image/macro_f1``."""
    mine = {k.removeprefix(f"{arm}."): v for k, v in metrics.items() if k.startswith(f"{arm}.")}
    return list_numbers({key.replace(".", "/", 1): value for key, value in mine.items()})


def name_run(label: str, metrics: Mapping[str, Any], arm: str) -> str:
    """Return how a run is called: its label, and the value that it is judged by if it is one.

    Examples
    --------
    >>> name_run("raw", {"a.row.mape": 2.5, "a.row.mape_low": 2, "a.row.mape_high": 3}, "a")
    'raw: 2.5 % (2.0 to 3.0 %)'
    """
    phrases = _say_cases(select_headlines(metrics, arm))
    return f"{label}: {phrases[0][1]}" if len(phrases) == 1 else label


def describe_run(metrics: Mapping[str, Any], arm: str) -> dict[str, str]:
    """Return the tag with the description of a run: what was measured, and the best baseline."""
    lines = [
        f"{what}: {value}" + (f"; best baseline {baseline}" if baseline else "")
        for what, value, baseline in _say_cases(select_headlines(metrics, arm))
    ]
    if not lines:
        return {}
    return {
        NOTE_TAG: "\n".join([*(f"- {line}" for line in lines), "", "In brackets: 95 % interval"])
    }


def _say_cases(headlines: Mapping[str, float]) -> list[tuple[str, str, str]]:
    """What was measured, its value with interval, the best baseline's; one each per case."""
    told: dict[str, tuple[str, str, str]] = {}
    for name, value in headlines.items():
        case, _, metric = name.rpartition(".")
        if case in told or metric not in METRICS:
            continue
        what = METRICS[metric].label + (f" of {case.replace('.', ', ')}" if case else "")
        ends = [headlines.get(f"{name}_{end}") for end in ("low", "high")]
        stem = name[: -len(metric)]
        baseline = headlines.get(f"{stem}best_baseline_{metric}")
        shown = _format(metric, value)
        if ends[0] is not None and ends[1] is not None:
            low = _format(metric, ends[0]).removesuffix(" %")
            shown += f" ({low} to {_format(metric, ends[1])})"
        told[case] = what, shown, "" if baseline is None else _format(metric, baseline)
    return list(told.values())


def _format(metric: str, value: float) -> str:
    known = METRICS[metric]
    return known.format(value) if known.is_percent else f"{value:.3g}"


def describe_experiment(title: str, report: Path) -> str:
    """Return the description of a study's experiment: title, result, where the report lies."""
    summary = report / "summary.json"
    told = json.loads(summary.read_text(encoding="utf-8")) if summary.is_file() else {}
    return "\n\n".join(
        [
            f"**{title}**",
            *filter(None, [told.get("headline")]),
            "One run per strategy and per baseline, below each its fits. The whole report is among "
            "the artifacts of the main strategy.",
        ]
    )


def spell_view(records: Iterable[RunRecord]) -> str:
    """Return the tag that holds a table with the headline values as columns, the best ones first.

    Empty if no run has any.
    """
    names = dict.fromkeys(
        name for record in records for name, _, _ in record.metrics if name.startswith(HEADLINE)
    )
    if not names:
        return ""
    order = _order_columns(list(names))[:MAX_COLUMNS]
    first, _ = _split_column(order[0])
    return json.dumps(
        {
            "selectedColumns": [f"metrics.`{name}`" for name in order],
            "orderByKey": f"metrics.`{order[0]}`",
            "orderByAsc": not METRICS[first].higher_is_better,
        }
    )


def _order_columns(names: Sequence[str]) -> list[str]:
    """What studies are judged by, the best baselines' beside it, the intervals, then the rest."""
    measured = {what for what, _ in map(_split_column, names)}
    judged = {"accuracy", "mape"} & measured or {"mae"}
    places = dict.fromkeys(judged, 0) | {"baseline": 1, "low": 2, "high": 3}

    def rank(name: str) -> tuple[int, str]:
        what, case = _split_column(name)
        return places.get(what, len(places)), case or what

    return sorted(names, key=rank)


def _split_column(name: str) -> tuple[str, str]:
    """Return what a column of headline values shows, and of which case ("" of the only one)."""
    what, _, case = name.removeprefix(HEADLINE).partition(OF_CASE)
    return what, case


def _split_name(metric: str) -> tuple[str, str]:
    """Return what a headline value is (end of an interval, a baseline's, or ""), and its metric."""
    for end in ("_low", "_high"):
        if metric.endswith(end):
            return end, metric.removesuffix(end).removeprefix("best_baseline_")
    short = metric.removeprefix("best_baseline_")
    return ("best_baseline_" if short != metric else ""), short


def list_views(uri: str) -> list[tuple[str, str]]:
    """Return the studies of a SQLite database and where their tables of headline values open.

    Empty for other stores, and where nothing can be read: these are only links.
    """
    if find_database(uri) is None:
        return []
    try:
        experiments = open_client(uri).search_experiments()
    except TrackingUnavailableError:
        return []
    return [
        (e.name, f"/#/experiments/{e.experiment_id}/runs?{PAGES}&viewStateShareKey={VIEW_KEY}")
        for e in sorted(experiments, key=lambda e: e.name)
        if VIEW_TAG in e.tags
    ]


def show_experiment(
    client: "MlflowClient", experiment_id: str, description: str, records: Sequence[RunRecord]
) -> None:
    """Describe an experiment, and keep the view of its headline values."""
    wanted = {**KIND, NOTE_TAG: description, VIEW_TAG: spell_view(records)}
    known = client.get_experiment(experiment_id).tags
    for key, text in wanted.items():
        if text and known.get(key) != text:
            client.set_experiment_tag(experiment_id, key, text)
