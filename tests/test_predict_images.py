"""predict_images.py and evaluate_external.py as a user calls them."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch

from batteryscope.bundle import picture_bundle as picture_bundle_module
from batteryscope.bundle.output import write_rows
from batteryscope.bundle.picture_bundle import SEEN_NOTE
from batteryscope.bundle.predict import Bundle
from batteryscope.bundle.predict_program import main as predict_images
from batteryscope.bundle.read import load_bundle
from batteryscope.core.forward_threads import ForwardThreads
from batteryscope.evaluation.metrics import find_wilson_interval
from batteryscope.manifest.inspect import digest_file
from tests.bundled_study import (
    CLASSES,
    Study,
    bundle_study,
    draw_picture,
    make_study,
    save_picture,
    write_tiles,
)
from workflow_scripts.evaluate_external import main as evaluate_external

ANSWERS = ["class", "composition", "state", "confidence", *[f"p_{c}" for c in CLASSES]]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    study = make_study(tmp_path_factory.mktemp("study"))
    bundle_study(study)
    return study


def run(bundle: Path, images: Path, out: Path, *more: str) -> int:
    argv = ["--bundle", str(bundle), "--images", str(images), "--out", str(out), "--device", "cpu"]
    return predict_images([*argv, *more])


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"file": str}, keep_default_na=False)


def test_same_picture_gives_the_same_answer_whatever_it_is_called(
    study: Study, tmp_path: Path
) -> None:
    images, pixels = tmp_path / "images", draw_picture("new", 1)
    save_picture(pixels, images / "NCM 811  pristine x500.png")
    save_picture(pixels, images / "a" / "b c" / "전극 사진 2.png")
    save_picture(pixels, images / "Größe" / "Überblick.PNG")
    save_picture(pixels, images / "bmp" / "10.bmp")
    (images / "tiff").mkdir()
    tifffile.imwrite(images / "tiff" / "9.tif", pixels.astype(np.uint16) * 257)
    tifffile.imwrite(images / "tiff" / "10.tif", pixels.astype(np.uint16) * 256)
    save_picture(np.stack([pixels] * 3, axis=2), images / "tiff" / "colour.png")
    # A JPEG loses something; its exact decoded pixels saved as PNG must give its answer.
    save_picture(pixels, images / "jpeg" / "x.jpg")
    from PIL import Image

    decoded = np.asarray(Image.open(images / "jpeg" / "x.jpg"))
    save_picture(decoded, images / "jpeg" / "x as png.png")

    assert run(study.bundle, images, tmp_path / "out.csv") == 0
    table = read(tmp_path / "out.csv")
    assert table["file"].tolist() == [
        "a/b c/전극 사진 2.png",
        "bmp/10.bmp",
        "Größe/Überblick.PNG",
        "jpeg/x as png.png",
        "jpeg/x.jpg",
        "NCM 811  pristine x500.png",
        "tiff/9.tif",
        "tiff/10.tif",
        "tiff/colour.png",
    ]
    assert (table["status"] == "ok").all()
    is_jpeg = table["file"].str.startswith("jpeg")
    for group in (table[is_jpeg], table[~is_jpeg]):
        assert len(group[ANSWERS].drop_duplicates()) == 1
    assert not table["seen_in_training"].any()
    one = images / "tiff" / "colour.png"
    assert run(study.bundle, one, tmp_path / "one.csv") == 0
    [alone] = read(tmp_path / "one.csv").to_dict("records")
    assert alone == {**table.iloc[-1], "file": "colour.png"}


def test_one_file_that_is_no_picture_is_a_row_with_the_reason(
    study: Study, tmp_path: Path, capsys
) -> None:
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic")
    assert run(study.bundle, tmp_path / "phone.heic", tmp_path / "out.csv") == 1
    assert "save the picture as PNG or TIFF" in read(tmp_path / "out.csv")["reason"][0]
    assert "Traceback" not in capsys.readouterr().err


def test_bad_files_cost_one_row_each(study: Study, tmp_path: Path, capsys) -> None:
    images = tmp_path / "images"
    good = save_picture(draw_picture("new", 1), images / "good.png")
    (images / "cut off.png").write_bytes(good.read_bytes()[:200])
    (images / "empty.jpg").write_bytes(b"")
    (images / "text.tif").write_text("no picture")
    save_picture(np.full((96, 128), 7, np.uint8), images / "flat.png")
    save_picture(draw_picture("new", 2, height=24, width=24), images / "tiny.png")
    rng = np.random.default_rng(1)
    save_picture(rng.integers(20, 24, (96, 128)).astype(np.uint8), images / "background.png")
    (images / "notes.xyz").write_text("other")

    assert run(study.bundle, images, tmp_path / "out.csv", "--log", str(tmp_path / "log")) == 0
    table = read(tmp_path / "out.csv").set_index("file")
    reasons = table["reason"].str.split(":").str[0].to_dict()
    assert reasons == {
        "background.png": "empty",
        "cut off.png": "truncated",
        "empty.jpg": "empty",
        "flat.png": "empty",
        "good.png": "",
        "notes.xyz": "unsupported",
        "text.tif": "unreadable",
        "tiny.png": "wrong_size",
    }
    assert (table["status"] == "rejected").sum() == 7
    assert table.loc["flat.png", "class"] == ""
    said = capsys.readouterr().err
    assert "1 of 8 images predicted" in said
    assert "rejected: 7" in said
    assert "notes.xyz" in said
    assert "Traceback" not in said


def test_nothing_usable_is_an_error_after_the_table(study: Study, tmp_path: Path, capsys) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "empty.png").write_bytes(b"")
    assert run(study.bundle, tmp_path / "images", tmp_path / "out.csv") == 1
    assert len(read(tmp_path / "out.csv")) == 1
    assert "none of the 1 images could be judged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arrange", "sentence"),
    [
        (lambda p: p.mkdir(), "holds no image"),
        (lambda p: None, "does not exist"),
    ],
)
def test_no_pictures_is_one_sentence(
    study: Study, tmp_path: Path, capsys, arrange, sentence
) -> None:
    arrange(tmp_path / "images")
    assert run(study.bundle, tmp_path / "images", tmp_path / "out.csv") == 1
    said = capsys.readouterr().err.strip()
    assert sentence in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out.csv").exists()


def test_wrong_arguments_are_one_sentence(study: Study, tmp_path: Path, capsys) -> None:
    assert run(tmp_path / "nowhere", study.images, tmp_path / "out.csv") == 1
    assert "bundle folder does not exist" in capsys.readouterr().err
    assert run(study.bundle, study.images, tmp_path / "out.csv", "--batch-size", "0") == 1
    assert "--batch-size" in capsys.readouterr().err
    if not torch.cuda.is_available():
        assert run(study.bundle, study.images, tmp_path / "out.csv", "--device", "gpu") == 1
        assert "--device" in capsys.readouterr().err


def test_table_has_a_name_of_its_own_that_overwrites_nothing(
    study: Study, tmp_path: Path, capsys, monkeypatch
) -> None:
    save_picture(draw_picture("new", 1), tmp_path / "images" / "a.png")
    monkeypatch.chdir(tmp_path)
    argv = ["--bundle", str(study.bundle), "--images", "images", "--device", "cpu"]
    assert predict_images(argv) == 0
    written = Path("predictions.csv").read_bytes()
    assert len(read(Path("predictions.csv"))) == 1
    assert predict_images(argv) == 1
    assert "predictions.csv is there already" in capsys.readouterr().err
    assert Path("predictions.csv").read_bytes() == written


def test_nothing_is_written_over_what_is_no_table(study: Study, tmp_path: Path, capsys) -> None:
    picture = save_picture(draw_picture("new", 1), tmp_path / "a.png")
    content = picture.read_bytes()
    record = study.bundle / "bundle.json"
    for out, words in (
        (tmp_path, "is a folder"),
        (Path("/dev/null"), "is no ordinary file"),
        (Path("/dev/stdout"), "is no ordinary file"),
        (record, "lies in the folder of the model"),
        (picture, "is what shall be judged"),
    ):
        assert run(study.bundle, picture, out) == 1
        said = capsys.readouterr().err.strip()
        assert words in said
        assert len(said.splitlines()) == 1
    assert picture.read_bytes() == content
    assert json.loads(record.read_text())["study"]
    assert not Path("/dev/null").is_file()


def test_training_pictures_are_recognised_under_any_name_and_format(
    study: Study, tmp_path: Path, capsys
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    shutil.copy(study.images / "333/pristine/frame 0.png", images / "holiday.png")
    pixels = draw_picture("333", "pristine", 0)
    tifffile.imwrite(images / "resaved.tif", pixels.astype(np.uint16) * 257)
    shutil.copy(study.images / "333/pristine/frame 3.png", images / "tested.png")
    assert run(study.bundle, images, tmp_path / "out.csv") == 0
    table = read(tmp_path / "out.csv").set_index("file")
    assert table["seen_in_training"].to_dict() == {
        "holiday.png": True,
        "resaved.tif": True,
        "tested.png": False,
    }
    assert table["note"].to_dict() == {
        "holiday.png": SEEN_NOTE,
        "resaved.tif": SEEN_NOTE,
        "tested.png": "",
    }
    assert "2 images were used to train" in capsys.readouterr().err


def test_frames_unlike_the_training_frames_get_a_note(study: Study, tmp_path: Path) -> None:
    images = tmp_path / "images"
    save_picture(draw_picture("new", 1, height=192, width=140), images / "high.png")
    save_picture(draw_picture("new", 2), images / "near.png")
    (images / "near.png.txt").write_text("[Image Info]\nMagnification : x5000\n")
    assert run(study.bundle, images, tmp_path / "out.csv") == 0
    notes = read(tmp_path / "out.csv").set_index("file")["note"].to_dict()
    assert notes == {
        "high.png": "height 192 px, trained on 96 px",
        "near.png": "magnification 5000 x, trained on 500 x",
    }


def test_killed_run_leaves_what_it_had(tmp_path: Path) -> None:
    columns = ["file", "class", "seen_in_training", "note", "status", "reason"]

    def rows():
        for i in range(3):
            yield dict.fromkeys(columns, "") | {"file": f"{i}.png", "status": "ok", "class": "ü"}
        raise KeyboardInterrupt

    out = tmp_path / "new folder" / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        write_rows(out, columns, rows())
    assert not out.exists()
    with (tmp_path / "new folder" / "out.csv.partial").open(encoding="utf-8") as stream:
        assert [row["file"] for row in csv.DictReader(stream)] == ["0.png", "1.png", "2.png"]


def test_pictures_are_read_a_few_ahead_and_no_further(study: Study, monkeypatch) -> None:
    bundle: Bundle = load_bundle(study.bundle)
    original, read_files = picture_bundle_module.read_frame, []

    def count(path, file, *others):
        read_files.append(file)
        return original(path, file, *others)

    monkeypatch.setattr(picture_bundle_module, "read_frame", count)
    files = sorted(study.manifest["path"])
    rows = bundle.predict_files(files, study.images)
    for done, file in enumerate(files[:4], start=1):
        assert next(rows)["file"] == file
        assert done <= len(read_files) <= done + ForwardThreads().workers + 2
    rows.close()
    assert list(bundle.predict_files([], study.images)) == []


def external_set(tmp_path: Path, names: list[tuple[str, str, int]]) -> tuple[Path, Path]:
    """Pictures with a manifest; the state 'formation' is unknown to the model."""
    rows = []
    for composition, state, number in names:
        path = f"{composition}_{state}_{number}.png"
        file = save_picture(draw_picture(composition, state, number), tmp_path / "ext" / path)
        rows.append(
            {"path": path, "sha256": digest_file(file), "composition": composition, "state": state}
        )
    manifest = pd.DataFrame(rows)
    manifest["sample_id"] = manifest["sha256"].str[:16]
    manifest["class"] = manifest["composition"] + "_" + manifest["state"]
    manifest = manifest.sort_values("sample_id", ignore_index=True)
    manifest.to_parquet(tmp_path / "manifest.parquet")
    return tmp_path / "ext", tmp_path / "manifest.parquet"


def run_external(study: Study, tmp_path: Path, dataset: Path, manifest: Path, *more: str) -> int:
    return evaluate_external(
        ["--bundle", str(study.bundle), "--manifest", str(manifest), "--dataset", str(dataset),
         "--predictions", str(tmp_path / "predictions.csv"), "--metrics",
         str(tmp_path / "metrics.csv"), "--flat", str(tmp_path / "metrics.json"),
         "--log", str(tmp_path / "log.txt"), *more]
    )  # fmt: skip


def test_external_set_is_scored_by_composition_and_overall(study: Study, tmp_path: Path) -> None:
    names = [(c, s, n) for c in ("333", "811") for s in ("pristine", "formation") for n in (10, 11)]
    dataset, manifest = external_set(tmp_path, names)
    (dataset / "333_pristine_10.png").write_bytes(b"")
    assert run_external(study, tmp_path, dataset, manifest) == 0
    table = read(tmp_path / "predictions.csv")
    assert len(table) == 8
    assert (table["status"] == "rejected").sum() == 1
    scores = pd.read_csv(tmp_path / "metrics.csv", keep_default_na=False)
    overall = scores[scores["group"] == ""].set_index("target")
    judged = table[table["status"] == "ok"]
    true = judged["y_true"].str.split("_")
    right = (judged["composition"].astype(str) == true.str[0]).mean()
    assert overall.loc["composition", "accuracy"] == pytest.approx(right, abs=1e-6)
    assert overall.loc["composition", "n"] == 7
    assert overall.loc["state", "n_known"] == 3
    both = (judged["y_pred"] == judged["y_true"]).mean()
    assert overall.loc["", "accuracy"] == pytest.approx(both, abs=1e-6)
    flat = json.loads((tmp_path / "metrics.json").read_text())
    assert len([name for name in flat if name.endswith(".accuracy")]) == 3
    # 90 % of the sets were to hold the true class; those of random weights hold it more seldom.
    stored = float(overall.loc["", "set_coverage"])
    assert flat["main.external.image.set_coverage"] == stored
    assert flat["main.external.image.composition.n"] == 7
    ends = [flat[f"main.external.image.composition.accuracy_{end}"] for end in ("low", "high")]
    assert ends == pytest.approx(find_wilson_interval(right, 7), abs=1e-6)
    assert next(iter(flat.values())) == pytest.approx(both, abs=1e-6)


def test_external_set_with_training_images_is_refused(study: Study, tmp_path: Path, capsys) -> None:
    dataset, manifest = external_set(tmp_path, [("333", "pristine", 0), ("811", "pristine", 10)])
    assert run_external(study, tmp_path, dataset, manifest) == 1
    assert "333_pristine_0.png: this image" in capsys.readouterr().err
    assert not (tmp_path / "metrics.csv").exists()


def test_external_label_columns_must_be_the_models(study: Study, tmp_path: Path, capsys) -> None:
    dataset, manifest = external_set(tmp_path, [("811", "pristine", 10)])
    assert run_external(study, tmp_path, dataset, manifest, "--label-columns", "colour") == 1
    assert "'colour'" in capsys.readouterr().err
    assert run_external(study, tmp_path, dataset, manifest, "--label-columns", "composition") == 0


def test_help_is_quick_and_says_what_it_does(capsys) -> None:
    with pytest.raises(SystemExit):
        predict_images(["--help"])
    assert "one row per picture" in capsys.readouterr().out


def test_bundle_models_program(study: Study, tmp_path: Path, capsys) -> None:
    from batteryscope.planning.layout import open_study
    from tests.bundled_study import METRICS, SET_NUMBERS, make_settings
    from tests.small_params import small_study
    from workflow_scripts.bundle_models import main as bundle_models

    told = make_settings()
    labels = {"columns": told.label_columns}
    settings = small_study(
        title=told.title,
        dataset={"name": told.data_name, "labels": labels, "max_pixels": told.max_pixels},
        preprocess=told.preprocess.model_dump(mode="json"),
        arms={"main": {}},
        evaluate={"false_alarms": 0.05},
    )
    layout = open_study(tmp_path / "work", told.study, json.dumps(settings))
    finding = {"kind": "shortcut", "text": "Class and acquisition session are confounded."}
    calibration = layout.arm("main").calibration
    for path in (layout.data.manifest, layout.main_split.roles, calibration):
        path.parent.mkdir(parents=True)
    layout.comparison.mkdir()
    study.manifest.to_parquet(layout.data.manifest)
    study.frames.to_parquet(layout.data.frames)
    study.split.to_parquet(layout.main_split.roles)
    calibration.write_text(json.dumps({"temperature": 1.3, "n_tiles": 9}))
    (layout.comparison / "metrics.json").write_text(json.dumps(METRICS))
    (layout.comparison / "findings.json").write_text(json.dumps([finding]))
    sets = {"level": "image", "class": "", "coverage_wanted": 0.9, **SET_NUMBERS}
    sets |= {"low": 0.7, "high": 0.99, "n_calibration": 16, "calibrated_on": "test"}
    table = pd.DataFrame([sets, sets | {"class": "333_pristine"}]).assign(n_groups=16)
    table.to_csv(layout.comparison / "sets.csv", index=False)
    [part] = layout.list_fits("main")
    part.parent.mkdir(parents=True)
    part.symlink_to(study.root / "part0")
    layout.data.images.symlink_to(study.images)
    layout.main_tiles.parent.mkdir(parents=True)
    tiles = write_tiles(study)
    layout.main_tiles.symlink_to(tiles)
    argv = [
        "--study", told.study, "--settings", json.dumps(settings), "--work", layout.root,
        "--out", tmp_path / "bundle", "--log", tmp_path / "log.txt",
    ]  # fmt: skip
    assert bundle_models([str(a) for a in argv]) == 0
    assert "2 models bundled" in capsys.readouterr().err
    expected = bundle_study(study, tmp_path / "expected", tiles, false_alarms=0.05)
    assert (expected / "training_reference.safetensors").is_file()
    for file in expected.iterdir():
        assert file.read_bytes() == (tmp_path / "bundle" / file.name).read_bytes()
