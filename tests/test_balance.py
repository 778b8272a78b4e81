"""Copies and weights of unequal classes."""

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from batteryscope.balance import balance_stage, choose_images, plan_balance
from batteryscope.config.json_text import as_json
from batteryscope.config.learning import BalanceSettings
from batteryscope.errors import InputError
from batteryscope.manifest.schema import find_dtypes, write_manifest
from batteryscope.plan import BalanceTask
from tests.conftest import ROOT
from workflow_scripts import balance_stage as script

NONE = BalanceSettings()
LARGEST = BalanceSettings(method="oversample")
SECOND = BalanceSettings(method="oversample", reference="second_largest")
WEIGHTS = BalanceSettings(method="class_weights")
DRAWN = BalanceSettings(method="class_balanced")


def label(**sizes: int) -> np.ndarray:
    return np.array([name for name, n in sizes.items() for _ in range(n)], dtype=object)


def count_copies(labels: np.ndarray, copies: np.ndarray) -> dict[str, int]:
    return pd.Series(copies).groupby(labels).sum().to_dict()


def test_oversampling_fills_up_to_the_reference():
    labels = label(a=10, b=7, c=3)
    assert count_copies(labels, plan_balance(labels, NONE)[0]) == {"a": 10, "b": 7, "c": 3}
    assert count_copies(labels, plan_balance(labels, LARGEST)[0]) == {"a": 10, "b": 10, "c": 10}
    assert count_copies(labels, plan_balance(labels, SECOND)[0]) == {"a": 10, "b": 7, "c": 7}
    tie = label(a=5, b=5, c=2)
    assert count_copies(tie, plan_balance(tie, SECOND)[0]) == {"a": 5, "b": 5, "c": 5}
    alone = label(a=4)
    assert plan_balance(alone, SECOND)[0].tolist() == [1, 1, 1, 1]


# Figure 2 of Jeon et al. (2025) is a picture; the text tells nine classes and the second-largest,
# 201 images, up to which all smaller ones are replicated. The other counts are those of the demo.
PAPER_SCALE = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["studies"]
IMAGES_OF = PAPER_SCALE["additive_transfer"]["dataset"]["generator"]["images_of"]
FIGURE_2 = {name.removeprefix("ncm").removesuffix("_VC"): n for name, n in IMAGES_OF.items()}


def test_oversampling_as_in_figure_2_of_jeon_2025():
    """Nine classes; all below 201, the size of the second-largest, are replicated up to it."""
    labels = label(**FIGURE_2)
    copies, weights = plan_balance(labels, SECOND)
    assert sorted(FIGURE_2.values())[-2:] == [201, 250]
    assert count_copies(labels, copies) == {**dict.fromkeys(FIGURE_2, 201), "333_100cycles": 250}
    assert set(copies[labels == "333_100cycles"]) == {1}  # the largest stays as it is
    seen = pd.Series(copies[labels == "811_pristine"]).value_counts().to_dict()
    assert seen == {20: 9, 21: 1}  # 201 = 9 · 20 + 21
    seen = pd.Series(copies[labels == "622_100cycles"]).value_counts().to_dict()
    assert seen == {3: 39, 4: 21}  # 201 = 39 · 3 + 21 · 4
    assert set(weights) == {1.0}


def test_class_weights_make_every_class_count_alike():
    """1/n_k, times 710 images / 9 classes, so that they average to 1."""
    labels = label(**FIGURE_2)
    copies, weights = plan_balance(labels, WEIGHTS)
    assert set(copies) == {1}
    per_class = pd.Series(weights).groupby(labels).first()
    assert per_class["333_100cycles"] == pytest.approx(710 / 9 / 250)
    assert per_class["622_formation"] == pytest.approx(710 / 9 / 201)
    assert per_class["811_pristine"] == pytest.approx(710 / 9 / 10)


def test_remainder_is_spread_evenly():
    copies, weights = plan_balance(label(a=10, b=4), LARGEST)
    assert copies[10:].tolist() == [2, 3, 2, 3]
    assert weights.tolist() == [1.0] * 14


def test_class_weights_are_inverse_and_average_to_one():
    labels = label(a=6, b=2)
    copies, weights = plan_balance(labels, WEIGHTS)
    assert copies.tolist() == [1] * 8
    assert weights[0] == pytest.approx(8 / 12)
    assert weights[-1] == pytest.approx(2.0)
    assert plan_balance([], WEIGHTS)[1].shape == (0,)


def test_class_balanced_leaves_the_plan_to_the_sampler():
    copies, weights = plan_balance(label(a=6, b=2), DRAWN)
    assert copies.tolist() == [1] * 8
    assert weights.tolist() == [1.0] * 8


def limit(n: int | dict[str, int] | None) -> BalanceSettings:
    return BalanceSettings(images_per_class=n)


def test_chosen_images_are_nested_and_of_every_class():
    labels = pd.Series(label(a=30, b=12, c=3), index=[f"{i:016x}" for i in range(45)])
    sizes = {}
    before: set[str] = set()
    for n in (2, 5, 10, 20):
        chosen = choose_images(labels, limit(n), 1, 0, 0)
        assert before < set(chosen)
        assert chosen == sorted(chosen)
        sizes[n] = labels[chosen].value_counts().to_dict()
        before = set(chosen)
    assert sizes[2] == {"a": 2, "b": 2, "c": 2}
    assert sizes[20] == {"a": 20, "b": 12, "c": 3}
    assert choose_images(labels, limit(None), 1, 0, 0) == labels.index.tolist()


def test_a_limit_by_class_leaves_the_others_alone():
    labels = pd.Series(label(a=30, b=12, c=3), index=[f"{i:016x}" for i in range(45)])
    chosen = choose_images(labels, limit({"a": 25, "b": 1}), 1, 0, 0)
    assert labels[chosen].value_counts().to_dict() == {"a": 25, "b": 1, "c": 3}
    assert {c for c in chosen if labels[c] == "b"} <= set(choose_images(labels, limit(1), 1, 0, 0))
    copies, _ = plan_balance(labels[chosen], LARGEST)
    assert pd.Series(copies).groupby(labels[chosen].to_numpy()).sum().to_dict() == {
        "a": 25, "b": 25, "c": 25,
    }  # fmt: skip
    _, weights = plan_balance(labels[chosen], WEIGHTS)
    of_class = dict(zip(labels[chosen], weights, strict=True))
    assert of_class["b"] / of_class["a"] == pytest.approx(25)


def test_lots_depend_on_seed_repeat_and_fold_but_not_on_other_images():
    labels = pd.Series("a", index=[f"{i:016x}" for i in range(40)])
    first = choose_images(labels, limit(10), 1, 0, 0)
    assert choose_images(labels.sample(frac=1, random_state=1), limit(10), 1, 0, 0) == first
    for other in ((2, 0, 0), (1, 1, 0), (1, 0, 1)):
        assert choose_images(labels, limit(10), *other) != first
    rest = labels.drop(first[0])
    assert len(set(first) & set(choose_images(rest, limit(10), 1, 0, 0))) == 9
    # Every image has the same chance: 10 of 40 in each of 400 draws, standard deviation 8.7.
    draws = [s for r in range(400) for s in choose_images(labels, limit(10), 1, r, 0)]
    assert pd.Series(draws).value_counts().between(100 - 5 * 8.7, 100 + 5 * 8.7).sum() == 40


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    settings=st.sampled_from([NONE, LARGEST, SECOND, WEIGHTS, DRAWN]),
)
def test_any_sizes(sizes, settings):
    labels = label(**{f"c{k}": n for k, n in enumerate(sizes)})
    copies, weights = plan_balance(labels, settings)
    assert copies.min() >= 1
    assert weights.mean() == pytest.approx(1.0)
    per_class = pd.Series(copies).groupby(labels)
    assert (per_class.max() - per_class.min()).max() <= 1
    if settings == LARGEST:
        assert set(per_class.sum()) == {max(sizes)}


def make_study() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Six samples of two classes and two domains, two random tiles each, one of them unused."""
    n = 6
    manifest = pd.DataFrame(
        {
            "sample_id": [f"{i:016x}" for i in range(n)],
            "path": [f"{i}.png" for i in range(n)],
            "sha256": [f"{i:064x}" for i in range(n)],
            "domain": ["source", "source", "source", "source", "target", "target"],
            "class": ["a", "a", "a", "b", "a", "b"],
        }
    )
    rows = [
        (sample, kind, kind == "grid" or i != 1)
        for i, sample in enumerate(manifest["sample_id"])
        for kind in ("random", "random", "grid")
    ]
    index = pd.DataFrame(rows, columns=["sample_id", "kind", "used"])
    index["tile"] = np.where(index["used"], index["used"].cumsum() - 1, -1)
    split = manifest[["sample_id"]].assign(group_id="g", repeat=0, fold=0, role="train")
    split.loc[0, "role"] = "test"
    return manifest, split, index


def test_stage_takes_its_own_training_tiles():
    manifest, split, index = make_study()
    plan = balance_stage(manifest, split, index, LARGEST, {}, "fit")
    trained = index.set_index("tile").loc[plan["tile"]]
    assert set(trained["kind"]) == {"random"}
    assert manifest["sample_id"][0] not in set(trained["sample_id"])
    source = balance_stage(manifest, split, index, WEIGHTS, {"domain": "source"}, "source")
    ids = index.set_index("tile").loc[source["tile"], "sample_id"]
    assert set(ids) == set(manifest["sample_id"][2:4])


def make_counted(sizes: dict[str, int], tiles_per_image: int = 3):
    """Training images of classes of different size, each with the same number of tiles."""
    labels = label(**sizes)
    manifest = pd.DataFrame({"sample_id": [f"{i:016x}" for i in range(len(labels))]})
    manifest["class"] = labels
    split = manifest[["sample_id"]].assign(repeat=0, fold=0, role="train")
    index = pd.DataFrame(
        {"sample_id": np.repeat(manifest["sample_id"].to_numpy(), tiles_per_image)}
    )
    return manifest, split, index.assign(kind="random", used=True, tile=range(len(index)))


def count_tiles(plan: pd.DataFrame, manifest: pd.DataFrame, index: pd.DataFrame) -> dict[str, int]:
    """Training tiles of an epoch by class, those of the same image being seen equally often."""
    samples = index.set_index("tile").loc[plan["tile"], "sample_id"].to_numpy()
    copies = plan.groupby(samples)["copies"]
    assert (copies.max() == copies.min()).all()
    classes = manifest.set_index("sample_id")["class"].loc[samples].to_numpy()
    return plan.groupby(classes)["copies"].sum().to_dict()


def test_images_that_differ_25_to_1_differ_so_in_training_tiles():
    manifest, split, index = make_counted({"a": 100, "b": 20, "c": 4})

    def count(settings):
        plan = balance_stage(manifest, split, index, settings, {}, "fit")
        return count_tiles(plan, manifest, index), plan["weight"].to_numpy()

    assert count(NONE)[0] == {"a": 300, "b": 60, "c": 12}
    assert count(LARGEST)[0] == {"a": 300, "b": 300, "c": 300}
    assert count(SECOND)[0] == {"a": 300, "b": 60, "c": 60}
    tiles, weights = count(WEIGHTS)
    assert tiles == {"a": 300, "b": 60, "c": 12}
    # 124 images / 3 classes / n_k
    assert np.unique(weights) == pytest.approx([124 / 300, 124 / 60, 124 / 12])


def test_an_image_counts_once_however_many_of_its_tiles_were_left_out():
    """Class b: four images of which two have a single tile left, against eight of class a."""
    manifest, split, index = make_counted({"a": 8, "b": 4})
    few = index["sample_id"].isin(manifest["sample_id"][8:10]) & (index["tile"] % 3 > 0)
    index.loc[few, "used"] = False
    plan = balance_stage(manifest, split, index, LARGEST, {}, "fit")
    assert set(plan["copies"].iloc[:24]) == {1}
    assert set(plan["copies"].iloc[24:]) == {2}  # 4 images twice are 8
    assert count_tiles(plan, manifest, index) == {"a": 24, "b": 16}
    plan = balance_stage(manifest, split, index, WEIGHTS, {}, "fit")
    assert plan["weight"].iloc[-1] / plan["weight"].iloc[0] == pytest.approx(2)
    assert plan["weight"].mean() == pytest.approx(1)


def test_tiles_per_class_are_those_of_the_training_part():
    manifest, split, index = make_counted({"a": 10, "b": 4}, tiles_per_image=6)
    split.loc[[0, 1, 2, 10], "role"] = ["test", "validation", "test", "test"]

    def take(n, **more):
        plan = balance_stage(manifest, split, index, NONE, {}, "fit", tiles_per_class=n, **more)
        return set(plan["tile"])

    def count(tiles):
        return index.set_index("tile").loc[sorted(tiles), "sample_id"].value_counts()

    for n in (9, 16):
        assert count_tiles(
            balance_stage(manifest, split, index, NONE, {}, "fit", tiles_per_class=n),
            manifest, index,
        ) == {"a": n, "b": n}  # fmt: skip
    counts = count(take(16))
    assert sorted(counts[manifest["sample_id"][3:10]]) == [2] * 5 + [3] * 2  # of seven images
    assert sorted(counts[manifest["sample_id"][11:]]) == [5, 5, 6]
    assert take(9) < take(16)
    assert take(9) == take(9) != take(9, seed=2)


def test_missing_tiles_of_one_image_are_taken_from_others(caplog):
    manifest, split, index = make_counted({"a": 2, "b": 2}, tiles_per_image=4)
    index.loc[1:3, "used"] = False
    plan = balance_stage(manifest, split, index, NONE, {}, "fit", tiles_per_class=4)
    counts = index.set_index("tile").loc[plan["tile"], "sample_id"].value_counts()
    assert counts[manifest["sample_id"]].tolist() == [1, 3, 2, 2]
    assert not caplog.messages
    balance_stage(manifest, split, index, NONE, {}, "fit", tiles_per_class=6)
    assert caplog.messages == [
        "Stage 'fit' asks for 6 tiles per class, but some folds have fewer training tiles "
        "(a 5); all of them are used."
    ]


def test_plan_has_the_chosen_images_only(caplog):
    manifest, split, index = make_study()
    plan = balance_stage(manifest, split, index, limit(1), {}, "fit", seed=1)
    ids = index.set_index("tile").loc[plan["tile"], "sample_id"]
    chosen = manifest[manifest["sample_id"].isin(ids)]
    assert sorted(chosen["class"]) == ["a", "b"]
    # Only images that have usable tiles draw lots.
    usable = manifest.set_index("sample_id")["class"].iloc[2:]
    assert set(ids) == set(choose_images(usable, limit(1), 1, 0, 0))
    assert not caplog.messages
    both = LARGEST.model_copy(update={"images_per_class": 5})
    plan = balance_stage(manifest, split, index, both, {}, "fit")
    pd.testing.assert_frame_equal(plan, balance_stage(manifest, split, index, LARGEST, {}, "fit"))
    assert caplog.messages == [
        "Stage 'fit' asks for 5 images per class, but some folds have fewer training images "
        "(a 2, b 2); all of them are used."
    ]


def test_a_limit_by_class_in_a_stage(caplog):
    manifest, split, index = make_study()
    plan = balance_stage(manifest, split, index, limit({"b": 1}), {}, "fit")
    ids = set(index.set_index("tile").loc[plan["tile"], "sample_id"])
    assert manifest.set_index("sample_id")["class"][sorted(ids)].value_counts().to_dict() == {
        "a": 2, "b": 1,
    }  # fmt: skip
    assert not caplog.messages
    balance_stage(manifest, split, index, limit({"a": 1, "b": 5}), {}, "fit")
    assert caplog.messages == [
        "Stage 'fit' asks for 5 images per class, but some folds have fewer training images "
        "(b 2); all of them are used."
    ]
    with pytest.raises(InputError, match=r"names 'x', expected some of the classes a, b; correct"):
        balance_stage(manifest, split, index, limit({"x": 1}), {}, "fit")


def test_class_without_training_tiles_is_named():
    manifest, split, index = make_study()
    split.loc[3, "role"] = "validation"
    with pytest.raises(InputError, match="Class 'b' of stage 'source' has no training tile"):
        balance_stage(manifest, split, index, NONE, {"domain": "source"}, "source")
    with pytest.raises(InputError, match="selects no image"):
        balance_stage(manifest, split, index, NONE, {"domain": "elsewhere"}, "source")


def test_class_that_a_stage_never_sees_is_named():
    """Also where its images are in no domain at all."""
    manifest, split, index = make_study()
    manifest.loc[manifest["class"] == "b", "domain"] = ""
    with pytest.raises(InputError, match="Class 'b' has images, but none among those of stage"):
        balance_stage(manifest, split, index, NONE, {"domain": "source"}, "source")
    balance_stage(
        manifest, split, index, NONE, {"domain": "source"}, "source", needs_all_classes=False
    )


def test_program(tmp_path, capsys):
    manifest, split, index = make_study()
    dtypes = find_dtypes(["class"])
    full = manifest.reindex(columns=list(dtypes)).assign(width_px=9, height_px=9, bit_depth=8)
    write_manifest(full.astype(dtypes), tmp_path / "manifest.parquet")
    split.to_parquet(tmp_path / "split.parquet")
    index.to_parquet(tmp_path / "index.parquet")
    task = BalanceTask(
        stage="fit", tiles="t", split="s", where={}, label_columns=["class"], balance=LARGEST,
        seed=1, needs_all_classes=True,
    )  # fmt: skip
    argv = [
        "--manifest", str(tmp_path / "manifest.parquet"),
        "--split", str(tmp_path / "split.parquet"), "--index", str(tmp_path / "index.parquet"),
        "--settings", as_json(task),
        "--out", str(tmp_path / "balance.parquet"), "--log", str(tmp_path / "log.txt"),
    ]  # fmt: skip
    assert script.main(argv) == 0
    plan = pd.read_parquet(tmp_path / "balance.parquet")
    assert list(plan.columns) == ["repeat", "fold", "tile", "copies", "weight"]
    assert plan["tile"].is_monotonic_increasing
    split.assign(role="test").to_parquet(tmp_path / "split.parquet")
    assert script.main(argv) == 1
    assert "has no training tile" in capsys.readouterr().err
