"""Slices of one cell resemble each other: which of them are pairs, and which cells straddle."""

import pandas as pd

from batteryscope.samples.choose import samples_in
from batteryscope.splits.near_duplicates import PAIR_COLUMNS

FIT = ["repeat", "fold"]


def pair_neighbours(manifest: pd.DataFrame) -> pd.DataFrame:
    """Pair every slice with the next one of its scan.

    They need not be compared: neighbouring slices of one cell show nearly the same.

    Parameters
    ----------
    manifest
        Sample table with ``volume`` and ``slice``.

    Returns
    -------
    DataFrame
        As from :func:`batteryscope.splits.near_duplicates.find_overlaps`, similarity and common
        field being 1.
    """
    table = manifest.sort_values(["volume", "slice"])
    following = table.groupby("volume")["sample_id"].shift(-1)
    both = table.assign(other=following).dropna(subset="other")
    ends = both[["sample_id", "other"]]
    pairs = pd.DataFrame(
        {
            "sample_a": ends.min(axis=1).astype("str"),
            "sample_b": ends.max(axis=1).astype("str"),
            "similarity": 1.0,
            "shared_field": 1.0,
        }
    )
    return pairs[PAIR_COLUMNS].sort_values(["sample_a", "sample_b"], ignore_index=True)


def find_straddling_specimens(split: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """Find the test samples whose specimen is in the training part of the same fit as well.

    Parameters
    ----------
    split
        ``sample_id, repeat, fold, role``.
    manifest
        Sample table with ``specimen_id`` (nulls are no specimen).

    Returns
    -------
    DataFrame
        ``sample_id, repeat, fold, specimen_id``, empty for a division by specimen.
    """
    specimens = manifest.set_index("sample_id")["specimen_id"]
    table = split.assign(specimen_id=split["sample_id"].map(specimens)).dropna(subset="specimen_id")
    trained = table.loc[table["role"] == "train", [*FIT, "specimen_id"]].drop_duplicates()
    tested = table.loc[table["role"] == "test", ["sample_id", *FIT, "specimen_id"]]
    return tested.merge(trained, on=[*FIT, "specimen_id"])


def warn_of_straddling(split: pd.DataFrame, manifest: pd.DataFrame) -> str:
    """Say in words that slices of one cell are in training and test; "" if they are not."""
    found = find_straddling_specimens(split, manifest)
    if found.empty or samples_in(manifest.columns).are_files:
        return ""
    tested = split[split["role"] == "test"]
    share = len(found) / len(tested)
    n_cells = manifest.loc[manifest["sample_id"].isin(tested["sample_id"]), "specimen_id"].nunique()
    return (
        f"Neighbouring slices of one cell are on both sides of this division: {share:.0%} of the "
        f"test slices come from a cell that also trains ({found['specimen_id'].nunique()} of "
        f"{n_cells} tested cells). Such slices are nearly the same picture, so a network that "
        "only recognises the single cells scores as high; the number says nothing about cells "
        "that it has never seen. It is shown because the paper divides in this way."
    )
