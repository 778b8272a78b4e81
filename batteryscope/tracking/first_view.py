"""What people see first in MLflow: names of runs, their headline values, descriptions, columns.

MLflow's own pages choose by names alone: charts are grouped by what stands before ``/``; sections,
charts and the columns of a table are sorted by name, whatever order a view asks for; and a table
shows no metric until somebody asks for it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from batteryscope.core.baseline_catalogue import BASELINE_PREFIX
from batteryscope.evaluation.headline_metrics import find_best_baselines, select_headlines
from batteryscope.evaluation.metric_catalogue import METRICS
from batteryscope.planning.layout import PictureLayout, RowLayout
from batteryscope.tracking.local_files import list_numbers, modified_ms
from batteryscope.tracking.records import DatasetRecord, MetricValue, RunRecord
from batteryscope.tracking.store import TrackingUnavailableError, find_database, open_client

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Capitals sort before all other sections; metrics without any would come last. A column of MLflow's
# table shows a dozen letters, so that the case stands first; digits sort before letters.
HEADLINE = "Key/"
VALUE = "1"
SHORT_NAMES = {"_low": "2 low", "_high": "3 high", "best_baseline_": "4 baseline"}
# What a run is: a strategy, a baseline, a fit of a strategy, a point of a sweep, a search, one of
# its candidates. The first table leaves out fits, of which a study has many.
RUN_TAG = "run"
WITHOUT_FITS = f"tags.{RUN_TAG} != 'fit'"
BEST_BASELINE_TAG = "best_baseline"
# MLflow's column "Source": how the run came about.
SOURCE_TAG = "mlflow.source.name"
MAIN_RUNS = "tags.main_arm = 'true'"
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

    The names sort as the values should stand: ``Key/1 accuracy``, ``Key/2 low``, ``Key/3 high``,
    ``Key/4 baseline``, then what belongs to it, such as ``Key/macro_f1``. Where there are several
    cases, each stands before its values: ``Key/nmc.density_g_cm3 1 mape``.
    """
    named: dict[str, float] = {}
    cases: set[str] = set()
    for name, value in select_headlines(metrics, arm).items():
        case, _, metric = name.rpartition(".")
        kind, _ = _split_name(metric)
        if kind == "best_baseline_" and arm.startswith(BASELINE_PREFIX):
            continue
        # What a case is judged by comes first.
        shown = metric if case in cases else f"{VALUE} {metric}"
        cases.add(case)
        named[" ".join(filter(None, (case, SHORT_NAMES.get(kind, shown))))] = value
    return list_numbers(named, HEADLINE)


def group_metrics(metrics: Mapping[str, Any], arm: str) -> list[MetricValue]:
    """Return all values of an arm, a section of charts per level, such as ``image/macro_f1``."""
    mine = {k.removeprefix(f"{arm}."): v for k, v in metrics.items() if k.startswith(f"{arm}.")}
    return list_numbers({key.replace(".", "/", 1): value for key, value in mine.items()})


def name_run(label: str, metrics: Mapping[str, Any], arm: str) -> str:
    """Return how a run is called: the value that it is judged by, if it is one, and its label.

    The value stands first, since a table shows some 20 letters.

    Examples
    --------
    >>> name_run("raw", {"a.row.mape": 2.5, "a.row.mape_low": 2, "a.row.mape_high": 3}, "a")
    '2.5 %, raw'
    """
    phrases = _say_cases(select_headlines(metrics, arm))
    return f"{phrases[0][1]}, {label}" if len(phrases) == 1 else label


def describe_run(
    metrics: Mapping[str, Any], arm: str, say_label: Callable[[str], str] = str
) -> dict[str, str]:
    """Return the tags with the description of a run and with the best baseline.

    Parameters
    ----------
    metrics
        The content of ``metrics.json``.
    arm
        A strategy or baseline.
    say_label
        Names a baseline as people know it.

    Returns
    -------
    dict
        The description (a line per case: what was measured, value, interval, best baseline) and,
        where one baseline is the best in all cases, its label; empty if nothing was measured.
    """
    headlines = select_headlines(metrics, arm)
    best = {case: say_label(name) for case, (name, _) in find_best_baselines(metrics, arm).items()}
    lines = [
        f"{what}: {value}{interval}"
        + (f"; best baseline {baseline}" if baseline else "")
        + (f" ({best[case]})" if baseline and case in best else "")
        for case, value, interval, what, baseline in _say_cases(headlines)
    ]
    if not lines:
        return {}
    tags = {
        NOTE_TAG: "\n".join([*(f"- {line}" for line in lines), "", "In brackets: 95 % interval"])
    }
    if not arm.startswith(BASELINE_PREFIX) and len(set(best.values())) == 1:
        tags[BEST_BASELINE_TAG] = next(iter(best.values()))
    return tags


def record_strategy(
    layout: PictureLayout | RowLayout,
    arm: str,
    label: str,
    metrics: Mapping[str, Any],
    tags: Mapping[str, str],
    dataset: DatasetRecord,
    name_baseline: Callable[[str], str] = str,
) -> RunRecord:
    """Return the run of an arm or a baseline: its name, metrics, data set and description.

    Parameters
    ----------
    layout
        Where the results lie.
    arm, label
        The arm or baseline, and how people call it.
    metrics
        The content of ``metrics.json``.
    tags
        To which a description is added.
    dataset
        What it learnt from.
    name_baseline
        Names a baseline as people know it.
    """
    moment = modified_ms(layout.comparison / "metrics.json")
    return RunRecord(
        key=f"{layout.plan.study}/{arm}",
        parent=None,
        name=name_run(label, metrics, arm),
        tags={**tags, **describe_run(metrics, arm, name_baseline)},
        metrics=(*list_headlines(metrics, arm), *group_metrics(metrics, arm)),
        datasets=(dataset,),
        started_ms=moment,
        ended_ms=moment,
    )


def _say_cases(headlines: Mapping[str, float]) -> list[tuple[str, str, str, str, str]]:
    """The case, its value, interval, what was measured, the best baseline's; one each per case."""
    told: dict[str, tuple[str, str, str, str, str]] = {}
    for name, value in headlines.items():
        case, _, metric = name.rpartition(".")
        if case in told or metric not in METRICS:
            continue
        what = METRICS[metric].label + (f" of {case.replace('.', ', ')}" if case else "")
        ends = [headlines.get(f"{name}_{end}") for end in ("low", "high")]
        stem = name[: -len(metric)]
        baseline = headlines.get(f"{stem}best_baseline_{metric}")
        interval = ""
        if ends[0] is not None and ends[1] is not None:
            low = _format(metric, ends[0]).removesuffix(" %")
            interval = f" ({low} to {_format(metric, ends[1])})"
        best = "" if baseline is None else _format(metric, baseline)
        told[case] = case, _format(metric, value), interval, what, best
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


def spell_view(records: Sequence[RunRecord]) -> str:
    """Return the tag that holds a table with the headline values as columns, the best ones first.

    It begins with the cases of the main strategy. Empty if no run has any headline value.
    """
    in_order = sorted(records, key=lambda record: record.tags.get("main_arm") != "true")
    names = dict.fromkeys(
        name for record in in_order for name, _, _ in record.metrics if name.startswith(HEADLINE)
    )
    if not names:
        return ""
    order = _choose_columns(list(names))
    tags = [tag for tag in (BEST_BASELINE_TAG,) if any(tag in record.tags for record in records)]
    return json.dumps(
        {
            "selectedColumns": [
                *(f"metrics.`{name}`" for name in order),
                *(f"tags.`{tag}`" for tag in tags),
            ],
            "orderByKey": f"metrics.`{order[0]}`",
            "orderByAsc": not METRICS[_split_column(order[0])[1]].higher_is_better,
            "searchFilter": WITHOUT_FITS,
        }
    )


def _choose_columns(names: Sequence[str]) -> list[str]:
    """What studies are judged by, the best baselines', the intervals, as far as they fit.

    Of the rest only how much was tested.
    """
    chosen: list[str] = []
    for place in (VALUE, "4", "2", "3", ""):
        more = [name for name in names if _split_column(name)[0] == place]
        if not place:
            more = [name for name in more if _split_column(name)[1].startswith("test_")]
        if not chosen or len(chosen) + len(more) <= MAX_COLUMNS:
            chosen += more
    return chosen[:MAX_COLUMNS]


def _split_column(name: str) -> tuple[str, str]:
    """Return the digit of a column of headline values ("" without), and what it shows."""
    *before, what = name.removeprefix(HEADLINE).split(" ")
    return (before[-1] if before and before[-1].isdecimal() else ""), what


def _split_name(metric: str) -> tuple[str, str]:
    """Return what a headline value is (end of an interval, a baseline's, or ""), and its metric."""
    for end in ("_low", "_high"):
        if metric.endswith(end):
            return end, metric.removesuffix(end).removeprefix("best_baseline_")
    short = metric.removeprefix("best_baseline_")
    return ("best_baseline_" if short != metric else ""), short


def list_views(uri: str) -> list[tuple[str, str]]:
    """Return the studies of a SQLite database and where their tables of headline values open.

    Where there are several, the last entry opens the main strategies of all of them. Empty for
    other stores, and where nothing can be read: these are only links.
    """
    if find_database(uri) is None:
        return []
    try:
        experiments = open_client(uri).search_experiments()
    except TrackingUnavailableError:
        return []
    known = sorted((e for e in experiments if VIEW_TAG in e.tags), key=lambda e: e.name)
    views = [
        (e.name, f"/#/experiments/{e.experiment_id}/runs?{PAGES}&viewStateShareKey={VIEW_KEY}")
        for e in known
    ]
    if len(known) > 1:
        views.append(("all studies", spell_comparison([e.experiment_id for e in known])))
    return views


def spell_comparison(experiment_ids: Sequence[str], runs: str = MAIN_RUNS) -> str:
    """Return the address of a table of runs of several experiments.

    Parameters
    ----------
    experiment_ids
        Of MLflow.
    runs
        Which runs, as in MLflow's search field.

    Examples
    --------
    >>> spell_comparison(["1", "2"], "tags.run = 'arm'")[:45]
    '/#/compare-experiments/s?experiments=%5B%221%'
    """
    ids = quote(json.dumps(list(experiment_ids), separators=(",", ":")))
    return f"/#/compare-experiments/s?experiments={ids}&searchFilter={quote(runs)}&{PAGES}"


def show_experiment(
    client: "MlflowClient", experiment_id: str, description: str, records: Sequence[RunRecord]
) -> None:
    """Describe an experiment, and keep the view of its headline values."""
    wanted = {**KIND, NOTE_TAG: description, VIEW_TAG: spell_view(records)}
    known = client.get_experiment(experiment_id).tags
    for key, text in wanted.items():
        if text and known.get(key) != text:
            client.set_experiment_tag(experiment_id, key, text)
