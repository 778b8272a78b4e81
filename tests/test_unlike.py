"""A bundle refuses what is unlike its training images, and says so in the table and in words."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from batteryscope.bundle.assemble import describe_data
from batteryscope.bundle.example import write_example
from batteryscope.bundle.familiarity import REFERENCE_FILE
from batteryscope.bundle.frame import (
    Frame,
    describe_differences,
    find_other_settings,
    leave_comparable,
    rescale_frame,
)
from batteryscope.bundle.output import Summary
from batteryscope.bundle.predict_program import main as predict_images
from batteryscope.bundle.predict_scans import join_slices, sum_up
from batteryscope.bundle.read import load_bundle
from batteryscope.bundle.unlike import UNLIKE, Unlike
from batteryscope.errors import InputError
from batteryscope.readers.picture import AcquisitionMetadata
from tests.bundled_study import (
    COMPOSITIONS,
    STATES,
    Study,
    bundle_study,
    draw_picture,
    make_settings,
    make_study,
    save_picture,
    write_tiles,
)

pytestmark = pytest.mark.usefixtures("one_thread")
LAST = "0/structures of stage 5"
NOISE = np.random.default_rng(0).integers(0, 256, (96, 128), dtype=np.uint8)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    made = make_study(tmp_path_factory.mktemp("unlike"))
    bundle_study(made, tiles=write_tiles(made), false_alarms=0.2)
    return made


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asked")
    for composition in COMPOSITIONS:  # pictures that no network was trained on
        for state in STATES:
            save_picture(
                draw_picture(composition, state, 3), folder / f"like {composition} {state}.png"
            )
    save_picture(NOISE, folder / "noise.png")
    (folder / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return folder


def predict(bundle: Path, images: Path, out: Path, *more: str) -> pd.DataFrame:
    arguments = ["--bundle", str(bundle), "--images", str(images), "--out", str(out)]
    assert predict_images([*arguments, "--device", "cpu", *more]) == 0
    return pd.read_csv(out, keep_default_na=False).set_index("file")


def test_noise_gets_no_class_but_its_own_kind_does(
    study: Study, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = predict(study.bundle, images, tmp_path / "p.csv")
    noise = rows.loc["noise.png"]
    assert noise["class"] == noise["status"] == UNLIKE
    assert noise["confidence"] == ""
    assert float(noise["unlike_training"]) > 1
    assert noise["nearest_training_image"] in set(study.manifest["path"])
    assert "sharpness" in noise["unlike_reasons"]
    like = rows[rows.index.str.startswith("like")]
    assert (like["status"] == "ok").all()
    assert (like["unlike_training"].astype(float) <= 1).all()
    assert (like["unlike_reasons"] == "").all()
    assert rows.loc["damaged.png", "status"] == "rejected"
    assert set(rows["trained_on"]) == {"generated pictures"}
    said = capsys.readouterr().err
    assert "unlike the training images" in said
    assert "noise.png" in said
    assert "trained on generated pictures" in said


def test_it_answers_anyway_where_asked_to(study: Study, images: Path, tmp_path: Path) -> None:
    usual = predict(study.bundle, images, tmp_path / "p.csv")
    anyway = predict(study.bundle, images, tmp_path / "q.csv", "--answer-anyway").loc["noise.png"]
    assert anyway["status"] == "ok"
    assert anyway["class"] in load_bundle(study.bundle).record.classes
    assert "unlike the training images" in anyway["note"]
    assert anyway["unlike_training"] == usual.loc["noise.png", "unlike_training"]


def test_it_fails_only_if_nothing_is_answered(study: Study, tmp_path: Path) -> None:
    save_picture(NOISE, tmp_path / "images" / "noise.png")
    out = tmp_path / "p.csv"
    arguments = ["--bundle", str(study.bundle), "--images", str(tmp_path / "images")]
    assert predict_images([*arguments, "--out", str(out), "--device", "cpu"]) != 0
    assert pd.read_csv(out)["status"].tolist() == [UNLIKE]


def test_the_description_tells_what_the_limit_rests_on(study: Study) -> None:
    known = json.loads((study.bundle / "bundle.json").read_text())["familiarity"]
    assert known["n_held_out"] == 8  # of each class one image, in two folds
    assert known["n_reference"] == 8
    assert known["false_alarms"] == 0.2
    assert known["n_groups"] == 4  # the same images in both
    assert known["false_alarms_attained"] == pytest.approx(1 / 5, abs=1e-6)
    card = (study.bundle / "MODEL_CARD.md").read_text()
    assert "gets no\nanswer but `unlike_training`" in card.replace("  ", " ")
    assert (study.bundle / REFERENCE_FILE).stat().st_size < 2_000_000


def test_without_tiles_or_a_share_there_is_no_score(study: Study, tmp_path: Path) -> None:
    plain = bundle_study(study, tmp_path / "plain", false_alarms=0.05)
    bundle = load_bundle(plain)
    assert bundle.familiarity is None
    row = bundle.predict_frames([NOISE]).iloc[0]
    assert row["status"] == "ok"
    assert "unlike_training" not in row


@pytest.mark.parametrize(
    "damage", ["missing", "no tensors", "another network", "rows", "not finite"]
)
def test_a_damaged_reference_is_refused_in_a_sentence(
    study: Study, tmp_path: Path, damage: str
) -> None:
    copy = Path(shutil.copytree(study.bundle, tmp_path / "bundle"))
    path = copy / REFERENCE_FILE
    (copy / "digest.json").unlink()
    arrays = load_file(path)
    if damage == "missing":
        path.unlink()
    elif damage == "no tensors":
        path.write_bytes(b"no tensors")
    elif damage == "another network":
        arrays |= {f"{LAST}/{k}": arrays[f"{LAST}/{k}"][:-1] for k in ("centre", "scale")}
        arrays[f"{LAST}/directions"] = arrays[f"{LAST}/directions"][:, :-1].copy()
    elif damage == "rows":
        arrays["rows"] = arrays["rows"] + 1000
    else:
        arrays[f"{LAST}/points"][0, 0] = np.inf
    if damage in ("another network", "rows", "not finite"):
        save_file(arrays, path)
    with pytest.raises(InputError, match=REFERENCE_FILE) as error:
        load_bundle(copy)
    assert "\n" not in str(error.value)
    assert "again" in str(error.value)


def make_frame(**values: float | str) -> Frame:
    return Frame("a.tif", NOISE, AcquisitionMetadata(**values), "", "")


def test_other_settings_of_the_microscope_are_named() -> None:
    ranges = {"magnification": (500.0, 500.0), "voltage_kv": (20.0, 20.0), "width_px": (9.0, 9.0)}
    told = find_other_settings(make_frame(magnification=5000, voltage_kv=5), ranges)
    assert told == [
        "voltage 5 kV, trained on 20 kV", "magnification 5000 x, trained on 500 x"
    ]  # fmt: skip
    assert not find_other_settings(make_frame(magnification=500, voltage_kv=20), ranges)
    # The same pixel size is the same scale, whatever screen the magnification was counted on.
    known = ranges | {"pixel_size_um": (0.2, 0.2)}
    assert not find_other_settings(make_frame(magnification=900, pixel_size_um=0.2), known)


def test_settings_of_the_detector_count_in_the_units_of_their_maker() -> None:
    ranges = {"brightness": (68.0, 105.0), "contrast": (-169.0, 62.0), "voltage_kv": (20.0, 20.0)}
    inside = {"brightness": 131, "contrast": -211}  # a quarter of 105 and of 169 outside
    assert not describe_differences(make_frame(**inside), ranges)
    far = make_frame(brightness=132, contrast=-212, instrument="SNE")
    told = [
        "detector brightness 132, trained on 68 to 105",
        "detector contrast -212, trained on -169 to 62",
    ]
    assert find_other_settings(far, ranges) == describe_differences(far, ranges) == told
    # Models that standardise every tile do not see it: a note, and no reason.
    assert not find_other_settings(far, ranges, sees_brightness=False)
    assert leave_comparable(far, ranges, ["Other", "SNE"]) == ranges
    for unknown in (leave_comparable(far, ranges, ["Other"]), {"voltage_kv": (20.0, 20.0)}):
        assert not describe_differences(far, unknown)  # another maker's units; an older bundle


def test_a_detector_set_otherwise_is_told_and_refused_where_brightness_is_seen(
    study: Study, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    like = sorted(images.glob("like*"))[0]
    shutil.copy(like, tmp_path / "a.png")
    settings = "[Image Info]\nModel : SEM-1\n[   - Image Process]\nBrightness : {}\nContrast : 5\n"
    manifest = study.manifest.assign(brightness=70.0, contrast=np.nan)
    data = describe_data(make_settings(), manifest, set(manifest["sample_id"]))
    assert data.ranges["brightness"] == (70, 70)
    assert "contrast" not in data.ranges
    bundle = load_bundle(study.bundle)
    bundle.record = bundle.record.model_copy(update={"data": data})
    told: dict[int, list] = {80: [], 90: []}
    for seeing in (("raw",), ("per_image",)):  # as if the networks, which standardise, saw it
        monkeypatch.setattr("batteryscope.bundle.picture_bundle.SEEING_BRIGHTNESS", seeing)
        for brightness, rows in told.items():
            (tmp_path / "a.png.txt").write_text(settings.format(brightness))
            rows += bundle.predict_files(["a.png"], tmp_path)
    assert [row["note"] for row in told[80]] == ["", ""]
    assert [row["note"] for row in told[90]] == ["detector brightness 90, trained on 70"] * 2
    assert [row["status"] for row in told[90]] == ["ok", UNLIKE]
    assert told[90][1]["unlike_reasons"].startswith("detector brightness 90, trained on 70")


@pytest.mark.parametrize(
    ("pixel_size_um", "shape"), [(0.1, (48, 64)), (0.4, (192, 256)), (0.201, (96, 128))]
)
def test_a_picture_of_another_pixel_size_is_rescaled(pixel_size_um: float, shape: tuple) -> None:
    frame = rescale_frame(
        make_frame(pixel_size_um=pixel_size_um), {"pixel_size_um": (0.2, 0.2)}, 10**6
    )
    assert frame.pixels.shape == shape
    assert ("rescaled" in frame.note) == (shape != NOISE.shape)


def test_a_picture_that_would_become_too_large_keeps_its_size() -> None:
    ranges = {"pixel_size_um": (0.2, 0.2)}
    frame = rescale_frame(make_frame(pixel_size_um=200.0), ranges, 10**6)
    assert frame.pixels.shape == NOISE.shape
    assert find_other_settings(frame, ranges) == ["pixel size 200 µm, trained on 0.2 µm"]


def test_a_stated_bar_keeps_its_rows_when_a_picture_is_rescaled() -> None:
    pixels = np.full((100, 60), 80, np.uint8)
    pixels[-20:] = 255
    frame = Frame("a.tif", pixels, AcquisitionMetadata(pixel_size_um=0.4), "", "")
    rescaled = rescale_frame(frame, {"pixel_size_um": (0.2, 0.2)}, 10**6, cut_rows=20)
    assert rescaled.pixels.shape == (2 * 80 + 20, 120)
    assert (rescaled.pixels[:-20] == 80).all()
    assert (rescaled.pixels[-20:] == 255).all()


def test_size_and_magnification_of_a_rescaled_picture_are_not_told() -> None:
    ranges = {
        "width_px": (128.0, 128.0),
        "height_px": (96.0, 96.0),
        "magnification": (500.0, 500.0),
    }
    ranges |= {"pixel_size_um": (0.2, 0.2)}
    frame = make_frame(pixel_size_um=0.1, magnification=1000)
    assert len(describe_differences(frame, ranges)) == 2
    rescaled = rescale_frame(frame, ranges, 10**6)
    assert not describe_differences(rescaled, ranges)
    row = {"file": "a", "status": "ok", "seen_in_training": False, "note": rescaled.note}
    counted = Summary()
    counted.add(row)
    assert counted.n_noted == 0
    counted.add(row | {"note": f"{rescaled.note}; voltage 5 kV, trained on 20 kV"})
    assert counted.n_noted == 1


def test_ranges_are_those_of_pictures_that_trained_or_tuned(study: Study, tmp_path: Path) -> None:
    tested = study.split.loc[study.split["role"] == "test", "sample_id"]
    manifest = study.manifest.copy()
    manifest.loc[manifest["sample_id"].isin(tested), "magnification"] = 9000.0
    other = Study(study.root, manifest, study.frames, study.split)
    bundle_study(other, tmp_path / "bundle")
    ranges = json.loads((tmp_path / "bundle" / "bundle.json").read_text())["data"]["ranges"]
    assert ranges["magnification"] == [500, 500]


def test_the_example_is_one_that_gets_an_answer(study: Study, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(study.bundle, tmp_path / "bundle"))
    bundle = load_bundle(folder)
    judge, asked = bundle.familiarity.judge, []

    def judge_first_as_unlike(*given: object) -> Unlike:
        asked.append(given)
        return Unlike(2.0, "a.png", ("unlike",)) if len(asked) == 1 else judge(*given)

    bundle.familiarity.judge = judge_first_as_unlike
    write_example(folder, bundle, study.manifest, study.split, study.images)
    assert len(asked) == 2
    told = json.loads((folder / "example_output.json").read_text())
    assert told["status"] == "ok"
    assert told["note"] == ""
    given = folder / "asked"
    given.mkdir()
    shutil.copy(folder / "example_input.png", given)
    row = next(load_bundle(study.bundle).predict_files(["example_input.png"], given))
    assert row["class"] == told["class"]


def test_slices_like_the_training_alone_answer_and_half_are_not_most() -> None:
    like, unlike = Unlike(0.5, "a", ()), Unlike(3.0, "b", ("sharpness: 3 times",))
    judged = [(np.full((2, 1, 3), value), told) for value, told in ((1.0, like), (9.0, unlike))]
    assert join_slices(judged).tolist() == np.full((2, 1, 3), 1.0).tolist()
    assert join_slices(judged[1:]).mean() == 9
    assert join_slices([(judged[1][0], None)]).mean() == 9
    assert not sum_up([unlike, like, unlike, like]).reasons
    assert sum_up([unlike, like, unlike]).reasons == ("2 of its 3 slices: sharpness: 3 times",)
