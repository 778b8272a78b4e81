"""The numbers of a comparison as names and values, with the same fields in every kind of study."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.evaluation.metric_catalogue import METRICS
from batteryscope.evaluation.metrics import find_wilson_interval
from batteryscope.evaluation.paired import find_half_width

PLACE = ("arm", "level", "domain", "target")
PAPER_ARM = "paper"
POOLED = "pooled_accuracy"
FITS = "fits"  # column of comparisons in memory: how many fits gave a value
DIGITS = 6


def flatten_metrics(
    comparison: pd.DataFrame,
    left_out_per_train: Mapping[str, float] | None = None,
    by: str = "arm",
    place: Sequence[str] = PLACE,
) -> dict[str, float | int]:
    """Flatten a comparison to ``<arm>.<level>[.<domain>][.<target>].<metric>`` → number.

    Parameters
    ----------
    comparison
        ``arm, level, domain, target, metric, mean, sd, n`` and perhaps :data:`FITS`. Rows of a
        domain count only where none is for all domains together, as in studies of tables; rows
        of the arm ``paper`` do not.
    left_out_per_train
        By the column ``by``: how much the fits overlap
        (:func:`batteryscope.evaluation.paired.find_left_out_ratio`). Where it is not known there
        are no intervals over fits, since they would be too narrow.
    by
        ``arm`` or ``domain``.
    place
        Columns of the name before the metric.

    Returns
    -------
    dict
        Beside every mean over several fits stands its standard deviation (``…_sd``) and the ends
        of its 95 % interval (``…_low``, ``…_high``; Student's, corrected for the overlap of the
        training parts, within the values that the metric can have); beside a pooled accuracy its
        Wilson interval. ``<place>.n`` is the number of different samples (specimens, rows).
        Sorted, rounded to 6 digits; nothing depends on time.
    """
    ours = comparison[(comparison["arm"] != PAPER_ARM) & comparison["mean"].notna()]
    is_total = ours["domain"].fillna("").eq("")
    metrics: dict[str, float | int] = {}
    for row in (ours[is_total] if is_total.any() else ours).to_dict("records"):
        where = ".".join(str(row[c]) for c in place if row[c])
        name, mean = f"{where}.{row['metric']}", float(row["mean"])
        metrics[name] = round(mean, DIGITS)
        metrics[f"{where}.n"] = int(row["n"])
        if pd.notna(row["sd"]):
            metrics[f"{name}_sd"] = round(float(row["sd"]), DIGITS)
        ratio = (left_out_per_train or {}).get(row[by])
        for end, value in zip(("low", "high"), _find_ends(row, mean, ratio), strict=True):
            if np.isfinite(value):
                metrics[f"{name}_{end}"] = round(value, DIGITS)
    return dict(sorted(metrics.items()))


def _find_ends(row: Mapping[Any, Any], mean: float, ratio: float | None) -> tuple[float, float]:
    if row["metric"] == POOLED:
        return find_wilson_interval(mean, int(row["n"]))
    if ratio is None or pd.isna(row["sd"]):
        return float("nan"), float("nan")
    half = find_half_width(float(row["sd"]), int(row[FITS]), ratio)
    lowest, highest = METRICS[str(row["metric"])].bounds
    return max(lowest, mean - half), min(highest, mean + half)


def flatten_score(
    place: str, metric: str, value: float, ends: Sequence[float], n: int | None = None
) -> dict[str, float | int]:
    """Return one value with the same fields: ``<place>.<metric>[_low, _high]`` and ``<place>.n``.

    Parameters
    ----------
    place, metric
        What was measured, and how.
    value, ends
        The value, and the ends of its 95 % interval; those that are not finite are left out.
    n
        Samples (specimens, groups) of the place; None: they are told elsewhere.
    """
    told = {"": value, "_low": ends[0], "_high": ends[1]}
    found: dict[str, float | int] = {
        f"{place}.{metric}{end}": round(float(v), DIGITS)
        for end, v in told.items()
        if np.isfinite(v)
    }
    return found if n is None else {**found, f"{place}.n": int(n)}
