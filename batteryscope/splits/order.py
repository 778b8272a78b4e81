"""The order in which the samples of each class were acquired."""

import pandas as pd

from batteryscope.readers.scan import natural_key


def order_samples(manifest: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Sort the samples of each class by the time of acquisition.

    A class in which any sample has no time is sorted by path instead, numbers by value.

    Returns
    -------
    ordered
        The manifest, class after class.
    without_time
        Classes that were sorted by path.
    """
    without_time = sorted(manifest.loc[manifest["acquired_at"].isna(), "class"].unique())
    by_path = manifest.loc[sorted(manifest.index, key=lambda i: natural_key(manifest["path"][i]))]
    time = by_path["acquired_at"].where(~by_path["class"].isin(without_time))
    ordered = by_path.assign(_time=time).sort_values(["class", "_time"], kind="stable")
    return ordered.drop(columns="_time"), without_time


def order_groups(manifest: pd.DataFrame, groups: pd.Series) -> dict[str, list[str]]:
    """List the groups of each class from the earliest to the latest.

    A group counts for the class that most of its samples have, at the place of its first
    sample.
    """
    ordered, _ = order_samples(manifest)
    ordered = ordered.assign(group_id=groups.loc[ordered["sample_id"]].to_numpy())
    # value_counts sorts ties by first appearance, which is the alphabetical order of classes.
    main_class = ordered.groupby("group_id")["class"].agg(lambda c: c.value_counts().index[0])
    own = ordered[ordered["class"] == main_class.loc[ordered["group_id"]].to_numpy()]
    return {str(name): list(dict.fromkeys(rows["group_id"])) for name, rows in own.groupby("class")}
