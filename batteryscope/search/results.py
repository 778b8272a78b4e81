"""What a search found, as tables: its candidates, its best one, ASHA beside random search."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from batteryscope.config.search import SearchSettings
from batteryscope.errors import InputError
from batteryscope.search.queue import is_over, list_slots

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

STATES = {"COMPLETE": "trained to the end", "PRUNED": "stopped early", "FAIL": "failed"}


def list_candidates(study: "optuna.Study", strategy: str) -> pd.DataFrame:
    """Return one row per candidate, by number.

    Parameters
    ----------
    study
        The Optuna study.
    strategy
        ``asha`` or ``random``.

    Returns
    -------
    DataFrame
        ``strategy, candidate, state`` (complete, pruned, fail, …), ``value`` (metric of the best
        epoch; of the last one where stopped), ``epochs, seconds, ended`` (order of ending),
        ``retries``, ``problem``, then a column per searched key.
    """
    rows = []
    for slot, trial in list_slots(study).items():
        took = trial.duration.total_seconds() if trial.duration else np.nan
        steps = list(trial.intermediate_values)
        rows.append(
            {
                "strategy": strategy,
                "candidate": slot,
                "state": trial.state.name.lower(),
                "value": trial.value if is_over(trial) else np.nan,
                "epochs": int(trial.user_attrs.get("epochs", len(steps))),
                "seconds": round(took, 3),
                "ended": trial.datetime_complete,
                "retries": len(trial.system_attrs.get("retry_history", [])),
                "problem": trial.user_attrs.get("problem", ""),
                **trial.params,
            }
        )
    table = pd.DataFrame(rows)
    table["ended"] = table["ended"].rank(method="first").astype("Int64")
    return table


def find_best(candidates: pd.DataFrame, settings: SearchSettings) -> dict[str, Any]:
    """Return number, value and settings of the best candidate that was trained to the end.

    Raises
    ------
    InputError
        If there is none.
    """
    complete = candidates[candidates["state"] == "complete"].dropna(subset="value")
    if complete.empty:
        problems = [text for text in candidates["problem"] if text]
        why = f"; the first problem: {problems[0]}" if problems else ""
        raise InputError(f"No candidate of the search was trained to the end{why}")
    rising = settings.is_error
    row = complete.sort_values(["value", "candidate"], ascending=[rising, True]).iloc[0]
    values = {key: _as_plain(row[key]) for key in settings.space}
    return {
        "strategy": str(row["strategy"]),
        "candidate": int(row["candidate"]),
        "value": float(row["value"]),
        "values": values,
    }


def trace_progress(candidates: pd.DataFrame, settings: SearchSettings) -> pd.DataFrame:
    """Return the best value so far over the epochs spent, per strategy.

    Returns
    -------
    DataFrame
        ``strategy, epochs`` (sum over the candidates that have ended), ``seconds``, ``best``
        (among those trained to the end; NaN before the first).
    """
    ended = candidates[candidates["state"].isin(["complete", "pruned"])]
    lines = []
    for _, mine in ended.groupby("strategy", sort=False):
        ordered = mine.sort_values("ended")
        value = ordered["value"].where(ordered["state"] == "complete")
        best = value.cummin() if settings.is_error else value.cummax()
        line = ordered[["strategy"]].assign(
            epochs=ordered["epochs"].cumsum(),
            seconds=ordered["seconds"].cumsum(),
            best=best.ffill(),
        )
        lines.append(line)
    return pd.concat(lines, ignore_index=True)


def compare_strategies(candidates: pd.DataFrame, settings: SearchSettings) -> pd.DataFrame:
    """Count candidates, epochs and seconds of every strategy, and tell its best value."""
    rows = []
    for strategy, mine in candidates.groupby("strategy", sort=False):
        count = mine["state"].value_counts()
        complete = mine.loc[mine["state"] == "complete", "value"]
        best = complete.min() if settings.is_error else complete.max()
        rows.append(
            {
                "strategy": strategy,
                "candidates": len(mine),
                "trained_to_the_end": int(count.get("complete", 0)),
                "stopped_early": int(count.get("pruned", 0)),
                "failed": int(count.get("fail", 0)),
                "retried": int((mine["retries"] > 0).sum()),
                "epochs": int(mine["epochs"].sum()),
                "seconds": round(float(mine["seconds"].sum()), 1),
                "best": best,
            }
        )
    return pd.DataFrame(rows)


def describe_search(strategies: pd.DataFrame, best: dict[str, Any], metric: str) -> str:
    """Say in two or three sentences what the search found and whether ASHA helped."""
    asha = strategies.iloc[0]
    name = name_metric(metric)
    settings = ", ".join(f"{key} {show_value(value)}" for key, value in best["values"].items())
    text = (
        f"Best {name}: {best['value']:.4g}, with {settings}. Of {asha['candidates']} candidates "
        f"{asha['trained_to_the_end']} were trained to the end and {asha['stopped_early']} stopped "
        f"early, {asha['epochs']} epochs in total."
    )
    if asha["failed"]:
        text += f" {asha['failed']} failed."
    if len(strategies) > 1:
        other = strategies.iloc[1]
        text += (
            f" Random search with as many epochs ({other['epochs']}, {other['candidates']} "
            f"candidates) reached {other['best']:.4g}."
        )
    return text


def name_metric(metric: str) -> str:
    """Return how figures and sentences call a metric.

    Examples
    --------
    >>> [name_metric(m) for m in ("val_accuracy", "val_mape")]
    ['validation accuracy', 'validation MAPE (%)']
    """
    return metric.replace("val_", "validation ").replace("mape", "MAPE (%)")


def describe_progress(
    study: "optuna.Study", trial: "FrozenTrial", settings: SearchSettings, label: str
) -> str:
    """Say in one line how a candidate ended and how far the search is."""
    slots = list_slots(study)
    over = [t for t in slots.values() if is_over(t)]
    values = [t.value for t in over if t.state.name == "COMPLETE" and t.value is not None]
    choose = min if settings.is_error else max
    best = f"{choose(values):.4f}" if values else "–"
    value = "–" if trial.value is None else f"{trial.value:.4f}"
    return (
        f"{label}: candidate {trial.user_attrs['slot']} {STATES.get(trial.state.name, '')}, "
        f"{settings.metric} {value}, {trial.user_attrs.get('epochs', 0)} epochs; "
        f"{len(over)} of {len(slots)} done, best {best}"
    )


def _as_plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and np.isnan(value) else value


def show_value(value: Any) -> str:
    """Return a value of a setting as people are shown it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
