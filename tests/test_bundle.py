"""A published bundle: complete, the same bytes each time, and readable without trust."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from batteryscope.bundle.card import list_scores
from batteryscope.bundle.read import load_bundle
from batteryscope.bundle.record import read_record
from batteryscope.bundle.vote import take_vote
from batteryscope.errors import InputError
from batteryscope.manifest.inspect import digest_pixels
from batteryscope.models.weights_file import WeightsOrigin
from batteryscope.preprocess.tiling import resize_tile
from batteryscope.provenance import digest_file
from batteryscope.readers.registry import read_picture
from tests.bundled_study import (
    CLASSES,
    METRICS,
    Study,
    bundle_study,
    draw_picture,
    make_study,
    save_picture,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    study = make_study(tmp_path_factory.mktemp("study"))
    bundle_study(study)
    return study


@pytest.fixture
def copy(study: Study, tmp_path: Path) -> Path:
    """A bundle that a test may damage."""
    return Path(shutil.copytree(study.bundle, tmp_path / "bundle"))


def change_record(folder: Path, **changes: object) -> None:
    path = folder / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_bundle_of_whole_frames_gives_one_answer_per_image(study: Study, tmp_path: Path) -> None:
    """One tile per frame: the answer is that of the networks for the resized frame, no vote."""
    whole = {"method": "sem_whole", "input_px": 32, "block_px": 8, "min_local_sd": 5.0}
    bundle = load_bundle(bundle_study(study, tmp_path / "bundle", preprocess=whole))
    frames = [draw_picture("new", 0), draw_picture("new", 1, height=120, width=160)]
    table = bundle.predict_frames([*frames, np.full((96, 128), 60, np.uint8)])
    assert table["status"].tolist() == ["ok", "ok", "rejected"]
    assert table["tiles_used"].tolist() == [1, 1, 0]
    assert table["reason"].iloc[2].startswith("empty: no part of the frame shows coating")
    tiles = np.stack([resize_tile(frame, 32) for frame in frames])
    asked = bundle.ask_models(tiles)  # (models, frames, classes)
    for i in (0, 1):
        verdict = take_vote(asked[:, i : i + 1], bundle.record.temperature)
        assert table["class"].iloc[i] == bundle.record.classes[verdict.winner]
        assert table["confidence"].iloc[i] == pytest.approx(verdict.confidence, abs=1e-5)
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    assert "Each picture is resized as a whole" in card


def test_bundle_holds_all_that_its_use_needs(study: Study) -> None:
    names = sorted(p.name for p in study.bundle.iterdir())
    assert names == [
        "MODEL_CARD.md",
        "bundle.json",
        "digest.json",
        "example_input.png",
        "example_output.json",
        "fold_r0_f0.json",
        "fold_r0_f0.safetensors",
        "fold_r0_f1.json",
        "fold_r0_f1.safetensors",
        "training_images.csv",
    ]
    record = json.loads((study.bundle / "bundle.json").read_text())
    assert record["format_version"] == 1
    assert record["classes"] == CLASSES
    assert record["class_labels"]["333_100cycles"] == {"composition": "333", "state": "100cycles"}
    assert record["data"]["ranges"] == {
        "width_px": [128, 128],
        "height_px": [96, 96],
        "magnification": [500, 500],
    }
    assert record["data"]["n_images"] == 16
    assert record["temperature"] == 1.3
    assert record["licence"]["software"] == "MIT"
    assert set(record["metrics"]) == {k for k in METRICS if not k.startswith("other")}


def test_a_set_of_possible_classes_stands_beside_the_answer(study: Study) -> None:
    bundle = load_bundle(study.bundle)
    frames = [draw_picture("set", i) for i in range(6)]
    table = bundle.predict_frames(frames)
    assert (table["set_coverage"] == 0.9).all()
    names = [f"p_{name}" for name in bundle.record.classes]
    for _, row in table.iterrows():
        likely = row[names].astype(float).sort_values(ascending=False)
        before = likely.cumsum().shift(fill_value=0)
        before[likely.index[0]] = 0.0
        expected = [name.removeprefix("p_") for name in likely.index[(before <= 0.3).to_numpy()]]
        assert row["prediction_set"].split(" | ") == expected
        assert expected[0] == row["class"]
    assert bundle.closing_note == ""
    card = (study.bundle / "MODEL_CARD.md").read_text()
    assert "| image | 90 % | 93.8 % | 70.0 % to 99.0 % | 1.50 | 16 | 16 test |" in card


def test_training_images_are_listed_with_hash_and_role(study: Study) -> None:
    table = pd.read_csv(study.bundle / "training_images.csv", dtype=str)
    assert list(table.columns) == [
        "sample_id", "sha256", "pixel_digest", "path", "class", "r0_f0", "r0_f1"
    ]  # fmt: skip
    assert len(table) == 16
    first = table.iloc[0]
    file = study.images / first["path"]
    assert first["sha256"] == digest_file(file)
    assert first["pixel_digest"] == digest_pixels(read_picture(file, max_pixels=10**6))
    assert table["r0_f0"].value_counts().to_dict() == {"train": 8, "validation": 4, "test": 4}


def test_example_gives_the_expected_output(study: Study) -> None:
    expected = json.loads((study.bundle / "example_output.json").read_text())
    found = next(load_bundle(study.bundle).predict_files(["example_input.png"], study.bundle))
    assert found == expected
    assert expected["status"] == "ok"
    assert expected["seen_in_training"] is False  # the test images of a hold-out are unseen
    assert expected["composition"] in ("333", "811")


def test_same_input_gives_the_same_bytes(study: Study, tmp_path: Path) -> None:
    again = bundle_study(study, tmp_path / "again")
    for file in sorted(study.bundle.iterdir()):
        assert file.read_bytes() == (again / file.name).read_bytes(), file.name


def test_card_tells_what_a_stranger_must_know(study: Study) -> None:
    card = (study.bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    for text in (
        "# Small study",
        "Trained on generated pictures",
        "87.5 % | 50.0 % to 98.0 % | 16",
        "always the most frequent class",
        "batteryscope predict small MY_IMAGES --out predictions.csv",
        "SEM-1",
        "Class and acquisition session are confounded.",
        "| 333_pristine | 4 |",
        "temperature 1.300",
        "Software: MIT",
    ):
        assert text in card
    assert "\n\n\n" not in card


def test_scores_of_a_single_label_column_name_the_class_once() -> None:
    scores = list_scores(METRICS, "main", ["class"])
    assert [(s.who, s.target) for s in scores] == [
        ("this model (main)", "class"),
        ("always the most frequent class", "class"),
    ]


def test_real_data_licence_names_the_data_set(study: Study, tmp_path: Path) -> None:
    folder = bundle_study(study, tmp_path / "real", generated=False)
    assert "'noise'" in json.loads((folder / "bundle.json").read_text())["licence"]["weights"]
    assert "generated" not in (folder / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_origin_and_licence_of_pretrained_weights_are_stated(study: Study, tmp_path: Path) -> None:
    root = Path(shutil.copytree(study.root / "part0", tmp_path / "part0")).parent
    origin = WeightsOrigin(
        source="package", name="lite", version="0.1", sha256="ab" * 32, licence="Apache-2.0"
    )
    began = replace(study, root=root)
    for path in root.glob("part0/*/fit.json"):
        fit = json.loads(path.read_text()) | {"pretrained": origin.model_dump()}
        path.write_text(json.dumps(fit))
    (root / "images").symlink_to(study.images)
    record = read_record(bundle_study(began))
    assert [member.pretrained for member in record.members] == [origin, origin]
    card = (began.bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "the package lite 0.1 (Apache-2.0; SHA-256 abababababab…)" in card
    assert "Weights: MIT" not in card


def test_changed_image_is_not_bundled(study: Study, tmp_path: Path) -> None:
    other = replace(study, root=tmp_path)
    shutil.copytree(study.images, other.images)
    shutil.copytree(study.root / "part0", tmp_path / "part0")
    # The example is the first test image; the others are not read.
    tested = study.split.loc[study.split["role"] == "test", "sample_id"].min()
    paths = study.manifest.set_index("sample_id")["path"]
    save_picture(draw_picture("another"), other.images / paths[tested])
    with pytest.raises(InputError, match=f"{paths[tested]}: the file has changed since"):
        bundle_study(other)


def test_no_fit_is_one_sentence(tmp_path: Path, study: Study) -> None:
    with pytest.raises(InputError, match="no trained model"):
        bundle_study(replace(study, root=tmp_path))


def drop(name: str):
    return lambda folder: (folder / name).unlink()


def damage_weights(folder: Path) -> None:
    path = folder / "fold_r0_f1.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def swap_weights(folder: Path) -> None:
    """Weights of another network, with a matching hash."""
    path = folder / "fold_r0_f0.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    rehash(folder, path)


def write_no_safetensors(folder: Path) -> None:
    path = folder / "fold_r0_f0.safetensors"
    path.write_bytes(b"\x80\x04 pickled")
    rehash(folder, path)


def rehash(folder: Path, path: Path) -> None:
    members = json.loads((folder / "bundle.json").read_text())["members"]
    members[0]["weights_sha256"] = digest_file(path)
    change_record(folder, members=members)


def describe(**changes: object):
    def change(folder: Path) -> None:
        path = folder / "fold_r0_f0.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (shutil.rmtree, "bundle folder does not exist"),
        (drop("bundle.json"), "is no bundle"),
        (drop("training_images.csv"), r"training_images\.csv: this file of the bundle is missing"),
        (drop("fold_r0_f1.safetensors"), r"fold_r0_f1\.safetensors: this file .* is missing"),
        (drop("fold_r0_f1.json"), r"fold_r0_f1\.json: this file .* is missing"),
        (damage_weights, r"fold_r0_f1\.safetensors: the weights have SHA-256 .* damaged"),
        (swap_weights, "weights do not fit the network"),
        (write_no_safetensors, "safetensors"),
        (describe(backbone="hf-hub:somebody/something"), "no backbone that timm knows"),
        (describe(backbone_options={"checkpoint_path": "/x"}), "checkpoint_path.*not allowed"),
        (describe(backbone_options={"colour": 1}), "cannot build"),
        (describe(classes=["a", "b"]), "classes are not those"),
        (lambda f: change_record(f, format_version=2), "format_version is 2"),
        (lambda f: change_record(f, temperature=-1), "temperature.*damaged"),
        (lambda f: change_record(f, class_labels={}), "class_labels lacks"),
        (lambda f: (f / "bundle.json").write_text("{"), "not readable as JSON"),
        (lambda f: (f / "bundle.json").write_text("[]"), "format_version is None"),
    ],
)
def test_damaged_bundle_is_one_sentence(copy: Path, damage, sentence: str) -> None:
    damage(copy)
    with pytest.raises(InputError, match=sentence) as caught:
        load_bundle(copy)
    assert "\n" not in str(caught.value)


def test_vote_has_known_answers() -> None:
    one = np.array([[[0.9, 0.1], [0.3, 0.7]]])
    verdict = take_vote(one, 1.0)
    assert verdict.probabilities == pytest.approx([0.6, 0.4])
    assert (verdict.winner, verdict.disagreement, verdict.confidence_sd) == (0, None, None)

    two = np.concatenate([one, [[[0.0, 1.0], [0.2, 0.8]]]])
    verdict = take_vote(two, 1.0)
    assert verdict.probabilities == pytest.approx([0.35, 0.65], abs=1e-6)
    assert verdict.winner == 1
    assert verdict.confidence == pytest.approx(0.65, abs=1e-6)
    assert verdict.disagreement == 0.5
    assert verdict.confidence_sd == pytest.approx(0.25, abs=1e-6)

    # Temperature 2 takes the square root of the odds.
    assert take_vote(np.array([[[0.8, 0.2]]]), 2.0).probabilities == pytest.approx([2 / 3, 1 / 3])


def test_frames_in_memory_are_judged_like_files(study: Study) -> None:
    bundle = load_bundle(study.bundle)
    pixels = draw_picture("333", "pristine", 3)
    table = bundle.predict_frames([pixels, pixels[:40]])
    row = next(bundle.predict_files(["333/pristine/frame 3.png"], study.images))
    columns = ["class", "confidence", *[f"p_{c}" for c in CLASSES], "tiles_used"]
    assert table.loc[0, columns].tolist() == [row[c] for c in columns]
    assert table.loc[1, "status"] == "rejected"
    assert "wrong_size" in table.loc[1, "reason"]
    assert list(table.columns) == bundle.columns
    assert sum(row[f"p_{c}"] for c in CLASSES) == pytest.approx(1, abs=1e-5)
    assert bundle.class_labels.loc["811_pristine"].to_dict() == {
        "composition": "811",
        "state": "pristine",
    }
