"""Choosing whole groups until a part has its share of every class."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.seeds import derive_seed


def count_members(classes: pd.Series, groups: pd.Series) -> pd.DataFrame:
    """Count samples per group (rows, sorted) and class (columns, sorted)."""
    return pd.crosstab(groups.to_numpy(), classes.loc[groups.index].to_numpy()).sort_index()


def rank_by_lot(names: Sequence[str], *seed_parts: object) -> list[str]:
    """Shuffle names so that the order of any two of them does not depend on the others."""
    return sorted(names, key=lambda name: (derive_seed(*seed_parts, name), name))


def take_part(
    counts: pd.DataFrame, ranked: Sequence[str], target: NDArray[np.int64], n_left: int
) -> list[str]:
    """Take groups, in the order of their rank, that bring a part closer to its target.

    Parameters
    ----------
    counts
        Samples per group and class.
    ranked
        Names of the groups that can be taken, best first.
    target
        Wanted number of samples per class, (n_classes,).
    n_left
        Groups of every class that must stay for the other parts.

    Returns
    -------
    list of str
        At least one group of every class that can spare one.
    """
    table = dict(zip(counts.index, counts.to_numpy(), strict=True))
    left = np.sum([table[name] > 0 for name in ranked], axis=0)
    missing = target.copy()
    taken: list[str] = []

    def take(name: str) -> None:
        nonlocal left, missing
        taken.append(name)
        left = left - (table[name] > 0)
        missing = missing - table[name]

    def can_spare(name: str) -> bool:
        return bool(np.all(left[table[name] > 0] > n_left))

    for name in ranked:
        closer = np.abs(missing).sum() - np.abs(missing - table[name]).sum()
        if closer > 0 and can_spare(name):
            take(name)
    for k in range(len(target)):
        if not any(table[name][k] for name in taken):
            able = [name for name in ranked if table[name][k] and can_spare(name)]
            if able:
                take(min(able, key=lambda name: int(table[name].sum())))
    return taken


def take_last(counts: pd.DataFrame, ordered: Sequence[str], target: int, n_left: int) -> list[str]:
    """Take groups from the end of an order, without gaps, until the target is met best.

    Parameters as :func:`take_part`, for one class: ``target`` counts samples of all classes.
    At least one group is taken, and ``n_left`` stay.
    """
    sizes = counts.sum(axis=1)
    taken: list[str] = []
    missing = target
    for name in reversed(ordered[n_left:]):
        size = int(sizes[name])
        if taken and abs(missing - size) >= abs(missing):
            break
        taken.append(name)
        missing -= size
    return taken


def share_of(total: NDArray[np.int64], fraction: float) -> NDArray[np.int64]:
    """Round a fraction of class sizes to whole samples, at least one."""
    return np.maximum(1, np.floor(total * fraction + 0.5)).astype(np.int64)
