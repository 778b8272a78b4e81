"""Samples of one specimen resemble each other: pairs of slices, copied scans, what straddles."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.samples.choose import samples_in
from batteryscope.splits.near_duplicates import PAIR_COLUMNS, find_overlaps

FIT = ["repeat", "fold"]
# Where two scans are compared, as shares of their slices: both ends may show air or a lid.
PLACES = np.linspace(0.2, 0.8, 5)
# At the least similar of five places no two of 40 generated cells reach more than 0.68; a scan
# with another brightness, contrast, gamma or noise has at least 0.91 at all of them.
MIN_COPY_SIMILARITY = 0.85


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


def pair_copied_scans(
    manifest: pd.DataFrame, thumbnails: Mapping[str, NDArray[np.uint8]]
) -> pd.DataFrame:
    """Pair the slices of scans that show one measurement, whatever their grey levels.

    Cells of one type look alike, so one similar slice proves nothing: two scans are copies if
    they agree at all of five places.

    Parameters
    ----------
    manifest
        Sample table with ``volume`` and ``slice``.
    thumbnails
        Of the slices, by ``sample_id``.

    Returns
    -------
    DataFrame
        The compared slices of copies, as from
        :func:`batteryscope.splits.near_duplicates.find_overlaps`. Copies that are turned,
        mirrored, inverted or enlarged escape, and so does a second measurement of a cell.
    """
    table = manifest.sort_values(["volume", "slice"])
    slices = {str(name): part.tolist() for name, part in table.groupby("volume")["sample_id"]}
    owner = table.set_index("sample_id")["volume"]
    found = []
    for place in PLACES:
        ids = [own[int(place * len(own))] for own in slices.values()]
        found.append(find_overlaps([thumbnails[i] for i in ids], ids).assign(place=place))
    pairs = pd.concat(found, ignore_index=True)
    pairs = pairs[pairs["similarity"] >= MIN_COPY_SIMILARITY]
    # The lower identifier of a pair may belong to either scan.
    scans = pd.DataFrame({side: pairs[f"sample_{side}"].map(owner) for side in "ab"})
    scans = pd.DataFrame({"first": scans.min(axis=1), "second": scans.max(axis=1)}).astype("str")
    places = pairs["place"].groupby([scans["first"], scans["second"]]).transform("nunique")
    copies = pairs.loc[places == len(PLACES), PAIR_COLUMNS]
    return copies.drop_duplicates(["sample_a", "sample_b"]).reset_index(drop=True)


def pair_slices(
    manifest: pd.DataFrame, thumbnails: Mapping[str, NDArray[np.uint8]]
) -> pd.DataFrame:
    """Pair neighbours of one scan, and the slices of scans that are copies of each other."""
    copies = pair_copied_scans(manifest, thumbnails)
    neighbours = pair_neighbours(manifest)
    return pd.concat([copies, neighbours], ignore_index=True) if len(copies) else neighbours


def warn_of_copied_scans(pairs: pd.DataFrame, manifest: pd.DataFrame) -> str:
    """Name scans that show one measurement, given :func:`pair_slices`; "" if there are none."""
    if samples_in(manifest.columns).are_files:
        return ""
    table = manifest.set_index("sample_id")
    cells, scans = (
        pd.DataFrame({side: pairs[f"sample_{side}"].map(table[column]) for side in "ab"})
        for column in ("specimen_id", "volume")
    )
    copies = sorted({tuple(sorted(row)) for row in scans[cells["a"] != cells["b"]].to_numpy()})
    if not copies:
        return ""
    more = f" (and {len(copies) - 1} more such pairs)" if len(copies) > 1 else ""
    return (
        f"The scans {copies[0][0]} and {copies[0][1]}{more} show the same measurement, at most "
        "with other grey levels; take one of them out, or give both one specimen_id."
    )


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
        "Neighbouring slices of one cell are on both sides of this division: "
        f"{100 * share:.0f} % of the test slices come from a cell that also trains "
        f"({found['specimen_id'].nunique()} of "
        f"{n_cells} tested cells). Such slices are nearly the same picture, so a network that "
        "only recognises the single cells scores as high; the number says nothing about cells "
        "that it has never seen. It is shown because the paper divides in this way."
    )


def warn_of_shared_specimens(split: pd.DataFrame, manifest: pd.DataFrame) -> str:
    """Say in words that pictures of one specimen are in training and test; "" if they are not."""
    found = find_straddling_specimens(split, manifest)
    if found.empty or not samples_in(manifest.columns).are_files:
        return ""
    paths = manifest.set_index("sample_id")["path"]
    first = found.iloc[0]
    fit = split[(split["repeat"] == first["repeat"]) & (split["fold"] == first["fold"])]
    specimens = fit["sample_id"].map(manifest.set_index("sample_id")["specimen_id"])
    trains = fit[(fit["role"] == "train") & (specimens == first["specimen_id"])]
    n_tested = int((split["role"] == "test").sum())
    test, train = paths[first["sample_id"]], paths[trains["sample_id"].iloc[0]]
    return (
        f"{len(found)} of {n_tested} test images come from a specimen that also trains, for "
        f"example {test} (test) and {train} (train) of "
        f"the specimen '{first['specimen_id']}', so the results hold for known specimens; "
        "split.group: specimen keeps specimens apart."
    )
