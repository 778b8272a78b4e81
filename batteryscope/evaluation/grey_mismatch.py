"""Test with other grey levels than in training: what it gives, and that it is a mismatch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.config.evaluate import GreyMismatch
from batteryscope.core.finding import Finding
from batteryscope.evaluation.class_findings import find_judged_level, find_pooled_accuracy
from batteryscope.evaluation.metrics import find_wilson_interval
from batteryscope.evaluation.predictions import read_predictions, split_perturbed

MISMATCH = "grey_levels_at_test"  # kind of the finding


def read_mismatched(paths: Sequence[Path]) -> list[pd.DataFrame]:
    """Read what was predicted in mismatched tests, an arm each, without perturbed tiles.

    Parameters
    ----------
    paths
        Tables (parquet) of predictions, by tested arm.

    Raises
    ------
    InputError
        If a table cannot be used.
    """
    return [split_perturbed(read_predictions(path))[0] for path in paths]


def judge_mismatches(
    mismatches: Sequence[GreyMismatch], comparison: pd.DataFrame, main_arm: str
) -> list[Finding]:
    """Find what the mismatches cost, beside strategies trained with those grey levels.

    Parameters
    ----------
    mismatches
        What was tested.
    comparison
        Table of :func:`batteryscope.evaluation.comparison.compare_arms` that has them as arms.
    main_arm
        The arm that is told of; all arms if it was not tested so.

    Returns
    -------
    list of Finding
        One; none without mismatches.
    """
    if not mismatches:
        return []
    chosen = [m for m in mismatches if m.arm == main_arm] or mismatches
    tests = {
        tested: [_measure(m, comparison) for m in chosen if m.tested == tested]
        for tested in dict.fromkeys(mismatch.tested for mismatch in chosen)
    }
    facts = {"tests": tests, "some_left_out": len(chosen) < len(mismatches)}
    return [Finding(MISMATCH, "info", facts, {"level": "plain"})]


def _measure(mismatch: GreyMismatch, comparison: pd.DataFrame) -> dict[str, Any]:
    accuracy, n = find_pooled_accuracy(comparison, mismatch.name)
    low, high = find_wilson_interval(accuracy, n)
    matched = mismatch.matched
    return {
        "name": mismatch.arm,
        "trained": mismatch.trained,
        "accuracy": accuracy,
        "n": n,
        "unit": find_judged_level(comparison, mismatch.name),
        "low": low,
        "high": high,
        "usual": find_pooled_accuracy(comparison, mismatch.arm)[0],
        "matched": matched
        and {
            "name": matched,
            "alike": mismatch.alike,
            "accuracy": find_pooled_accuracy(comparison, matched)[0],
        },
    }
