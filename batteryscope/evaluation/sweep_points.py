"""One tidy table of all points of all sweeps, with what each of them took."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.config.evaluate import PaperValue
from batteryscope.evaluation.flat_metrics import FITS, flatten_metrics
from batteryscope.evaluation.paper_values import find_counterparts

COLUMNS = [
    "sweep", "point", "arm", "base", "values", "backbone", "target", "domain", "level", "metric",
    "mean", "sd", "n", "paper", "fits", "epochs", "seconds_per_epoch",
]  # fmt: skip
# In memory only: how much the fits of a place overlap (find_left_out_ratio).
LEFT_OUT = "left_out_per_train"


def tabulate_points(
    points: Sequence[Mapping[str, Any]],
    comparison: pd.DataFrame,
    costs: pd.DataFrame,
    paper: Sequence[PaperValue] = (),
) -> pd.DataFrame:
    """Give every point the scores of the arm that did its work.

    Parameters
    ----------
    points
        ``sweep, name, base, values, arm`` of every point, in the order to keep.
    comparison
        Scores of the arms (:func:`batteryscope.evaluation.comparison.compare_arms`).
    costs
        By arm: ``fits``, ``epochs`` (mean number) and ``seconds_per_epoch``.
    paper
        Published values; one counts for the point whose name is its ``arm``.

    Returns
    -------
    DataFrame
        :data:`COLUMNS`: ``sweep, point, arm, base, values`` (JSON) and the scores: mean and sd
        over repeats and folds, ``n`` distinct images; then :data:`LEFT_OUT` where it is known.
    """
    scores = comparison.drop(columns=FITS, errors="ignore")  # the costs count them as well
    tables = []
    for point in points:
        mine = scores[scores["arm"] == point["arm"]].assign(
            sweep=point["sweep"],
            point=point["name"],
            base=point["base"],
            values=json.dumps(point["values"], sort_keys=False),
            paper=np.nan,
        )
        for value in paper:
            if value.arm == point["name"]:
                mine.loc[find_counterparts(mine, value), "paper"] = value.value
        tables.append(mine.merge(costs, on="arm", how="left"))
    known = [LEFT_OUT] if LEFT_OUT in comparison else []
    return pd.concat(tables, ignore_index=True)[[*COLUMNS, *known]]


def flatten_points(points: pd.DataFrame) -> dict[str, float | int]:
    """Return names and values of the table of all points (:func:`tabulate_points`).

    They begin with the point. Where it is known how much the fits overlap they have the ends of the
    interval over fits, as the arms of a study have them.
    """
    place = ("point", "level", "domain", "target")
    if LEFT_OUT not in points:
        return flatten_metrics(points, place=place)
    keys = points["arm"].str.cat(points["domain"].fillna(""), sep=" ")
    known = dict(zip(keys, points[LEFT_OUT], strict=True))
    ratios = {key: float(ratio) for key, ratio in known.items() if pd.notna(ratio)}
    return flatten_metrics(points.assign(key=keys), ratios, by="key", place=place)


def count_fits(arms: Mapping[str, Path]) -> pd.DataFrame:
    """Count the repeats and folds of arms whose small networks train together in seconds.

    Parameters
    ----------
    arms
        Predictions by name.
    """
    rows = []
    for name, path in arms.items():
        fits = pd.read_parquet(path, columns=["repeat", "fold"]).drop_duplicates()
        rows.append((name, len(fits), np.nan, np.nan))
    return pd.DataFrame(rows, columns=["arm", "fits", "epochs", "seconds_per_epoch"])


def summarise_epochs(histories: Mapping[str, Sequence[pd.DataFrame]]) -> pd.DataFrame:
    """Count fits and epochs of every arm and average the seconds of an epoch.

    Parameters
    ----------
    histories
        The tables ``history.csv`` of all fits of an arm's last stage. A head that is solved in
        closed form counts as one epoch.
    """
    rows = []
    for arm, tables in histories.items():
        seconds = pd.concat([table["seconds"] for table in tables])
        rows.append((arm, len(tables), len(seconds) / len(tables), float(seconds.mean())))
    return pd.DataFrame(rows, columns=["arm", "fits", "epochs", "seconds_per_epoch"])
