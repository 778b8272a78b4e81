"""Which rows train, validate and test: in every domain by itself, several times."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from batteryscope.config.table_study import TableSplitSettings
from batteryscope.errors import InputError, LeakageError
from batteryscope.provenance import digest_json
from batteryscope.splits.assign import SPLIT_COLUMNS
from batteryscope.splits.groups import merge_groups
from batteryscope.splits.take_part import count_members, rank_by_lot, share_of, take_part
from batteryscope.tables.build_rows import find_constant_columns

ROLES = ("train", "validation", "test")
ID_DIGITS = 16
# A group that holds more of its domain makes the parts larger or smaller than asked.
LARGE_GROUP_SHARE = 0.2


def find_row_groups(manifest: pd.DataFrame, features: Sequence[str]) -> pd.Series:
    """Name what stays together: rows of one group, and rows of a domain with equal features.

    The name comes from the group or the features, never from other rows, so that an added
    row does not change it.

    Returns
    -------
    Series of str
        Group by ``sample_id``, named ``group_id``.
    """
    twins = _name_feature_sets(manifest, features)
    named = manifest["group"].where(manifest["group"] != "", twins.to_numpy())
    ids = manifest["sample_id"].to_numpy()
    groups = pd.Series(named.to_numpy(), index=ids, name="group_id", dtype="str")
    # Every row is linked with the first one of equal features.
    first = pd.Series(ids).groupby(twins.to_numpy()).transform("first")
    pairs = pd.DataFrame({"sample_a": first.to_numpy(), "sample_b": ids})
    return merge_groups(groups, pairs)


def split_rows(
    manifest: pd.DataFrame, settings: TableSplitSettings, features: Sequence[str]
) -> pd.DataFrame:
    """Give every row a role in every repeat.

    In every domain ``test_fraction`` of the rows test, then ``validation_fraction`` of the
    rest validate. The lot of a group depends on its name only, so that an added row leaves
    nearly all others where they were.

    Parameters
    ----------
    manifest
        Table of rows, from :func:`batteryscope.tables.build_rows.build_rows`.
    settings
        Fractions, repeats, seed.
    features
        Names of the feature columns; rows in which all are equal stay together.

    Returns
    -------
    DataFrame
        ``sample_id, group_id, repeat, fold, role``, sorted by repeat and sample; ``fold``
        is always 0.

    Raises
    ------
    InputError
        A domain has fewer than three independent groups.
    """
    manifest = manifest.sort_values("sample_id", ignore_index=True)
    groups = find_row_groups(manifest, features)
    counts = count_members(manifest.set_index("sample_id")["domain"], groups)
    _check_enough_groups(counts)
    parts = []
    for repeat in range(settings.repeats):
        ranked = rank_by_lot(list(counts.index), settings.seed, "test", repeat)
        wanted = share_of(counts.sum().to_numpy(), settings.test_fraction)
        test = take_part(counts, ranked, wanted, n_left=2)
        rest = counts.drop(index=test)
        ranked = rank_by_lot(list(rest.index), settings.seed, "validation", repeat)
        wanted = share_of(rest.sum().to_numpy(), settings.validation_fraction)
        validation = take_part(rest, ranked, wanted, n_left=1)
        roles = dict.fromkeys(validation, "validation") | dict.fromkeys(test, "test")
        part = groups.rename_axis("sample_id").reset_index()
        role = part["group_id"].map(roles).fillna("train").astype("str")
        parts.append(part.assign(repeat=repeat, fold=0, role=role))
    return pd.concat(parts, ignore_index=True)[SPLIT_COLUMNS]


def audit_rows(
    split: pd.DataFrame, manifest: pd.DataFrame, features: Sequence[str]
) -> dict[str, Any]:
    """Make sure that no row of the test part is known from training.

    Returns
    -------
    dict
        ``samples, groups, largest_group, identical_features`` (rows that share all features
        with another one of their domain), ``sizes`` (list of ``repeat, fold, roles`` with
        role → domain → rows) and ``warnings``.

    Raises
    ------
    LeakageError
        A group, or rows of a domain with equal features, have different roles, or a row
        has no role or several.
    """
    table = split.merge(manifest, on="sample_id", validate="many_to_one")
    _check_one_role(table, manifest)
    table["twins"] = _name_feature_sets(table, features)
    _check_together(table, "group_id", "rows of one group")
    _check_together(table, "twins", "rows with equal features")
    named = table[table["group"] != ""]
    _check_together(named, "group", "rows of one group")
    once = table.drop_duplicates("sample_id")
    group_sizes = once["group_id"].value_counts()
    return {
        "samples": len(once),
        "groups": len(group_sizes),
        "largest_group": int(group_sizes.max()),
        "identical_features": int(once["twins"].duplicated(keep=False).sum()),
        "sizes": _count_sizes(table),
        "warnings": _find_warnings(once, manifest, features),
    }


def _name_feature_sets(table: pd.DataFrame, features: Sequence[str]) -> pd.Series:
    """Hash domain and features of every row: equal for rows that a model cannot tell apart."""
    values = table[["domain", *features]].to_numpy(dtype=object).tolist()
    names = [digest_json(row)[:ID_DIGITS] for row in values]
    return pd.Series(names, index=table.index, dtype="str")


def _check_enough_groups(counts: pd.DataFrame) -> None:
    for domain, n in (counts > 0).sum().items():
        if n < len(ROLES):
            raise InputError(
                f"The domain '{domain}' has only {n} independent {'group' if n == 1 else 'groups'}"
                f" (rows with equal features or one value of dataset.group stay together), but "
                f"{len(ROLES)} are needed for training, validation and test; add rows with other "
                "settings, or leave dataset.group out."
            )


def _check_one_role(table: pd.DataFrame, manifest: pd.DataFrame) -> None:
    sizes = table.groupby(["repeat", "fold"])["sample_id"].agg(["size", "nunique"])
    wrong = sizes[(sizes["size"] != len(manifest)) | (sizes["nunique"] != len(manifest))]
    if len(wrong):
        repeat, fold = wrong.index[0]
        raise LeakageError(
            f"Repeat {repeat}, fold {fold} gives {int(wrong['size'].iloc[0])} roles to "
            f"{len(manifest)} rows, but every row needs exactly one; split the rows again."
        )


def _check_together(table: pd.DataFrame, column: str, words: str) -> None:
    roles = table.groupby(["repeat", "fold", column])["role"].nunique()
    apart = roles[roles > 1]
    if apart.empty:
        return
    repeat, fold, value = apart.index[0]
    rows = table[(table["repeat"] == repeat) & (table["fold"] == fold) & (table[column] == value)]
    rows = rows.drop_duplicates("role").sort_values(["path", "row"])
    where = ", ".join(f"{r.path} line {r.row} ({r.role})" for r in rows.itertuples())
    raise LeakageError(
        f"{len(apart)} times {words} are in different parts, first in repeat {repeat}, fold "
        f"{fold}: {where}; split the rows again."
    )


def _count_sizes(table: pd.DataFrame) -> list[dict[str, Any]]:
    sizes = []
    for repeat in sorted(table["repeat"].unique().tolist()):
        rows = table[table["repeat"] == repeat]
        roles = {
            role: {str(d): int(n) for d, n in part["domain"].value_counts().sort_index().items()}
            for role, part in ((role, rows[rows["role"] == role]) for role in ROLES)
        }
        sizes.append({"repeat": int(repeat), "fold": 0, "roles": roles})
    return sizes


def _find_warnings(
    once: pd.DataFrame, manifest: pd.DataFrame, features: Sequence[str]
) -> list[str]:
    warnings = []
    for domain, rows in once.groupby("domain"):
        largest = int(rows["group_id"].value_counts().max())
        if largest > LARGE_GROUP_SHARE * len(rows):
            warnings.append(
                f"One group holds {largest} of the {len(rows)} rows of '{domain}', so the parts "
                "cannot have the sizes asked for."
            )
    for domain, names in find_constant_columns(manifest, features).items():
        warnings.append(
            f"{', '.join(names)} never {'changes' if len(names) == 1 else 'change'} in '{domain}', "
            "so nothing can be learnt about it there."
        )
    return warnings
