"""Parts of every domain: sizes, groups that stay together, stability, leaks found."""

import json

import numpy as np
import pandas as pd
import pytest

from batteryscope.config.table_study import TableSplitSettings
from batteryscope.errors import InputError, LeakageError
from batteryscope.samples.rows import ROWS
from batteryscope.splits.assign import SPLIT_COLUMNS
from batteryscope.tables.split_rows import audit_rows, find_row_groups, split_rows
from workflow_scripts.split_dataset import main as split_program

DIVIDER = ROWS.modules.split
FEATURES = ["gap", "speed"]


def make_manifest(sizes: dict[str, int]) -> pd.DataFrame:
    domains = [name for name, n in sizes.items() for _ in range(n)]
    numbers = np.concatenate([np.arange(n) for n in sizes.values()])
    return pd.DataFrame(
        {
            "sample_id": [f"{i * 2654435761 % 2**32:016x}" for i in range(1, len(domains) + 1)],
            "path": "a.csv",
            "row": np.arange(2, 2 + len(domains)),
            "domain": domains,
            "group": "",
            "gap": numbers.astype(float),
            "speed": np.where(numbers % 2, 0.3, 0.6),
            "loading": numbers / 7,
        }
    )


def split(manifest: pd.DataFrame, **changes: object) -> pd.DataFrame:
    return split_rows(manifest, TableSplitSettings.model_validate(changes), FEATURES)


def sizes_of(audit: dict, repeat: int) -> dict:
    return audit["sizes"][repeat]["roles"]


def test_every_domain_has_the_asked_sizes():
    manifest = make_manifest({"graphite": 235, "nmc": 63})
    roles = split(manifest, repeats=3)
    assert list(roles) == SPLIT_COLUMNS
    audit = audit_rows(roles, manifest, FEATURES)
    for repeat in range(3):
        assert sizes_of(audit, repeat) == {
            "train": {"graphite": 148, "nmc": 40},
            "validation": {"graphite": 16, "nmc": 4},
            "test": {"graphite": 71, "nmc": 19},
        }
    table = roles.pivot_table(index="sample_id", columns="repeat", values="role", aggfunc="first")
    assert (table[0] != table[1]).any()
    assert roles.equals(split(manifest.iloc[::-1], repeats=3))
    assert not roles.equals(split(manifest, repeats=3, seed=2))


def test_any_test_fraction_leaves_training_rows():
    manifest = make_manifest({"graphite": 40, "nmc": 6})
    audit = audit_rows(split(manifest, test_fraction=0.95, repeats=1), manifest, FEATURES)
    assert sizes_of(audit, 0)["train"]["nmc"] >= 1
    assert sizes_of(audit, 0)["test"]["graphite"] == 38


def test_equal_features_and_groups_stay_together():
    manifest = make_manifest({"graphite": 40, "nmc": 10})
    manifest.loc[1, FEATURES] = manifest.loc[0, FEATURES]  # equal features
    manifest.loc[[1, 2], "group"] = "batch"  # 0-1 by features, 1-2 by group
    manifest.loc[40, FEATURES] = manifest.loc[0, FEATURES]  # another domain: no relation
    groups = find_row_groups(manifest, FEATURES)
    ids = manifest["sample_id"]
    assert groups[ids[0]] == groups[ids[1]] == groups[ids[2]]
    assert groups.value_counts().max() == 3
    assert groups[ids[40]] != groups[ids[0]]
    roles = split(manifest, repeats=20)
    for repeat in range(20):
        part = roles[roles["repeat"] == repeat].set_index("sample_id")["role"]
        assert part[ids[0]] == part[ids[1]] == part[ids[2]]
    assert audit_rows(roles, manifest, FEATURES)["largest_group"] == 3


def test_an_added_row_leaves_the_others_where_they_were():
    manifest = make_manifest({"graphite": 120, "nmc": 40})
    fewer = manifest.drop(index=50)
    table = split(manifest, repeats=5).merge(
        split(fewer, repeats=5), on=["sample_id", "repeat"], suffixes=("", "_fewer")
    )
    moved = table["role"] != table["role_fewer"]
    assert moved.mean() < 0.02
    other_domain = table["sample_id"].isin(manifest.loc[manifest["domain"] == "nmc", "sample_id"])
    assert not moved[other_domain].any()


def test_audit_finds_identical_rows_in_train_and_test():
    manifest = make_manifest({"graphite": 20, "nmc": 10})
    roles = split(manifest, repeats=1).set_index("sample_id")
    test_id = roles.index[roles["role"] == "test"][0]
    domain = manifest.set_index("sample_id")["domain"]
    train = roles.index[roles["role"] == "train"]
    train_id = next(i for i in train if domain[i] == domain[test_id])
    where = manifest["sample_id"].isin([test_id, train_id])
    manifest.loc[where, ["gap", "speed"]] = [5.5, 0.1]
    with pytest.raises(LeakageError, match=r"rows with equal features.*\(t.*split the rows again"):
        audit_rows(roles.reset_index(), manifest, FEATURES)


def test_audit_finds_a_divided_group_and_a_missing_row():
    manifest = make_manifest({"graphite": 20, "nmc": 10})
    roles = split(manifest, repeats=1)
    manifest["group"] = ["batch"] * 20 + [""] * 10
    with pytest.raises(LeakageError, match="rows of one group are in different parts"):
        audit_rows(roles, manifest, FEATURES)
    manifest["group"] = ""
    with pytest.raises(LeakageError, match="gives 29 roles to 30 rows"):
        audit_rows(roles.iloc[1:], manifest, FEATURES)


def test_too_few_independent_groups():
    manifest = make_manifest({"graphite": 20, "nmc": 10})
    manifest.loc[20:, "group"] = ["a"] * 5 + ["b"] * 5
    with pytest.raises(InputError, match="'nmc' has only 2 independent groups"):
        split(manifest)


def test_warnings_of_large_groups_and_constants():
    manifest = make_manifest({"graphite": 20, "nmc": 10})
    manifest.loc[:8, "group"] = "batch"
    manifest.loc[20:, "speed"] = 0.3
    warnings = audit_rows(split(manifest), manifest, FEATURES)["warnings"]
    assert warnings[0].startswith("One group holds 9 of the 20 rows of 'graphite'")
    assert warnings[1].startswith("speed never changes in 'nmc'")


def test_program(tmp_path):
    manifest = make_manifest({"graphite": 20, "nmc": 10})
    manifest.to_parquet(tmp_path / "m.parquet", index=False)
    paths = {"--manifest": "m.parquet", "--split": "o/s.parquet", "--audit": "o/a.json"}
    arguments = [text for key, name in paths.items() for text in (key, str(tmp_path / name))]
    settings = '{"repeats": 2}'
    assert (
        split_program(
            [
                "--by",
                DIVIDER,
                "--settings",
                settings,
                *arguments,
                "--features",
                *FEATURES,
            ]
        )
        == 0
    )
    assert len(pd.read_parquet(tmp_path / "o/s.parquet")) == 60
    assert json.loads((tmp_path / "o/a.json").read_text())["identical_features"] == 0
