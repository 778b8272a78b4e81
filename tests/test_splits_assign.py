"""Roles: whole groups, equal proportions, few changes when images are added."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from batteryscope.balance import balance_stage
from batteryscope.config.learning import BalanceSettings
from batteryscope.config.split import SplitSettings
from batteryscope.errors import InputError
from batteryscope.splits.assign import SPLIT_COLUMNS, split_samples
from batteryscope.splits.groups import find_groups, merge_groups
from batteryscope.splits.order import order_samples

SCHEMES = ["holdout", "kfold", "holdout_kfold", "ordered"]


def make_manifest(sizes: dict[str, int], group_size: int = 1) -> pd.DataFrame:
    """Sample table with ``group_size`` samples per specimen, acquired one minute apart."""
    classes = [name for name, n in sizes.items() for _ in range(n)]
    numbers = [i for n in sizes.values() for i in range(n)]
    table = pd.DataFrame({"class": classes})
    table["sample_id"] = [f"{hash_of(c, i):016x}" for c, i in zip(classes, numbers, strict=True)]
    table["path"] = [f"{c}/image {i}.png" for c, i in zip(classes, numbers, strict=True)]
    specimens = [f"{c}-{i // group_size}" for c, i in zip(classes, numbers, strict=True)]
    table["specimen_id"] = specimens
    table["session_id"] = pd.Series([None] * len(table), dtype="str")
    start = pd.Timestamp("2024-05-01")
    table["acquired_at"] = [start + pd.Timedelta(minutes=i) for i in numbers]
    return table


def hash_of(*parts: object) -> int:
    import hashlib

    return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:16], 16)


def count_roles(split: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    table = split.merge(manifest[["sample_id", "class"]], on="sample_id")
    keys = ["repeat", "fold", "class"]
    return table.pivot_table(index=keys, columns="role", aggfunc="size", fill_value=0)


def assign(manifest: pd.DataFrame, group: str = "image", **changes: object) -> pd.DataFrame:
    values = SplitSettings.model_validate(changes)
    return split_samples(manifest, find_groups(manifest, group), values)


def test_holdout_has_the_asked_sizes():
    manifest = make_manifest({"a": 40, "b": 30, "c": 4})
    split = assign(manifest, repeats=2)
    assert list(split.columns) == SPLIT_COLUMNS
    sizes = count_roles(split, manifest)
    assert sizes.loc[(0, 0, "a")].to_dict() == {"test": 4, "train": 29, "validation": 7}
    assert sizes.loc[(1, 0, "b")].to_dict() == {"test": 3, "train": 22, "validation": 5}
    assert sizes.loc[(0, 0, "c")].to_dict() == {"test": 1, "train": 2, "validation": 1}
    roles = split.pivot_table(index="sample_id", columns="repeat", values="role", aggfunc="first")
    assert (roles[0] != roles[1]).any()


@pytest.mark.parametrize("scheme", ["holdout", "kfold", "ordered"])
def test_the_test_part_validates_if_that_is_wanted(scheme):
    manifest = make_manifest({"a": 40, "b": 30})
    split = assign(manifest, scheme=scheme, test_fraction=0.2, validate_on_test="as in the paper")
    sizes = count_roles(split, manifest)
    assert sizes.loc[(0, 0, "a")].to_dict() == {"test": 8, "train": 32, "validation": 8}
    for _, fit in split.groupby(["repeat", "fold"]):
        of = {role: set(part) for role, part in fit.groupby("role")["sample_id"]}
        assert of["validation"] == of["test"]
        assert not of["train"] & of["test"]


@pytest.mark.parametrize(
    "changes", [{"scheme": "holdout_kfold"}, {"test_where": {"domain": "additive"}}]
)
def test_where_the_test_part_cannot_validate_it_is_refused(changes):
    with pytest.raises(ValidationError, match="validate_on_test"):
        SplitSettings.model_validate({"validate_on_test": "as in the paper"} | changes)


def test_all_that_is_not_tested_trains_where_the_test_part_validates():
    of = SplitSettings(test_fraction=0.2, validate_on_test="as in the paper")
    assert of.count_training_samples(340) == 272
    assert of.keep_sizes().validate_on_test
    assert SplitSettings(test_fraction=0.2).count_training_samples(340) == 217


def test_kfold_tests_every_sample_once():
    manifest = make_manifest({"a": 23, "b": 7, "c": 12})
    split = assign(manifest, scheme="kfold", repeats=3)
    tests = split[split["role"] == "test"].groupby(["repeat", "sample_id"]).size()
    assert (tests == 1).all()
    assert len(tests) == 3 * len(manifest)
    sizes = count_roles(split, manifest)
    assert (sizes > 0).all(axis=None)
    assert sizes.groupby(["repeat", "class"])["test"].agg(np.ptp).max() <= 1
    assert sizes.groupby(["repeat", "fold"])["test"].sum().between(7, 10).all()


def test_holdout_kfold_keeps_one_test_part():
    manifest = make_manifest({"a": 30, "b": 20})
    split = assign(manifest, scheme="holdout_kfold", folds=4, repeats=2)
    tests = split[split["role"] == "test"].groupby("sample_id").size()
    assert (tests == 4 * 2).all()
    validated = split[split["role"] == "validation"].groupby(["repeat", "sample_id"]).size()
    assert (validated == 1).all()
    assert len(validated) == 2 * (len(manifest) - len(tests))
    first, second = (
        split[(split["repeat"] == r) & (split["fold"] == 0) & (split["role"] == "validation")]
        for r in (0, 1)
    )
    assert set(first["sample_id"]) != set(second["sample_id"])


def test_ordered_puts_the_latest_last():
    manifest = make_manifest({"a": 20, "b": 10})
    split = assign(manifest.sample(frac=1, random_state=0), scheme="ordered", test_fraction=0.2)
    table = split.merge(manifest, on="sample_id")
    for _, part in table.groupby("class"):
        times = part.groupby("role")["acquired_at"].agg(["min", "max"])
        assert times.loc["train", "max"] < times.loc["validation", "min"]
        assert times.loc["validation", "max"] < times.loc["test", "min"]
    assert count_roles(split, manifest).loc[(0, 0, "a")].to_dict() == {
        "test": 4, "train": 13, "validation": 3,
    }  # fmt: skip


def test_order_falls_back_to_the_natural_order_of_names():
    manifest = make_manifest({"a": 12, "b": 3})
    manifest.loc[5, "acquired_at"] = pd.NaT
    ordered, without_time = order_samples(manifest.sample(frac=1, random_state=1))
    assert without_time == ["a"]
    assert ordered["path"].tolist() == manifest["path"].tolist()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_added_image_leaves_the_others_where_they_were(scheme):
    small, large = make_manifest({"a": 40, "b": 25}), make_manifest({"a": 41, "b": 25})
    one = assign(small, scheme=scheme).set_index(["sample_id", "fold"])["role"]
    two = assign(large, scheme=scheme).set_index(["sample_id", "fold"])["role"]
    kept = (one == two.loc[one.index]).mean()
    assert kept >= 0.93
    of_b = small.loc[small["class"] == "b", "sample_id"]
    assert one[of_b].equals(two[of_b])


def test_order_of_rows_does_not_matter():
    manifest = make_manifest({"a": 30, "b": 20}, group_size=3)
    shuffled = manifest.sample(frac=1, random_state=3)
    one, two = (assign(m, "specimen", scheme="kfold", folds=3) for m in (manifest, shuffled))
    assert one.equals(two)


def test_seed_changes_the_lot():
    manifest = make_manifest({"a": 30, "b": 20})
    assert not assign(manifest).equals(assign(manifest, seed=2))


@settings(max_examples=40, deadline=None)
@given(
    scheme=st.sampled_from(SCHEMES),
    n_groups=st.lists(st.integers(5, 12), min_size=1, max_size=3),
    group_size=st.integers(1, 5),
    folds=st.integers(2, 4),
    test_fraction=st.floats(0.05, 0.45),
    seed=st.integers(0, 99),
)
def test_whole_groups_and_all_classes_in_all_parts(
    scheme, n_groups, group_size, folds, test_fraction, seed
):
    sizes = {f"c{k}": n * group_size for k, n in enumerate(n_groups)}
    manifest = make_manifest(sizes, group_size)
    split = assign(
        manifest, "specimen", scheme=scheme, folds=folds, test_fraction=test_fraction, seed=seed
    )
    assert not split.duplicated(["sample_id", "repeat", "fold"]).any()
    fits = split[["repeat", "fold"]].drop_duplicates()
    assert len(split) == len(manifest) * len(fits)
    assert split.groupby(["repeat", "fold", "group_id"])["role"].nunique().max() == 1
    assert (count_roles(split, manifest) > 0).all(axis=None)


def test_groups_with_several_classes_are_spread():
    manifest = make_manifest({"a": 60, "b": 60, "c": 60})
    manifest["specimen_id"] = [f"cell {i % 10}" for i in range(len(manifest))]
    split = assign(manifest, "specimen", scheme="kfold", folds=5)
    sizes = count_roles(split, manifest)
    assert (sizes["test"] == 12).all()
    assert (sizes > 0).all(axis=None)


def test_unstratified_counts_all_classes_together():
    manifest = make_manifest({"a": 98, "b": 2})
    split = assign(manifest, stratify=False, seed=3)
    assert split["role"].value_counts().to_dict() == {"train": 72, "validation": 18, "test": 10}
    with pytest.raises(InputError, match="Class 'b' has only 2 images"):
        assign(manifest)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, r"Class 'b' has only 1 image, .* 'holdout' needs at least 3 \(one each"),
        ({"scheme": "kfold"}, r"Class 'b' has only 1 image, .*needs at least 5 \(split.folds is 5"),
        ({"scheme": "holdout_kfold"}, r"needs at least 6 \(5 folds and a test part\)"),
        ({"scheme": "kfold", "folds": 12}, r"The data set has 11 images, .* at least 12"),
    ],
)
def test_too_few_images_are_explained(changes, message):
    with pytest.raises(InputError, match=message):
        assign(make_manifest({"a": 10, "b": 1}), **changes)


def test_too_few_groups_are_explained():
    manifest = make_manifest({"a": 10, "b": 30}, group_size=5)
    with pytest.raises(InputError, match="Class 'a' has only 2 groups"):
        assign(manifest, "specimen")


def test_groups_follow_what_is_known():
    manifest = make_manifest({"a": 4}, group_size=2)
    assert find_groups(manifest, "auto").tolist() == ["a-0", "a-0", "a-1", "a-1"]
    assert find_groups(manifest, "image").tolist() == manifest["sample_id"].tolist()
    manifest["specimen_id"] = pd.Series([None] * 4, dtype="str")
    assert find_groups(manifest, "auto").tolist() == manifest["sample_id"].tolist()
    with pytest.raises(InputError, match="no image has a specimen_id"):
        find_groups(manifest, "specimen")
    manifest["session_id"] = pd.Series(["x", "x", "y", None], dtype="str")
    assert find_groups(manifest.iloc[:3], "auto").tolist() == ["x", "x", "y"]
    with pytest.raises(InputError, match=r"session_id is empty for 1 of 4 .*image 3\.png"):
        find_groups(manifest, "auto")


def test_pairs_join_groups():
    groups = pd.Series(["x", "x", "y", "z", "w"], index=list("abcde"), name="group_id")
    pairs = pd.DataFrame({"sample_a": ["b", "d"], "sample_b": ["c", "c"]})
    merged = merge_groups(groups, pairs)
    assert merged.to_dict() == {"a": "x", "b": "x", "c": "x", "d": "x", "e": "w"}
    assert merge_groups(groups, pairs.iloc[:0]).tolist() == groups.tolist()


def make_domains(source: dict[str, int], target: dict[str, int]) -> pd.DataFrame:
    tables = [make_manifest(sizes) for sizes in (source, target)]
    tables[1]["sample_id"] = [f"f{name[1:]}" for name in tables[1]["sample_id"]]
    domains = [t.assign(domain=d) for t, d in zip(tables, ("source", "target"), strict=True)]
    return pd.concat(domains, ignore_index=True)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_only_the_target_domain_is_tested(scheme):
    manifest = make_domains({"a": 30, "b": 20}, {"a": 10, "b": 15})
    split = assign(manifest, scheme=scheme, test_fraction=0.2, test_where={"domain": "target"})
    table = split.merge(manifest[["sample_id", "class", "domain"]], on="sample_id")
    tested = table[table["role"] == "test"]
    assert set(tested["domain"]) == {"target"}
    first = table[(table["repeat"] == 0) & (table["fold"] == 0)]
    sizes = first[first["role"] == "test"].groupby("class").size().to_dict()
    assert sizes == {"a": 2, "b": 3}  # a fifth of the target, not of everything
    for _, fit in table.groupby(["repeat", "fold"]):
        for role in ("train", "validation"):
            assert set(fit.loc[fit["role"] == role, "domain"]) == {"source", "target"}


def test_a_common_test_part_is_never_trained_on():
    manifest = make_domains({"a": 30, "b": 20}, {"a": 10, "b": 15})
    where = {"domain": "target"}
    split = assign(manifest, scheme="holdout_kfold", repeats=3, test_fraction=0.2, test_where=where)
    tested = split[split["role"] == "test"].groupby(["repeat", "fold"])["sample_id"].agg(set)
    assert len(tested) == 15
    assert all(names == tested.iloc[0] for names in tested)
    others = split[split["role"] != "test"]
    assert not tested.iloc[0] & set(others["sample_id"])


@pytest.mark.parametrize(
    ("source", "target", "where", "sentence"),
    [
        (
            {"a": 9, "b": 9},
            {"a": 9},
            "target",
            r"'b' has images elsewhere, but none with domain 'target'",
        ),
        (
            {"a": 9},
            {"a": 9, "b": 9},
            "target",
            r"'b' has images with domain 'target' .*none elsewhere",
        ),
        ({"a": 9, "b": 9}, {"a": 9, "b": 1}, "target", r"Class 'b of target' has only 1 image"),
        ({"a": 9, "b": 9}, {"a": 9, "b": 9}, "moon", r"The images have domain: source, target;"),
    ],
)
def test_impossible_domains_are_explained(source, target, where, sentence):
    manifest = make_domains(source, target)
    with pytest.raises(InputError, match=sentence):
        assign(manifest, test_where={"domain": where})


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_class_that_counts_in_both_domains_is_tested(scheme):
    """Pristine electrodes (p) have no additive; tested with those that have one all the same."""
    manifest = make_manifest({"a": 40, "p": 20})
    manifest["domain"] = ["source"] * 20 + ["target"] * 20 + ["shared"] * 20
    tested = {"domain": ["target", "shared"]}
    with pytest.raises(InputError, match=r"'p' has images with domain .* but none elsewhere"):
        assign(manifest, scheme=scheme, test_fraction=0.2, test_where=tested)
    shared = {"domain": "shared"}
    split = assign(
        manifest, scheme=scheme, test_fraction=0.2, test_where=tested, shared_where=shared
    )
    known = split.merge(manifest[["sample_id", "class", "domain"]], on="sample_id")
    sizes = known[known["role"] == "test"].groupby(["repeat", "fold", "class"]).size()
    assert (sizes == 4).all()
    assert len(sizes) == 2 * len(split.groupby(["repeat", "fold"]))
    assert set(known.loc[known["role"] == "test", "domain"]) == {"target", "shared"}
    assert not split.duplicated(["sample_id", "repeat", "fold"]).any()


def test_shared_samples_that_nobody_would_judge_are_refused():
    manifest = make_manifest({"a": 40, "p": 20})
    manifest["domain"] = ["source"] * 20 + ["target"] * 20 + ["shared"] * 20
    own = {"domain": "target"}
    with pytest.raises(InputError, match=r"fits 20 images .* never be judged; let test_where"):
        assign(manifest, test_where=own, shared_where={"domain": "shared"})


def test_source_alone_teaches_where_classes_differ_in_count():
    """Many of a and few of b in the source, the other way round in the target."""
    manifest = make_domains({"a": 30, "b": 4}, {"a": 6, "b": 20})
    where = {"domain": "target"}
    split = assign(manifest, scheme="holdout_kfold", folds=3, test_fraction=0.2, test_where=where)
    index = pd.DataFrame({"sample_id": manifest["sample_id"], "kind": "random", "used": True})
    index["tile"] = range(len(index))
    for method, total in (("none", 1.0), ("class_weights", 1.0)):
        balance = BalanceSettings(method=method)
        plan = balance_stage(manifest, split, index, balance, {"domain": "source"}, "pre")
        own = manifest.iloc[plan["tile"]]
        assert set(own["domain"]) == {"source"}
        assert plan.groupby("fold")["weight"].mean().round(6).eq(total).all()
        counts = own.assign(fold=plan["fold"].to_numpy()).groupby(["fold", "class"]).size()
        assert counts.xs("a", level="class").between(19, 21).all()
        assert counts.xs("b", level="class").between(2, 3).all()
