"""A division that holds: every proposal is tried to the end, audit included."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd

from batteryscope.config.base import validate_settings
from batteryscope.config.split import SplitSettings
from batteryscope.core.plural import count_of
from batteryscope.errors import BatteryscopeError, InputError
from batteryscope.samples.choose import samples_in
from batteryscope.splits.assign import split_samples
from batteryscope.splits.audit import audit_split
from batteryscope.splits.groups import COLUMN_OF_GROUP, find_groups, merge_groups
from batteryscope.splits.kept_together import advise_on_overlaps, split_together
from batteryscope.splits.near_duplicates import select_near_duplicates

MOST_FOLDS = 5
FEWEST_GROUPS = 3  # one each for training, validation and test
EMPTY = "classes in some fold"  # of audit_split's warning about a part that lacks a class


@dataclass(frozen=True)
class SplitPlan:
    """A division that was tried.

    Attributes
    ----------
    settings
        Keys of ``split``.
    reasons
        Key → why.
    warnings
        What the audit still says, and what a person should know.
    training_samples
        Of the smallest training part.
    """

    settings: Mapping[str, Any]
    reasons: Mapping[str, str]
    warnings: Sequence[str] = field(default_factory=list)
    training_samples: int = 0


def plan_split(
    manifest: pd.DataFrame, pairs: pd.DataFrame, validation_fraction: float, stratify: bool = True
) -> SplitPlan:
    """Find the strictest division that groups and counts allow.

    Tried in this order: cross-validation by specimen, by session, by image with near-duplicates
    kept together, with as many folds as the class with the fewest groups allows (at most five);
    last by image whatever looks alike, which is said.

    Parameters
    ----------
    manifest
        Sample table of what will be used.
    pairs
        Samples that show the same place.
    validation_fraction
        Share of the rest that validates.
    stratify
        Whether every class must be in every part; not where numbers are predicted.

    Raises
    ------
    InputError
        No division is possible.
    """
    samples = samples_in(manifest.columns)
    tried: list[str] = []
    half_good: SplitPlan | None = None
    for group, treatment, n_groups, name in _list_proposals(manifest, pairs, stratify, tried):
        for folds in range(min(MOST_FOLDS, n_groups), FEWEST_GROUPS - 1, -1):
            asked = {
                "scheme": "kfold", "folds": folds, "group": group,
                "near_duplicates": treatment, "validation_fraction": validation_fraction,
            } | ({} if stratify else {"stratify": False})  # fmt: skip
            try:
                split, audit = _try(manifest, pairs, asked)
            except BatteryscopeError as error:
                tried.append(f"{folds} folds by {group}: {error}")
                continue
            warnings = [text for text in audit["warnings"] if not text.endswith(f"{EMPTY}.")]
            roles = split[split["role"] == "train"].groupby(["repeat", "fold"]).size()
            plan = SplitPlan(
                asked,
                _explain(asked, audit, n_groups, name, tried),
                [*warnings, *_warn(manifest, samples.noun, group, treatment)],
                int(roles.min()),
            )
            if not stratify or len(warnings) == len(audit["warnings"]):
                return plan
            half_good = half_good or plan
    if half_good is not None:
        return half_good
    raise InputError(
        "No division into training, validation and test parts is possible: "
        + (tried[-1] if tried else "there are too few samples.")
    )


def _list_proposals(
    manifest: pd.DataFrame, pairs: pd.DataFrame, stratify: bool, tried: list[str]
) -> Iterator[tuple[str, str, int, str]]:
    """Yield group, treatment of near-duplicates, groups of the smallest class, and its name."""
    samples = samples_in(manifest.columns)
    single = samples.noun
    for group in (*COLUMN_OF_GROUP, single):
        column = COLUMN_OF_GROUP.get(group)
        if column and manifest[column].isna().any():
            if manifest[column].notna().any():
                tried.append(f"{group}s are not known of all {samples.plural}")
            continue
        for treatment in ("group", "ignore"):
            if treatment == "ignore" and group != single:
                continue
            groups = find_groups(manifest, group)  # type: ignore[arg-type]
            if treatment == "group":
                groups = merge_groups(groups, select_near_duplicates(pairs, 0.95))
            n, name = count_fewest(manifest, groups) if stratify else (groups.nunique(), "all")
            if n < FEWEST_GROUPS:
                joined = ", near-duplicates counted as one" if treatment == "group" else ""
                words = count_of(n, group if column else single)
                whose = f"the class '{name}' has" if stratify else "there are"
                tried.append(f"{whose} {words}{joined}, and {FEWEST_GROUPS} are needed")
                continue
            yield group, treatment, n, name


def count_fewest(manifest: pd.DataFrame, groups: "pd.Series[str]") -> tuple[int, str]:
    """Return how many groups the class with the fewest has, and its name."""
    of_sample = manifest["sample_id"].map(groups)
    counts = of_sample.groupby(manifest["class"].to_numpy()).nunique()
    name = min(counts.index, key=lambda each: (counts[each], each))
    return int(counts[name]), str(name)


def _try(
    manifest: pd.DataFrame, pairs: pd.DataFrame, asked: Mapping[str, Any]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    settings = validate_settings(SplitSettings, dict(asked), "split")
    groups = find_groups(manifest, settings.group)
    if settings.near_duplicates == "group":
        split = split_together(manifest, groups, pairs, settings)
    else:
        split = split_samples(manifest, groups, settings)
    return split, audit_split(
        split, manifest, pairs, settings.near_duplicates, settings.near_duplicate_share,
        advise_on_overlaps=partial(advise_on_overlaps, manifest, pairs, settings),
    )  # fmt: skip


def _explain(
    asked: Mapping[str, Any],
    audit: Mapping[str, Any],
    n_groups: int,
    name: str,
    tried: Sequence[str],
) -> dict[str, str]:
    group = str(asked["group"])
    few = (
        f"; the class with the fewest groups, '{name}', has {n_groups}"
        if asked.get("stratify", True)
        else f"; there are {n_groups}"
    )
    whole = group in COLUMN_OF_GROUP
    by = (
        f"whole {group}s train or test, so the result holds for a new {group}"
        if whole
        else "nothing larger than an image can be divided: "
        + ("; ".join(tried[:2]) or "no specimens or sessions are named")
    )
    twins = audit["near_duplicates"]["pairs"]
    return {
        "scheme": "every sample is tested once",
        "folds": (
            "tried to the end with the audit" + (few if n_groups < MOST_FOLDS else "")
        ),
        "group": by,
        "near_duplicates": (
            f"{count_of(twins, 'pair')} of nearly the same place stay on one side"
            if asked["near_duplicates"] == "group"
            else f"keeping {count_of(twins, 'pair')} of nearly the same place together leaves too "
            "few groups: the results are too good by an unknown amount"
        ),
        "validation_fraction": "of what is left after the test part; it chooses the epoch",
        "stratify": "numbers are predicted, so parts need not hold every group of names",
    }  # fmt: skip


def _warn(manifest: pd.DataFrame, noun: str, group: str, treatment: str) -> list[str]:
    found = []
    known = manifest["specimen_id"].nunique()
    if group == noun and known:
        classes = count_of(manifest["class"].nunique(), "class", "classes")
        found.append(
            f"Only {count_of(known, 'specimen')} of {classes} "
            "are known, too few to keep whole specimens apart: the result says how well new "
            f"{noun}s of these specimens are told, not how well new specimens are."
        )
    elif group == noun:
        found.append(
            f"No folder names specimens, so {noun}s of one specimen train and test: the result "
            "says nothing about a new specimen. Name them by a folder of each specimen if you can."
        )
    if treatment == "ignore":
        found.append(
            "Near-duplicates lie in training and test: the results are too good by an unknown "
            "amount. Add images of other places."
        )
    return found
