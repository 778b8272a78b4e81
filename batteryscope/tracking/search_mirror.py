"""The candidates of a search as runs in MLflow, below one run per search."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from batteryscope.core.names import flatten_settings
from batteryscope.planning.layout import PictureLayout, RowLayout
from batteryscope.tracking.first_view import RUN_TAG
from batteryscope.tracking.local_files import list_numbers, modified_ms, read_json
from batteryscope.tracking.mirror import list_figures
from batteryscope.tracking.records import MetricValue, RunRecord


def name_candidate_job(study: str, strategy: str, candidate: int) -> str:
    """Return the job key of a candidate while it trains."""
    return f"{study}/search/{strategy}/live_{candidate:04d}"


def plan_runs(layout: PictureLayout | RowLayout, data_version: str = "") -> list[RunRecord]:
    """List the runs of a search: one per strategy, and below it one per candidate.

    Parameters
    ----------
    layout
        Where ``search.json``, ``candidates.csv``, ``epochs.csv`` and ``figures/`` lie.
    data_version
        Of no use here: the name of a search holds a hash of its data.
    """
    del data_version
    study, summary = layout.plan.study, layout.search.summary
    facts = read_json(summary / "search.json")
    candidates = pd.read_csv(summary / "candidates.csv")
    epochs = pd.read_csv(summary / "epochs.csv")
    moment = modified_ms(summary / "candidates.csv")
    records: list[RunRecord] = []
    for strategy, mine in candidates.groupby("strategy", sort=False):
        key = f"{study}/search/{strategy}"
        told = next(s for s in facts["strategies"] if s["strategy"] == strategy)
        is_main = strategy == facts["strategies"][0]["strategy"]
        tables = [summary / n for n in ("candidates.csv", "search.json", "best.yaml")]
        artifacts = [(path, "tables") for path in tables] + list_figures(summary)
        records.append(
            RunRecord(
                key=key,
                parent=None,
                name=f"search {strategy}",
                tags={"study": study, RUN_TAG: "search", "search": str(strategy)},
                params=flatten_settings(facts["settings"], "search"),
                metrics=tuple(list_numbers(told)),
                artifacts=tuple(artifacts) if is_main else (),
                started_ms=moment,
                ended_ms=moment,
            )
        )
        rows: Sequence[dict[Any, Any]] = mine.to_dict("records")
        records += [_plan_candidate(study, key, row, facts, epochs, moment) for row in rows]
    return records


def _plan_candidate(
    study: str,
    parent: str,
    row: dict[Any, Any],
    facts: Mapping[str, Any],
    epochs: pd.DataFrame,
    moment: int,
) -> RunRecord:
    metric = str(facts["settings"]["metric"])
    steps = epochs[
        (epochs["strategy"] == row["strategy"]) & (epochs["candidate"] == row["candidate"])
    ]
    history: list[MetricValue] = [
        (metric, float(value), int(epoch))
        for epoch, value in zip(steps["epoch"], steps["value"], strict=True)
    ]
    numbers = {f"best_{metric}": row["value"], "epochs": row["epochs"], "seconds": row["seconds"]}
    number = int(row["candidate"])
    is_best = facts["best"]["strategy"] == row["strategy"] and facts["best"]["candidate"] == number
    return RunRecord(
        key=f"{parent}/{number:04d}",
        parent=parent,
        name=f"{row['strategy']} candidate {number}",
        tags={
            "study": study,
            RUN_TAG: "candidate",
            "search": str(row["strategy"]),
            "candidate": str(number),
            "state": str(row["state"]),
            "best": str(is_best).lower(),
        },
        params=flatten_settings({key: row[key] for key in facts["settings"]["space"]}),
        metrics=(*history, *list_numbers(numbers)),
        live_key=name_candidate_job(study, str(row["strategy"]), number),
        started_ms=moment - int(1000 * row["seconds"]) if row["seconds"] >= 0 else moment,
        ended_ms=moment,
    )
