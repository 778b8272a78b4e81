"""Near-duplicates on one side of a split: advice that was tried to its end before it is given."""

from typing import Any

import pandas as pd
from pydantic import ValidationError

from batteryscope.config.split import SplitSettings
from batteryscope.errors import InputError
from batteryscope.splits.assign import split_samples
from batteryscope.splits.audit import measure_overlaps
from batteryscope.splits.groups import find_groups, merge_groups
from batteryscope.splits.near_duplicates import select_near_duplicates

OTHERWISE = (
    "Add images of other places, or set split.near_duplicates: ignore; the results are then too "
    "good by an unknown amount, and the report says so."
)


def split_together(
    samples: pd.DataFrame, groups: pd.Series, pairs: pd.DataFrame, settings: SplitSettings
) -> pd.DataFrame:
    """Divide samples so that near-duplicates stay on one side.

    Parameters
    ----------
    samples
        Sample table: ``sample_id``, ``class``.
    groups
        Group by ``sample_id``, near-duplicates not yet joined.
    pairs
        Images that show the same place; see ``find_overlaps``.
    settings
        Of the split.

    Raises
    ------
    InputError
        There are too few groups; if so only since near-duplicates are joined, it says that.
    """
    joined = merge_groups(groups, select_near_duplicates(pairs, settings.near_duplicate_share))
    try:
        return split_samples(samples, joined, settings)
    except InputError:
        split_samples(samples, groups, settings)  # too few anyway: its sentence says so
        raise InputError(
            "Keeping near-duplicates together (split.near_duplicates: group) leaves too few "
            f"groups to divide: {_count_groups(samples, joined)}. {OTHERWISE}"
        ) from None


def advise_on_twins(
    samples: pd.DataFrame, groups: pd.Series, pairs: pd.DataFrame, settings: SplitSettings
) -> str:
    """Say what to do about near-duplicates in different parts; see :func:`split_together`."""
    try:
        split_together(samples, groups, pairs, settings)
    except InputError:
        joined = merge_groups(groups, select_near_duplicates(pairs, settings.near_duplicate_share))
        return (
            "Keeping such images together (split.near_duplicates: group) was tried, but leaves "
            f"too few groups to divide: {_count_groups(samples, joined)}. {OTHERWISE}"
        )
    return (
        "Set split.near_duplicates: group to keep such images together (it was tried: the groups "
        "suffice), or remove one image of each pair."
    )


def advise_on_overlaps(
    samples: pd.DataFrame, pairs: pd.DataFrame, settings: SplitSettings, share: float
) -> str:
    """Say what lowers the ``share`` of test images that show places of training images.

    Other divisions are tried; those that do not help are named as such.
    """
    helps, useless = [], []
    known = samples["specimen_id"].notna()
    if not known.all():
        helps.append("name the specimen of every image, and split by it")
    tried = {} if settings.scheme == "ordered" else {"scheme": "ordered"}
    if known.all() and settings.group not in ("auto", "specimen"):
        tried = {"group": "specimen"} | tried
    for key, value in tried.items():
        left = _try_overlaps(samples, pairs, settings, {key: value})
        if left is None or left > share / 2:
            useless.append(f"split.{key}: {value} was tried and does not help")
        else:
            rest = f"{100 * left:.0f} % of the images are left"
            helps.append(f"set split.{key}: {value} (tried: {rest})")
    text = ", or ".join(helps or ["take images of more places"])
    return "; ".join([text[0].upper() + text[1:], *useless]) + "."


def _try_overlaps(
    samples: pd.DataFrame, pairs: pd.DataFrame, usual: SplitSettings, change: dict[str, Any]
) -> float | None:
    """Divide otherwise and measure; None if that is not possible."""
    try:
        settings = SplitSettings.model_validate(usual.model_dump() | change)
        groups = find_groups(samples, settings.group)
        if settings.near_duplicates == "group":
            split = split_together(samples, groups, pairs, settings)
        else:
            split = split_samples(samples, groups, settings)
    except (InputError, ValidationError):
        return None
    return measure_overlaps(split, pairs)[0]


def describe_allowed(reason: str) -> str:
    """Say that samples which belong together may lie in different parts, and why."""
    return f"Leakage between training and test is allowed here (split.allow_leakage): {reason}"


def describe_validation(reason: str) -> str:
    """Say that the test part validates as well, what is wrong about that, and why it is so."""
    return (
        "The test part is the validation part as well (split.validate_on_test): it chose the "
        "epoch, and the temperature of its probabilities, by which it is then judged, so the "
        f"result is too good by an unknown amount. The reason given: {reason}"
    )


def _count_groups(samples: pd.DataFrame, groups: pd.Series) -> str:
    """Name the class that has the fewest groups, with its images."""
    table = samples[["sample_id", "class"]].assign(group=samples["sample_id"].map(groups))
    counted = [
        (part["group"].nunique(), str(name), len(part)) for name, part in table.groupby("class")
    ]
    found, name, images = min(counted)
    become = f"become {found} groups" if found > 1 else "become one group"
    return f"the {images} images of the class '{name}' {become}"
