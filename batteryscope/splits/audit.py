"""Whether training and test data of a split are as separate as they should be."""

from collections.abc import Callable
from typing import Any, cast

import pandas as pd

from batteryscope.errors import LeakageError
from batteryscope.splits.near_duplicates import select_near_duplicates

ROLES = ("train", "validation", "test")
MAX_LISTED_PAIRS = 10
NOTABLE_OVERLAP = 0.1  # of the test images; more overlap with training images is warned of


def audit_split(
    split: pd.DataFrame,
    manifest: pd.DataFrame,
    pairs: pd.DataFrame,
    near_duplicates: str = "error",
    near_duplicate_share: float = 0.95,
    advise: Callable[[], str] = lambda: "Keep such images on one side.",
    validates_on_test: bool = False,
    advise_on_overlaps: Callable[[float], str] = lambda _share: "Split by specimen.",
) -> dict[str, Any]:
    """Check that no role shares anything with another one.

    Parameters
    ----------
    split
        ``sample_id, group_id, repeat, fold, role``.
    manifest
        Sample table: ``sample_id``, ``path``, ``sha256``, ``class``.
    pairs
        Images that show the same place; see ``find_overlaps``.
    near_duplicates
        ``ignore`` only reports near-duplicates in different roles; otherwise they are an error.
    near_duplicate_share
        Share of the field of view (0 to 1) from which on two images count as near-duplicates.
    advise
        Says what to do about near-duplicates in different roles; asked only if there are any.
    validates_on_test
        The test part validates as well, which is wanted: only what trains is compared with it.
    advise_on_overlaps
        Says what to do about test images that show places of training images, from their share;
        asked only if there are many.

    Returns
    -------
    dict
        For ``audit.json``: ``samples, groups, largest_group, shared_groups, shared_hashes,
        near_duplicates`` (``pairs, min_shared_field, across_roles, treatment, closest``),
        ``overlaps``, ``sizes`` (per repeat and fold: role → class → count), ``warnings``.

    Raises
    ------
    LeakageError
        A group, a content hash or (unless ignored) near-duplicates lie in different roles.
    """
    table = split.merge(manifest[["sample_id", "path", "sha256", "class"]], on="sample_id")
    paths = manifest.set_index("sample_id")["path"]
    apart = table[table["role"] != "validation"] if validates_on_test else table
    _check_shared(apart, "group_id", "The group", "split the data set again")
    _check_shared(apart, "sha256", "The content hash", "remove all but one of the copies")
    twins = select_near_duplicates(pairs, near_duplicate_share)
    straddling = _find_straddling(apart, twins)
    warnings: list[str] = []
    if len(straddling):
        text = _describe_twins(straddling, paths)
        if near_duplicates != "ignore":
            raise LeakageError(f"{text} {advise()}")
        warnings.append(f"{text} The results are too good by an unknown amount.")
    overlaps, warning = _describe_overlaps(split, pairs, advise_on_overlaps)
    warnings += warning + _find_empty_roles(table)
    return {
        "samples": int(split["sample_id"].nunique()),
        "groups": int(split["group_id"].nunique()),
        "largest_group": int(split.drop_duplicates("sample_id")["group_id"].value_counts().max()),
        "shared_groups": 0,
        "shared_hashes": 0,
        "near_duplicates": {
            "pairs": len(twins),
            "min_shared_field": near_duplicate_share,
            "across_roles": len(straddling),
            "treatment": near_duplicates,
            "closest": _list_pairs(twins, paths),
        },
        "overlaps": overlaps,
        "sizes": _count_sizes(table),
        "warnings": warnings,
    }


def _check_shared(table: pd.DataFrame, column: str, name: str, advice: str) -> None:
    keys = ["repeat", "fold", column]
    roles = table.groupby(keys)["role"].nunique()
    if (roles > 1).any():
        repeat, fold, value = roles[roles > 1].index[0]
        rows = table[(table["repeat"] == repeat) & (table["fold"] == fold)]
        rows = rows[rows[column] == value].drop_duplicates("role").sort_values("path")
        where = ", ".join(f"{r.path} ({r.role})" for r in rows.itertuples())
        raise LeakageError(
            f"{name} '{value}' is in more than one part of repeat {repeat}, fold {fold}: {where}; "
            f"{advice}."
        )


def _find_straddling(split: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs whose samples have different roles in any repeat and fold, each pair once."""
    sides = [
        split[["sample_id", "repeat", "fold", "role"]].rename(
            columns={"sample_id": f"sample_{side}", "role": f"role_{side}"}
        )
        for side in "ab"
    ]
    table = pairs.merge(sides[0], on="sample_a").merge(sides[1], on=["sample_b", "repeat", "fold"])
    table = table[table["role_a"] != table["role_b"]]
    return table.drop_duplicates(["sample_a", "sample_b"]).reset_index(drop=True)


def _describe_twins(straddling: pd.DataFrame, paths: pd.Series) -> str:
    first = straddling.iloc[0]
    return (
        f"{len(straddling)} pairs of near-duplicate images lie in different parts of the split, "
        f"for example {paths[first['sample_a']]} ({first['role_a']}) and "
        f"{paths[first['sample_b']]} ({first['role_b']}), which have "
        f"{100 * first['shared_field']:.0f} % of the field of view in common."
    ).replace("1 pairs of near-duplicate images lie", "1 pair of near-duplicate images lies")


def measure_overlaps(split: pd.DataFrame, pairs: pd.DataFrame) -> tuple[float, float]:
    """Measure how many test images show a place that a training image shows as well.

    Returns
    -------
    share, typical
        Share of the test images; median of what they have in common, as a share of the field of
        view. Both in [0, 1].
    """
    links = pd.concat(
        [pairs, pairs.rename(columns={"sample_a": "sample_b", "sample_b": "sample_a"})]
    )
    tests = split[split["role"] == "test"][["sample_id", "repeat", "fold"]]
    others = split[split["role"] == "train"][["sample_id", "repeat", "fold"]]
    links = links.merge(tests.rename(columns={"sample_id": "sample_a"}), on="sample_a").merge(
        others.rename(columns={"sample_id": "sample_b"}), on=["sample_b", "repeat", "fold"]
    )
    shared = links.groupby(["repeat", "fold", "sample_a"])["shared_field"].max()
    affected = len(shared) / max(1, len(tests))
    return affected, float(shared.median()) if len(shared) else 0.0


def _describe_overlaps(
    split: pd.DataFrame, pairs: pd.DataFrame, advise: Callable[[float], str]
) -> tuple[dict[str, Any], list[str]]:
    affected, typical = measure_overlaps(split, pairs)
    found = {
        "pairs": len(pairs),
        "test_images_affected": round(affected, 4),
        "median_shared_field": round(typical, 4),
    }
    if affected <= NOTABLE_OVERLAP:
        return found, []
    warning = (
        f"{100 * affected:.0f} % of the test images show a place that a training image shows as "
        f"well (typically {100 * typical:.0f} % of the field of view), so the test measures "
        f"recognition of known places, too. {advise(affected)}"
    )
    return found, [warning]


def _find_empty_roles(table: pd.DataFrame) -> list[str]:
    n_classes = table["class"].nunique()
    warnings = []
    for role in ROLES:
        per_fit = table[table["role"] == role].groupby(["repeat", "fold"])["class"].nunique()
        fewest = int(per_fit.min()) if len(per_fit) else 0
        if fewest < n_classes:
            warnings.append(
                f"The {role} part holds only {fewest} of {n_classes} classes in some fold."
            )
    return warnings


def _list_pairs(pairs: pd.DataFrame, paths: pd.Series) -> list[dict[str, Any]]:
    return [
        {
            "a": paths[row["sample_a"]],
            "b": paths[row["sample_b"]],
            "similarity": row["similarity"],
            "shared_field": row["shared_field"],
        }
        for row in pairs.head(MAX_LISTED_PAIRS).to_dict("records")
    ]


def _count_sizes(table: pd.DataFrame) -> list[dict[str, Any]]:
    counts = table.groupby(["repeat", "fold", "role", "class"]).size()
    sizes: dict[tuple[int, int], dict[str, dict[str, int]]] = {}
    for key, n in counts.items():
        repeat, fold, role, name = cast(tuple[int, int, str, str], key)
        roles = sizes.setdefault((int(repeat), int(fold)), {r: {} for r in ROLES})
        roles[role][name] = int(n)
    return [
        {"repeat": repeat, "fold": fold, "roles": roles} for (repeat, fold), roles in sizes.items()
    ]
