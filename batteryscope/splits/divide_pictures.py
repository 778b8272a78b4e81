"""The division of pictures: groups, near-duplicates, roles, and what the audit found."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.config.json_text import read_settings
from batteryscope.config.split import SplitSettings
from batteryscope.errors import InputError
from batteryscope.manifest.frames import get_thumbnails, read_frames
from batteryscope.manifest.schema import read_manifest
from batteryscope.splits.assign import split_samples
from batteryscope.splits.audit import audit_split
from batteryscope.splits.groups import find_groups
from batteryscope.splits.kept_together import (
    advise_on_overlaps,
    advise_on_twins,
    describe_allowed,
    describe_validation,
    split_together,
)
from batteryscope.splits.near_duplicates import find_overlaps
from batteryscope.splits.order import order_samples
from batteryscope.splits.slices import (
    warn_of_copied_scans,
    warn_of_shared_specimens,
    warn_of_straddling,
)


def divide(
    settings: str, manifest: Path, frames: Path | None, features: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Divide pictures by settings as JSON text or a file.

    Pairs that must not be in different parts are those that look alike.

    Parameters
    ----------
    settings
        Of the split.
    manifest, frames
        Sample table; measurements and thumbnails of the frames.
    features
        Of no use here: pictures have no feature columns.

    Returns
    -------
    split, audit
        Tables of the contract.

    Raises
    ------
    InputError
        If a table cannot be read, or there are too few groups.
    """
    del features
    return divide_by_pairs(_pair_overlaps, settings, manifest, frames)


def _pair_overlaps(samples: pd.DataFrame, measured: pd.DataFrame) -> pd.DataFrame:
    return find_overlaps(get_thumbnails(measured), measured["sample_id"].tolist())


def divide_by_pairs(
    find_pairs: Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame],
    settings: str,
    manifest: Path,
    frames: Path | None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Divide samples, given samples and measurements → pairs; the rest as of :func:`divide`."""
    asked = read_settings(SplitSettings, settings)
    samples = read_manifest(manifest)
    if frames is None:
        raise InputError("--frames is missing: near-duplicates are looked for in its thumbnails.")
    groups = find_groups(samples, asked.group)
    pairs = find_pairs(samples, read_frames(frames, samples))
    if asked.near_duplicates == "group":
        split = split_together(samples, groups, pairs, asked)
    else:
        split = split_samples(samples, groups, asked)
    # Who asks for slices one by one gets them, and a warning instead of an error.
    by_slice = asked.group == "slice"
    is_allowed = by_slice or bool(asked.allow_leakage)
    treatment = "ignore" if is_allowed else asked.near_duplicates
    audit = audit_split(
        split,
        samples,
        pairs,
        treatment,
        asked.near_duplicate_share,
        advise=lambda: advise_on_twins(samples, groups, pairs, asked),
        validates_on_test=bool(asked.validate_on_test),
        advise_on_overlaps=partial(advise_on_overlaps, samples, pairs, asked),
    )
    if by_slice and (text := warn_of_straddling(split, samples)):
        audit["warnings"] = [text]
    told = [warn_of_copied_scans(pairs, samples), warn_of_shared_specimens(split, samples)]
    audit["warnings"] += [text for text in told if text]
    if asked.allow_leakage:
        audit["allowed"] = asked.allow_leakage
        audit["warnings"].append(describe_allowed(asked.allow_leakage))
    if asked.validate_on_test:
        audit["warnings"].append(describe_validation(asked.validate_on_test))
    if asked.scheme == "ordered" and (unknown := order_samples(samples)[1]):
        audit["warnings"].append(
            f"The time of acquisition is not known for all images of {', '.join(unknown)}; "
            "these classes were ordered by file name."
        )
    return split, audit
