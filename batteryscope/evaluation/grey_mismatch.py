"""Test with other grey levels than in training: what it gives, and that it is a mismatch."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from batteryscope.config.evaluate import GreyMismatch
from batteryscope.evaluation.metrics import find_wilson_interval
from batteryscope.evaluation.predictions import join_predictions, read_predictions
from batteryscope.evaluation.verdicts import Finding, find_judged_level, find_pooled_accuracy

MISMATCH = "grey_levels_at_test"  # kind of the finding


def read_mismatched(
    text: str, predictions: pd.DataFrame
) -> tuple[list[GreyMismatch], pd.DataFrame]:
    """Read mismatched tests and what was predicted in them.

    Parameters
    ----------
    text
        JSON: ``tests``, a list of :class:`GreyMismatch`, and ``predictions``, the tables
        (parquet) that hold them; empty if there are none.
    predictions
        Predictions of arms and baselines.

    Returns
    -------
    tests, predictions
        The tests; the predictions with those of the tests below, as arms of their own.
    """
    given = json.loads(text)
    tests = [GreyMismatch.model_validate(test) for test in given.get("tests", [])]
    if not tests:
        return [], predictions
    tables = [read_predictions(Path(path)) for path in given["predictions"]]
    return tests, join_predictions([predictions, *tables])


def describe_mismatches(
    mismatches: Sequence[GreyMismatch], comparison: pd.DataFrame, main_arm: str
) -> list[Finding]:
    """Say what the mismatches cost, beside strategies trained with those grey levels.

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
    list of dict
        One finding; none without mismatches.
    """
    if not mismatches:
        return []
    chosen = [m for m in mismatches if m.arm == main_arm] or mismatches
    told = []
    for tested in dict.fromkeys(mismatch.tested for mismatch in chosen):
        arms = [_describe(m, comparison) for m in chosen if m.tested == tested]
        told.append(f"Tested with '{tested}' grey levels: {'; '.join(arms)}.")
    if len(chosen) < len(mismatches):
        told.append("The other strategies stand in the table of the comparison.")
    text = (
        f"{' '.join(told)} Such a number tells of a mismatch between training and test, not of "
        "a property of the normalisation."
    )
    return [{"kind": MISMATCH, "severity": "info", "level": "plain", "text": text}]


def _describe(mismatch: GreyMismatch, comparison: pd.DataFrame) -> str:
    accuracy, n = find_pooled_accuracy(comparison, mismatch.name)
    low, high = find_wilson_interval(accuracy, n)
    unit = find_judged_level(comparison, mismatch.name)
    usual, _ = find_pooled_accuracy(comparison, mismatch.arm)
    return (
        f"{mismatch.arm}, trained with '{mismatch.trained}', classifies {100 * accuracy:.1f} % of "
        f"{n} test {unit}s (95 % interval {100 * low:.1f} to {100 * high:.1f} %; tested as it was "
        f"trained: {100 * usual:.1f} %; {_describe_matched(mismatch, comparison)})"
    )


def _describe_matched(mismatch: GreyMismatch, comparison: pd.DataFrame) -> str:
    if mismatch.matched is None:
        return f"no strategy here was trained and tested with '{mismatch.tested}'"
    accuracy, _ = find_pooled_accuracy(comparison, mismatch.matched)
    other = "" if mismatch.alike else ", though with other settings too"
    return (
        f"{mismatch.matched}, trained and tested with '{mismatch.tested}'{other}: "
        f"{100 * accuracy:.1f} %"
    )
