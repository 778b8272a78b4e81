"""What the numbers mean: what a reader of the report must know beside them."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from batteryscope.core.baseline_catalogue import OF_CLASSES, find_words
from batteryscope.core.finding import Finding
from batteryscope.errors import InputError
from batteryscope.evaluation.aggregate import pool_fits
from batteryscope.evaluation.metrics import find_wilson_interval
from batteryscope.evaluation.paired import (
    ImageComparison,
    Verdict,
    compare_on_images,
    judge_rivals,
)
from batteryscope.evaluation.predictions import FIT, is_baseline
from batteryscope.evaluation.sample_features import list_informative_metadata
from batteryscope.samples.choose import samples_in

INDEPENDENT = ("specimen", "slice")  # levels above which nothing is shared, the best one first


def judge_against_baselines(
    comparison: pd.DataFrame, images: pd.DataFrame, main_arm: str
) -> dict[str, Any]:
    """Decide whether the main arm beats every baseline.

    Parameters
    ----------
    comparison
        Table of :func:`compare_arms`.
    images
        Test predictions of all arms at the level of :func:`find_judged_level`.
    main_arm
        The arm in question.

    Returns
    -------
    dict
        ``main_arm, accuracy, n, n_voters, unit, beats_all``, ``baselines`` (per baseline:
        ``accuracy, difference, interval, p_value, p_holm, outcome, only_model_right,
        only_baseline_right, n``) and ``best``, the baseline that is hardest to beat (an unbeaten
        one first, then the most accurate; None without any), with its ``title``. Beating means
        right on significantly more of the common independent units (McNemar's exact test, p < 0.05
        after Holm's correction for the number of baselines). Every unit counts once: if several
        fits tested it, by their vote, which may be better than their mean accuracy. Differences
        are those on the common units, so that they agree with the counts.

    Raises
    ------
    InputError
        If the main arm has no image-level row.
    """
    find_pooled_accuracy(comparison, main_arm)  # raises if the arm is not there
    voted = pool_fits(images[images["arm"] == main_arm])
    accuracy, n = float((voted["y_true"] == voted["y_pred"]).mean()), len(voted)
    n_voters = int(voted["n_tiles"].max())
    pairs = {
        name: compare_on_images(images, main_arm, name)
        for name in dict.fromkeys(a for a in comparison["arm"] if is_baseline(a))
    }
    verdicts = judge_rivals(
        {name: pair.difference for name, pair in pairs.items()},
        {name: pair.p_value for name, pair in pairs.items()},
    )
    baselines = {name: _describe(pairs[name], verdict) for name, verdict in verdicts.items()}
    best = next(iter(baselines), None)
    return {
        "main_arm": main_arm,
        "accuracy": accuracy,
        "n": n,
        "n_voters": n_voters,
        "unit": find_judged_level(comparison, main_arm),
        "beats_all": bool(baselines) and all(b["outcome"] == "beaten" for b in baselines.values()),
        "baselines": baselines,
        "best": best and {**baselines[best], "title": find_words(best, OF_CLASSES).in_sentence},
    }


def collect_findings(
    comparison: pd.DataFrame,
    images: pd.DataFrame,
    manifest: pd.DataFrame,
    main_arm: str,
    audit: Mapping[str, Any],
    split: pd.DataFrame,
    judged: pd.DataFrame | None = None,
) -> list[Finding]:
    """Collect everything a reader must know beside the numbers.

    Kinds: ``baselines`` (verdict, with a severity: good or warning), ``metadata``
    (baseline without information), ``leakage`` (warnings of the split's audit), ``unjudged``,
    ``single_fit``. ``judged`` are the test predictions at the level of
    :func:`find_judged_level`, if that is another than that of ``images``.
    """
    verdict = judge_against_baselines(comparison, images if judged is None else judged, main_arm)
    findings = [Finding("baselines", "good" if verdict["beats_all"] else "warning", verdict)]
    if "baseline_metadata" in set(comparison["arm"]) and not list_informative_metadata(manifest):
        findings.append(Finding("metadata", None))
    findings += [Finding("leakage", None, {"warning": str(w)}) for w in audit.get("warnings", [])]
    findings += count_unjudged(images, split, main_arm, samples_in(manifest.columns).noun)
    mine = images[images["arm"] == main_arm]
    unit = find_judged_level(comparison, main_arm)
    if len(mine[FIT].drop_duplicates()) == 1:
        accuracy, n = find_pooled_accuracy(comparison, main_arm)
        low, high = find_wilson_interval(accuracy, n)
        facts = {"main_arm": main_arm, "n": n, "unit": unit, "accuracy": accuracy}
        findings.append(Finding("single_fit", None, {**facts, "low": low, "high": high}))
    return findings


def count_unjudged(
    images: pd.DataFrame, split: pd.DataFrame, main_arm: str, noun: str = "image"
) -> list[Finding]:
    """Count the test images that the main arm gave no verdict on, and what that costs at most.

    Such images have no tile that the quality filter lets pass, so they are missing from the
    model's accuracies, but not from the baselines'.

    Parameters
    ----------
    images
        Image-level test predictions of all arms.
    split
        ``sample_id, repeat, fold, role``.
    main_arm
        The arm in question.
    noun
        What the samples are: ``image`` or ``slice``.

    Returns
    -------
    list of Finding
        One; none if every test image was judged.
    """
    mine = images[images["arm"] == main_arm]
    judged = set(mine["sample_id"])
    asked = set(split.loc[split["role"] == "test", "sample_id"])
    missing = len(asked - judged)
    if not missing:
        return []
    right = (mine["y_true"] == mine["y_pred"]).groupby(mine["sample_id"]).mean().sum()
    facts = {
        "main_arm": main_arm,
        "missing": missing,
        "asked": len(asked),
        "noun": noun,
        "at_least": float(right) / len(asked),
    }
    return [Finding("unjudged", "warning", facts)]


def find_judged_level(comparison: pd.DataFrame, arm: str) -> str:
    """Return the level at which an arm is judged: that of independent units.

    Specimens where they are known, since pictures or slices of one specimen are no independent
    tests; else images, or slices of scans. An arm that trained on the specimens that it was tested
    on has no verdicts per specimen and is judged by its images or slices.
    """
    present = set(comparison.loc[comparison["arm"] == arm, "level"])
    return next((level for level in INDEPENDENT if level in present), "image")


def find_pooled_accuracy(comparison: pd.DataFrame, arm: str) -> tuple[float, int]:
    """Return an arm's share of right test samples, each counted once, and their number.

    Raises
    ------
    InputError
        If the comparison has no such row.
    """
    level = find_judged_level(comparison, arm)
    row = comparison[
        (comparison["arm"] == arm)
        & (comparison["level"] == level)
        & (comparison["target"] == "")
        & (comparison["domain"] == "")
        & (comparison["metric"] == "pooled_accuracy")
    ]
    if row.empty:
        known = ", ".join(dict.fromkeys(comparison["arm"]))
        raise InputError(
            f"The arm '{arm}' has no test images in the comparison; found the arms {known}. "
            "Name one of them as the main arm or predict its test images."
        )
    return float(row["mean"].iloc[0]), int(row["n"].iloc[0])


def _describe(pair: ImageComparison, verdict: Verdict) -> dict[str, Any]:
    return {
        "accuracy": pair.accuracy_second,
        "difference": pair.difference,
        "interval": (pair.low, pair.high),
        "p_value": pair.p_value,
        "p_holm": verdict.p_holm,
        "outcome": verdict.outcome,
        "only_model_right": pair.only_first_right,
        "only_baseline_right": pair.only_second_right,
        "n": pair.n,
    }
