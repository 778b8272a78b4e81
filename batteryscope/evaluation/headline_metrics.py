"""The few numbers by which a study is judged, chosen from the hundreds that it measures.

They are what people compare: metrics of DVC, and the first columns in MLflow. All others lie beside
them, in ``metrics.json``.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from batteryscope.core.baseline_catalogue import (
    BASELINE_PREFIX,
    OF_CLASSES,
    OF_QUANTITIES,
    OF_ROWS,
)
from batteryscope.evaluation.flat_metrics import DIGITS, POOLED
from batteryscope.evaluation.metric_catalogue import METRICS

# An arm is judged by single samples, as in its report.
LEVELS = ("image", "slice", "row", "specimen", "tile")
LEVELS_OF_CLASSES = ("image", "specimen", "slice", "tile")
JUDGED_BY = (POOLED, "mape", "mae")
# What stands beside the first number, where it was measured.
BESIDE = {
    POOLED: ("macro_f1", "log_loss", "ece", "quadratic_kappa"),
    "mape": ("mae", "r2"),
    "mae": ("r2",),
}
# More cases (a target of a domain each) than this show no intervals.
CASES_WITH_INTERVALS = 4
SHOWN_AS = {POOLED: "accuracy"}
BASELINES = {f"{BASELINE_PREFIX}{name}" for name in (OF_CLASSES | OF_QUANTITIES | OF_ROWS)}


class HeadlineCase(NamedTuple):
    """One thing that an arm is judged by: a level, a target or none, a metric."""

    level: str
    case: str
    metric: str

    @property
    def place(self) -> str:
        """What stands before the metric in the names of ``metrics.json``."""
        return ".".join(filter(None, (self.level, self.case)))


def select_headlines(metrics: Mapping[str, Any], arm: str) -> dict[str, float]:
    """Return the headline values of an arm with their intervals and the best baseline's.

    Parameters
    ----------
    metrics
        The content of ``metrics.json``
        (:func:`batteryscope.evaluation.flat_metrics.flatten_metrics`).
    arm
        A strategy or a baseline.

    Returns
    -------
    dict
        The first number with ``…_low`` and ``…_high`` (95 %), ``best_baseline_…`` at the same
        samples, what belongs to it, and the number of test samples. Classes have the ``accuracy``
        with every sample counted once, numbers ``mape`` (percent) or, where a true value may be 0,
        ``mae``. Where there are several targets or domains, their names stand before the metrics.
        Empty if nothing of it was measured.

    Examples
    --------
    >>> select_headlines({"a.image.mape": 2.5, "a.image.n": 9, "baseline_mean.image.mape": 7}, "a")
    {'mape': 2.5, 'best_baseline_mape': 7.0, 'test_images': 9.0}
    """
    cases = list(_list_cases(metrics, arm))
    baselines = find_best_baselines(metrics, arm)
    found: dict[str, float] = {}
    for case in cases:
        stem, prefix = f"{arm}.{case.place}", f"{case.case}." if case.case else ""
        shown = prefix + SHOWN_AS.get(case.metric, case.metric)
        found[shown] = metrics[f"{stem}.{case.metric}"]
        if len(cases) <= CASES_WITH_INTERVALS:
            for end in ("low", "high"):
                found[f"{shown}_{end}"] = metrics.get(f"{stem}.{case.metric}_{end}", math.nan)
        if arm not in BASELINES:
            _, best = baselines.get(case.case, ("", math.nan))
            found[f"{prefix}best_baseline_{shown.removeprefix(prefix)}"] = best
        if len(cases) == 1:
            for metric in BESIDE[case.metric]:
                found[f"{prefix}{metric}"] = metrics.get(f"{stem}.{metric}", math.nan)
            found[f"{prefix}test_{case.level}s"] = metrics.get(f"{stem}.n", math.nan)
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def find_best_baselines(metrics: Mapping[str, Any], arm: str) -> dict[str, tuple[str, float]]:
    """Return the best baseline at the test samples of an arm.

    Parameters
    ----------
    metrics
        The content of ``metrics.json``.
    arm
        A strategy.

    Returns
    -------
    dict
        Case (``""`` of all together, else domain and target) to the baseline and its value; empty
        without baselines.

    Examples
    --------
    >>> find_best_baselines({"a.image.mape": 2.5, "baseline_mean.image.mape": 7}, "a")
    {'': ('baseline_mean', 7.0)}
    """
    found = {
        case.case: _find_best_baseline(metrics, arm, case) for case in _list_cases(metrics, arm)
    }
    return {case: best for case, best in found.items() if best is not None}


def _list_cases(metrics: Mapping[str, Any], arm: str) -> Iterator[HeadlineCase]:
    """What an arm is judged by: all together where that was measured, else each target."""
    named = [key.removeprefix(f"{arm}.").split(".") for key in metrics if key.startswith(f"{arm}.")]
    places = {(level, ".".join(case), metric) for level, *case, metric in named}
    for metric in JUDGED_BY:
        for level in LEVELS_OF_CLASSES if metric == POOLED else LEVELS:
            cases = sorted(case for at, case, name in places if (at, name) == (level, metric))
            if "" in cases:
                yield HeadlineCase(level, "", metric)
                return
            if cases:
                yield from (HeadlineCase(level, case, metric) for case in cases)
                # Where a true value is 0, a target has no percentage.
                errors = sorted(case for at, case, name in places if (at, name) == (level, "mae"))
                yield from (HeadlineCase(level, c, "mae") for c in errors if c and c not in cases)
                return


def _find_best_baseline(
    metrics: Mapping[str, Any], arm: str, case: HeadlineCase
) -> tuple[str, float] | None:
    """The best baseline and its value for the same; None without any.

    Baselines may know more targets than an arm: over all together counts what the arm predicts.
    """
    tail = f".{case.metric}"
    stem = f"{arm}.{case.place}."
    parts = [
        key.removeprefix(f"{arm}.")
        for key in metrics
        if key.startswith(stem) and key.endswith(tail) and key != f"{stem}{case.metric}"
    ]
    together = case.case == "" and case.metric != POOLED and parts
    wanted = parts if together else [f"{case.place}.{case.metric}"]
    values = {
        name: float(np.mean([metrics[f"{name}.{key}"] for key in wanted]))
        for name in sorted(BASELINES)
        if all(f"{name}.{key}" in metrics for key in wanted)
    }
    if not values:
        return None
    best = max if METRICS[case.metric].higher_is_better else min
    name = best(values, key=values.__getitem__)
    return name, round(values[name], DIGITS)
