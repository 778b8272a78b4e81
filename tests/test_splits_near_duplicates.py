"""Images of the same place are found, images of other places are not."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from batteryscope.config.split import SplitSettings
from batteryscope.errors import InputError, LeakageError
from batteryscope.manifest.frames import write_frames
from batteryscope.manifest.measure import make_thumbnail
from batteryscope.splits.assign import split_samples
from batteryscope.splits.audit import audit_split, measure_overlaps
from batteryscope.splits.groups import find_groups
from batteryscope.splits.kept_together import (
    advise_on_overlaps,
    advise_on_twins,
    split_together,
)
from batteryscope.splits.near_duplicates import (
    PAIR_COLUMNS,
    find_overlaps,
    select_near_duplicates,
)
from tests.measured_frames import measure_dataset
from tests.test_preprocess_data_bar import draw_bar, draw_image
from tests.test_preprocess_images import write_dataset
from workflow_scripts import split_dataset

FIELD = draw_image(600, 900, seed=5)
FRAME = FIELD[:400, :600]


def save_as_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "jpeg", quality=quality)
    return np.asarray(Image.open(stream))


CHANGED = {
    "jpeg": save_as_jpeg(FRAME, 50),
    "brighter": np.clip(FRAME * 1.2, 0, 255).astype(np.uint8),
    "darker": (FRAME * 0.8).astype(np.uint8),
    "more contrast": np.clip((FRAME - 125.0) * 1.6 + 125, 0, 255).astype(np.uint8),
    "moved": FIELD[3:403, 3:603],
    "cropped": FRAME[4:-4, 6:-6],
    "half the size": np.asarray(Image.fromarray(FRAME).resize((300, 200))),
    "noisy": np.clip(FRAME + np.random.default_rng(0).normal(0, 12, FRAME.shape), 0, 255).astype(
        np.uint8
    ),
}


@pytest.mark.parametrize("name", CHANGED)
def test_changed_copies_are_found(name):
    thumbnails = [make_thumbnail(FRAME), make_thumbnail(CHANGED[name])]
    pairs = find_overlaps(thumbnails, ["b", "a"])
    assert list(pairs.columns) == PAIR_COLUMNS
    assert pairs[["sample_a", "sample_b"]].to_numpy().tolist() == [["a", "b"]]
    assert len(select_near_duplicates(pairs, 0.95)) == 1


def test_overlap_is_measured():
    neighbour = FIELD[75:475, 56:656]  # 81 % of the height, 91 % of the width
    pairs = find_overlaps([make_thumbnail(FRAME), make_thumbnail(neighbour)], ["a", "b"])
    assert pairs["shared_field"].tolist() == pytest.approx([0.737], abs=0.02)
    assert select_near_duplicates(pairs, 0.95).empty


def test_many_images_are_compared_at_half_the_resolution_first(monkeypatch):
    """Windows along a strip: neighbours have 75 or 50 % in common, and no others so much."""
    strip = draw_image(480, 640 + 160 * 19, seed=11)
    thumbnails = [make_thumbnail(strip[:, 160 * i : 160 * i + 640]) for i in range(20)]
    ids = [f"{i:02d}" for i in range(20)]
    in_full = find_overlaps(thumbnails, ids)
    monkeypatch.setattr("batteryscope.splits.near_duplicates.MOST_IN_FULL", 0)
    pd.testing.assert_frame_equal(find_overlaps(thumbnails, ids), in_full)
    neighbours = {(ids[i], ids[i + 1]) for i in range(19)}
    assert neighbours <= set(zip(in_full["sample_a"], in_full["sample_b"], strict=True))


def test_other_places_and_equal_bars_are_no_duplicates():
    frames = [np.vstack([draw_image(400, 600, seed), draw_bar(40, 600)]) for seed in range(40)]
    ids = [f"s{i:02d}" for i in range(40)]
    assert find_overlaps([make_thumbnail(f[:-40]) for f in frames], ids).empty


def test_regular_patterns_of_other_phase_are_no_duplicates():
    rng = np.random.default_rng(0)
    columns = np.arange(600)
    stripes = [
        np.clip(
            128 + 80 * np.sin(columns / 9 + rng.uniform(0, 6)) + rng.normal(0, 15, (400, 600)),
            0,
            255,
        ).astype(np.uint8)
        for _ in range(12)
    ]
    pairs = find_overlaps([make_thumbnail(s) for s in stripes], [f"{i}" for i in range(12)])
    assert pairs.empty


def test_flat_pictures_and_empty_lists_do_no_harm():
    flat = [np.full((48, 64), 7, np.uint8)] * 3
    assert find_overlaps(flat, ["a", "b", "c"]).empty
    assert find_overlaps([], []).empty


def make_split(roles: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    ids = [f"s{i}" for i in range(len(roles))]
    split = pd.DataFrame({"sample_id": ids, "group_id": ids, "role": roles}).assign(
        repeat=0, fold=0
    )
    manifest = pd.DataFrame(
        {
            "sample_id": ids,
            "path": [f"{i}.png" for i in ids],
            "sha256": [f"hash of {i}" for i in ids],
        }
    ).assign(**{"class": "a"})
    return split, manifest


def make_pairs(*rows: tuple[str, str, float, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=PAIR_COLUMNS)


ROLES = ["train", "train", "validation", "test"]


def test_clean_split_passes():
    split, manifest = make_split(ROLES)
    audit = audit_split(split, manifest, make_pairs(("s0", "s1", 0.9, 1.0)))
    assert audit["samples"] == 4
    assert audit["sizes"][0]["roles"] == {
        "train": {"a": 2},
        "validation": {"a": 1},
        "test": {"a": 1},
    }
    assert audit["near_duplicates"]["pairs"] == 1
    assert audit["near_duplicates"]["across_roles"] == 0
    assert audit["warnings"] == []
    json.dumps(audit)


def test_leaks_are_errors():
    split, manifest = make_split(ROLES)
    with pytest.raises(LeakageError, match=r"The group 's0' .* s0.png \(train\), s3.png \(test\)"):
        audit_split(split.replace({"group_id": {"s3": "s0"}}), manifest, make_pairs())
    copies = manifest.replace({"sha256": {"hash of s2": "hash of s1"}})
    with pytest.raises(LeakageError, match="content hash 'hash of s1'"):
        audit_split(split, copies, make_pairs())
    twins = make_pairs(("s0", "s3", 0.9, 0.98))
    with pytest.raises(LeakageError, match=r"1 pair .* s0.png \(train\) and s3.png \(test\)"):
        audit_split(split, manifest, twins)
    audit = audit_split(split, manifest, twins, near_duplicates="ignore")
    assert audit["near_duplicates"]["across_roles"] == 1
    assert "too good" in audit["warnings"][0]


def test_overlapping_fields_are_reported():
    split, manifest = make_split(ROLES)
    audit = audit_split(split, manifest, make_pairs(("s0", "s3", 0.5, 0.7), ("s2", "s3", 0.5, 0.6)))
    assert audit["overlaps"] == {
        "pairs": 2, "test_images_affected": 1.0, "median_shared_field": 0.7,
    }  # fmt: skip
    assert audit["warnings"][0].startswith("100 % of the test images show a place")
    between = audit_split(split, manifest, make_pairs(("s2", "s3", 0.5, 0.6)))
    assert between["warnings"] == []


def test_missing_class_is_a_warning():
    split, manifest = make_split(ROLES)
    manifest.loc[0, "class"] = "b"
    audit = audit_split(split, manifest, make_pairs())
    assert audit["warnings"][0] == "The validation part holds only 1 of 2 classes in some fold."


def run(root, manifest, settings) -> int:
    manifest.to_parquet(root / "manifest.parquet", index=False)
    write_frames(measure_dataset(root, manifest), root / "frames.parquet")
    return split_dataset.main(
        ["--manifest", str(root / "manifest.parquet"), "--frames", str(root / "frames.parquet"),
         "--settings", settings, "--split", str(root / "split.parquet"),
         "--audit", str(root / "audit.json"), "--log", str(root / "log.txt")]
    )  # fmt: skip


def test_program(tmp_path, capsys):
    bar = draw_bar(20, 300)
    frames = {f"{c}/{i}.png": np.vstack([draw_image(200, 300, 10 * k + i), bar])
              for k, c in enumerate("ab") for i in range(6)}  # fmt: skip
    manifest = write_dataset(tmp_path, frames)
    assert run(tmp_path, manifest, "{}") == 0
    split = pd.read_parquet(tmp_path / "split.parquet")
    assert len(split) == 12
    tested = set(split.loc[split["role"] == "test", "sample_id"])
    trained = set(split.loc[split["role"] == "train", "sample_id"])

    # The same place once in the test part and once in training, a little brighter.
    paths = manifest.set_index("sample_id")["path"]
    original = next(paths[s] for s in sorted(tested) if paths[s].startswith("a"))
    copy = next(paths[s] for s in sorted(trained) if paths[s].startswith("a"))
    pixels = np.clip(frames[original] * 1.1, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / copy)
    assert run(tmp_path, manifest, "{}") == 1
    error = capsys.readouterr().err
    assert original in error
    assert copy in error
    assert "near_duplicates: group" in error
    assert run(tmp_path, manifest, '{"near_duplicates": "group"}') == 0
    split = pd.read_parquet(tmp_path / "split.parquet")
    together = split[split["sample_id"].map(paths).isin([original, copy])]
    assert together["group_id"].nunique() == together["role"].nunique() == 1
    audit = json.loads((tmp_path / "audit.json").read_text())
    assert audit["near_duplicates"]["pairs"] == 1

    assert run(tmp_path, manifest, '{"allow_leakage": "one electrode is all we have"}') == 0
    audit = json.loads((tmp_path / "audit.json").read_text())
    assert audit["allowed"] == "one electrode is all we have"
    assert audit["near_duplicates"]["across_roles"] == 1
    assert "allowed here (split.allow_leakage): one electrode" in audit["warnings"][-1]
    assert run(tmp_path, manifest, '{"near_duplicates": "group", "allow_leakage": "why"}') == 1
    assert "allow_leakage has no effect" in capsys.readouterr().err

    assert run(tmp_path, manifest, '{"scheme": "ordered", "near_duplicates": "ignore"}') == 0
    audit = json.loads((tmp_path / "audit.json").read_text())
    assert any("not known for all images of a, b" in text for text in audit["warnings"])


@pytest.mark.parametrize("linked", [[1, 2], [1, 2, 3, 4, 5]])
def test_advice_on_near_duplicates_is_tried_before_it_is_given(linked):
    names = [f"{c}{i}" for c in "ab" for i in range(6)]
    samples = pd.DataFrame({"sample_id": names, "class": [name[0] for name in names]})
    groups = pd.Series(names, index=names, name="group_id")
    pairs = pd.DataFrame(
        [("a0", f"a{i}", 0.99, 0.99) for i in linked],
        columns=["sample_a", "sample_b", "similarity", "shared_field"],
    )
    settings = SplitSettings()
    advice = advise_on_twins(samples, groups, pairs, settings)
    if len(linked) == 2:
        assert "it was tried: the groups suffice" in advice
        split = split_together(samples, groups, pairs, settings)
        assert len(set(split.loc[split["sample_id"].isin(["a0", "a1", "a2"]), "role"])) == 1
        return
    assert "the 6 images of the class 'a' become one group" in advice
    assert "near_duplicates: ignore" in advice
    with pytest.raises(InputError, match="leaves too few groups") as error:
        split_together(samples, groups, pairs, settings)
    assert "split.group" not in str(error.value)
    # Where there are too few images anyway, near-duplicates are not to blame.
    few = samples[samples["sample_id"].isin(["a0", "a1", "b0", "b1"])]
    with pytest.raises(InputError, match="has only 2 images"):
        split_together(few, groups[few["sample_id"]], pairs[:1], settings)


@pytest.mark.parametrize("reach", [1, 6])
@pytest.mark.parametrize("specimens", [True, False])
def test_advice_on_overlaps_is_tried_before_it_is_given(reach, specimens):
    """Frames in a row show what their next neighbours show: one or six of them."""
    names = [f"{c}{i:02d}" for c in "ab" for i in range(12)]
    samples = pd.DataFrame({"sample_id": names, "class": [name[0] for name in names]})
    samples["path"] = samples["sample_id"]
    samples["acquired_at"] = pd.Timestamp("2026-01-01")
    samples["specimen_id"] = [f"{n[0]}{int(n[1:]) // 3}" if specimens else None for n in names]
    pairs = pd.DataFrame(
        [
            (f"{c}{i:02d}", f"{c}{j:02d}", 0.9, 0.9)
            for c in "ab" for i in range(12) for j in range(i + 1, min(12, i + 1 + reach))
        ],
        columns=PAIR_COLUMNS,
    )  # fmt: skip
    settings = SplitSettings(group="image")
    advice = advise_on_overlaps(samples, pairs, settings, 1.0)
    ordered = split_samples(
        samples,
        find_groups(samples, "image"),
        settings.model_copy(update={"scheme": "ordered"}),
    )
    left, _ = measure_overlaps(ordered, pairs)
    assert (left <= 0.5) == (reach == 1)
    said = (
        f"set split.scheme: ordered (tried: {100 * left:.0f} % of the images are left)"
        if reach == 1
        else "split.scheme: ordered was tried and does not help"
    )
    assert said in advice
    assert ("ame the specimen of every image" in advice) == (not specimens)
    assert ("plit.group: specimen" in advice) == specimens


def test_advice_that_the_settings_refuse_is_not_given():
    """Folds have no fractions to fit; the ordered division has, and these leave no training."""
    samples = pd.DataFrame({"sample_id": list("abcdefgh"), "class": list("xxxxyyyy")})
    samples = samples.assign(
        path=samples["sample_id"], specimen_id=samples["sample_id"], session_id=None,
        acquired_at=pd.Timestamp("2026-01-01"),
    )  # fmt: skip
    pairs = pd.DataFrame([("a", "b", 0.9, 0.9)], columns=PAIR_COLUMNS)
    settings = SplitSettings(
        scheme="kfold", folds=2, test_fraction=0.5, validation_fraction=0.5, group="specimen"
    )
    advice = advise_on_overlaps(samples, pairs, settings, 0.5)
    assert advice.endswith("; split.scheme: ordered was tried and does not help.")
