"""What belongs together: samples of one specimen, session or image, and near-duplicates."""

from typing import Literal

import numpy as np
import pandas as pd

from batteryscope.errors import InputError

GroupName = Literal["auto", "specimen", "session", "image", "slice"]
COLUMN_OF_GROUP = {"specimen": "specimen_id", "session": "session_id"}


def find_groups(manifest: pd.DataFrame, group: GroupName) -> pd.Series:
    """Name the group of every sample.

    Parameters
    ----------
    manifest
        Sample table.
    group
        What stays together. ``auto`` takes specimens if they are known, else sessions,
        else single images. ``image`` and ``slice`` both divide sample by sample.

    Returns
    -------
    Series of str
        Group by ``sample_id``, named ``group_id``.

    Raises
    ------
    InputError
        The specimen or session is asked for but not known, or known for some samples only:
        whoever is left could belong to any group.
    """
    chosen: str = group
    if group == "auto":
        known = (g for g, column in COLUMN_OF_GROUP.items() if manifest[column].notna().any())
        chosen = next(known, "image")
    column = COLUMN_OF_GROUP.get(chosen, "sample_id")
    missing = manifest[manifest[column].isna()]
    if len(missing) == len(manifest) and len(manifest):
        raise InputError(
            f"split.group is '{group}' but no image has a {column}; let labels.pattern or the "
            f"label table name it (?P<{column}>…), or set split.group: image."
        )
    if len(missing):
        raise InputError(
            f"{column} is empty for {len(missing)} of {len(manifest)} images (first: "
            f"{missing['path'].iloc[0]}), so split.group '{group}' cannot keep {chosen}s together; "
            "fill it in, or set split.group: image."
        )
    ids = manifest[column].astype("str").to_numpy()
    return pd.Series(ids, index=manifest["sample_id"].to_numpy(), name="group_id", dtype="str")


def merge_groups(groups: pd.Series, pairs: pd.DataFrame) -> pd.Series:
    """Join the groups that are connected by pairs of samples.

    Parameters
    ----------
    groups
        Group by ``sample_id``, from :func:`find_groups`.
    pairs
        Columns ``sample_a``, ``sample_b``.

    Returns
    -------
    Series of str
        As ``groups``; joined groups carry the first of their names.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names = sorted(groups.unique())
    number = {name: i for i, name in enumerate(names)}
    ends = [groups.loc[pairs[side]].map(number).to_numpy(np.int64) for side in _SIDES]
    links = coo_array((np.ones(len(pairs)), (ends[0], ends[1])), shape=(len(names), len(names)))
    _, component = connected_components(links, directed=False)
    first: dict[int, str] = {}
    for name, i in zip(names, component.tolist(), strict=True):
        first.setdefault(i, name)
    merged = [first[int(component[number[name]])] for name in groups]
    return pd.Series(merged, index=groups.index, name="group_id", dtype="str")


_SIDES = ("sample_a", "sample_b")
