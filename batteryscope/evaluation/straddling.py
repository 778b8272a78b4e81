"""Arms that were tested on specimens that they were trained on."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from batteryscope.core.finding import Finding
from batteryscope.plan import StudyPlan
from batteryscope.splits.kept_together import describe_allowed, describe_validation
from batteryscope.splits.slices import find_straddling_specimens, warn_of_straddling


def read_splits(paths: Mapping[str, Path]) -> dict[str, pd.DataFrame]:
    """Read the splits of arms, by name."""
    return {name: pd.read_parquet(path) for name, path in paths.items()}


def find_straddling_arms(splits: Mapping[str, pd.DataFrame], manifest: pd.DataFrame) -> list[str]:
    """List the arms that trained on samples of the specimens that they were tested on."""
    return [arm for arm, split in splits.items() if len(find_straddling_specimens(split, manifest))]


def drop_straddling_specimens(
    specimens: pd.DataFrame, splits: Mapping[str, pd.DataFrame], manifest: pd.DataFrame
) -> pd.DataFrame:
    """Take verdicts per specimen out of arms that trained on other samples of that specimen.

    Such a verdict would look like one about an unseen specimen, which it is not.

    Parameters
    ----------
    specimens
        Predictions at specimen level.
    splits
        Split of each arm; arms without one are kept.
    manifest
        Sample table.
    """
    return specimens[~specimens["arm"].isin(find_straddling_arms(splits, manifest))]


def list_allowed_leakage(plan: StudyPlan) -> dict[str, str]:
    """Return the reason of every arm whose division may leak (``split.allow_leakage``)."""
    reasons = {name: arm.recipe.split.allow_leakage for name, arm in plan.arms.items()}
    return {name: reason for name, reason in reasons.items() if reason}


def list_test_validation(plan: StudyPlan) -> dict[str, str]:
    """Return the reason of every arm whose test part validates too (``split.validate_on_test``)."""
    reasons = {name: arm.recipe.split.validate_on_test for name, arm in plan.arms.items()}
    return {name: reason for name, reason in reasons.items() if reason}


def list_allowed_findings(
    allowed: Mapping[str, str],
    labels: Mapping[str, str],
    validated: Mapping[str, str] | None = None,
) -> list[Finding]:
    """Say for every arm, given its reason, that its division may leak, or validates on the test."""
    told = [(arm, describe_allowed(reason)) for arm, reason in allowed.items()]
    told += [(arm, describe_validation(reason)) for arm, reason in (validated or {}).items()]
    return [
        Finding(
            "leakage", None, {"strategy": labels.get(arm) or arm, "warning": text}, {"arm": arm}
        )
        for arm, text in told
    ]


def list_straddling_findings(
    splits: Mapping[str, pd.DataFrame], labels: Mapping[str, str], manifest: pd.DataFrame
) -> list[Finding]:
    """Say for every arm in words that slices of one cell are in training and test."""
    findings = []
    for arm, split in splits.items():
        if text := warn_of_straddling(split, manifest):
            facts = {"strategy": labels.get(arm) or arm, "warning": text}
            findings.append(Finding("leakage", None, facts, {"arm": arm}))
    return findings
