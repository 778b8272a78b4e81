"""Snippets of docs/extending.md do what the page says; the drawing of the rooms is today's."""

import os
import re
import struct
import subprocess
import sys
import types
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from batteryscope.answers.classes import CLASSES
from batteryscope.answers.study_modules import join_modules
from batteryscope.config.project import load_project
from batteryscope.core import baseline_catalogue
from batteryscope.core.named_function import load_function
from batteryscope.evaluation import baselines, sample_features
from batteryscope.preprocess.tile_batch import UnusablePictureError
from batteryscope.readers import registry
from batteryscope.readers.picture import PictureError
from batteryscope.report import shared_figures
from batteryscope.report.html import make_environment
from batteryscope.samples.ct import CT
from batteryscope.samples.sem import SEM
from batteryscope.tables import baselines as row_baselines
from batteryscope.tables.findings import name_in_sentence
from tests.conftest import ROOT, count_rules
from tests.table_networks import make_manifest, make_settings, split_in_order
from tests.test_study_modules import FUNCTIONS

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")


def run_section(title: str) -> dict:
    """Run the Python snippets of a section one after the other, in one namespace."""
    section = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    names: dict = {}
    for code in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
        exec(code, names)  # the project's own page
    return names


def test_a_reader(tmp_path, monkeypatch):
    grey = run_section("A reader")["GREY"]
    monkeypatch.setattr(registry, "FORMATS", (*registry.FORMATS, grey))
    monkeypatch.setitem(registry.FORMAT_OF_SUFFIX, ".grey", grey)
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    path = tmp_path / "a.grey"
    path.write_bytes(struct.pack("<4sII", b"GREY", 4, 3) + pixels.tobytes())
    np.testing.assert_array_equal(registry.read_picture(path, max_pixels=100).pixels, pixels)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(PictureError, match="holds 11 of 12 pixels; copy it again"):
        registry.read_picture(path, max_pixels=100)


def test_a_preprocessing():
    names = run_section("A preprocessing")
    settings = names["SemMiddleSettings"](crop_px=4, input_px=4)
    pixels = np.arange(60, dtype=np.uint8).reshape(6, 10)
    batch = names["cut_middle"](pixels, {}, settings)
    np.testing.assert_array_equal(batch.tiles, pixels[None, 1:5, 3:7])
    assert settings.tile_shape == batch.tiles.shape[1:]
    assert batch.table.loc[0, ["x_px", "y_px", "crop_px"]].tolist() == [3, 1, 4]
    with pytest.raises(UnusablePictureError, match=r"has 10×6 px, less than preprocess\.crop_px 8"):
        names["cut_middle"](pixels, {}, settings.model_copy(update={"crop_px": 8}))


def test_a_kind_of_samples():
    separators = run_section("A kind of samples")["SEPARATOR"]
    modules = join_modules(separators, CLASSES)
    for module, function in ((modules.ingest, "ingest"), (modules.split, "divide")):
        assert callable(load_function(module, function))
    assert separators.explain_misfit(SEM, "sem_tiles", "a") == ""
    assert "needs scans" in separators.explain_misfit(CT, "ct_slices", "a")


def test_an_answer(monkeypatch):
    names = run_section("An answer")
    module = types.ModuleType("batteryscope.evaluation.detection_predictions")
    vars(module).update(names)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    modules = join_modules(SEM, names["DETECTIONS"])
    for verb, function in FUNCTIONS.items():  # all that it names is there
        assert load_function(asdict(modules)[verb], function) is not None, verb
    with pytest.raises(ValueError, match="for classes of equal worth; detections have 'val_loss'"):
        names["DETECTIONS"].check_monitor("val_accuracy")
    answers = pd.DataFrame(
        {
            "y_true": ["defect", "defect", "sound", "sound"] * 2,
            "y_pred": ["defect", "sound", "sound", "defect"] + ["defect"] * 2 + ["sound"] * 2,
            "p_defect": [0.9, 0.4, 0.2, 0.7, 0.8, 0.7, 0.1, 0.2],
        }
    ).assign(arm="fit", repeat=0, fold=[0, 1] * 4, tile=0, sample_id=list("abcdefgh"))
    answers = answers.assign(
        p_sound=1 - answers["p_defect"], role=["test"] * 4 + ["validation"] * 4
    )
    told = load_function(modules.evaluate, "describe_predictions")(answers)
    assert told["detection.json"] == {"n_defects": 2, "missed": 1, "false_alarms": 1}
    assert told["calibration.json"]["n_images"] == 4


def test_a_baseline(monkeypatch):
    names = run_section("A baseline")
    monkeypatch.setitem(baseline_catalogue.OF_CLASSES, "brightness", names["ENTRY"])
    features = {**sample_features.FEATURES, "brightness": names["see_brightness"]}
    monkeypatch.setattr(sample_features, "FEATURES", features)
    monkeypatch.setattr(baselines, "TREES", 20)
    samples = [f"s{i:02d}" for i in range(24)]
    manifest = pd.DataFrame({"sample_id": samples, "class": ["dark", "bright"] * 12})
    frames = pd.DataFrame({"sample_id": samples, "mean": [20.0, 200.0] * 12})
    split = pd.DataFrame({"sample_id": samples, "repeat": 0, "fold": 0})
    split["role"] = ["train"] * 16 + ["test"] * 8
    sources = sample_features.FeatureSources(manifest, frames)
    found = baselines.predict_baselines(sources, split, ["brightness"], seed=1)
    assert set(found["arm"]) == {"baseline_brightness"}
    assert (found["y_true"] == found["y_pred"]).all()
    assert len(found) == 8


def test_a_baseline_of_rows(monkeypatch):
    names = run_section("A baseline")
    monkeypatch.setitem(row_baselines.MAKERS, "median", names["make_median"])
    monkeypatch.setitem(baseline_catalogue.OF_ROWS, "median", names["MEDIAN"])
    manifest, settings = make_manifest(), make_settings()
    asked = settings.evaluate.model_copy(update={"baselines": ["median"]})
    split = split_in_order(manifest, settings.split, [])
    study = settings.model_copy(update={"evaluate": asked})
    found = row_baselines.predict_baselines(manifest, split, study, seed=1)
    of_fit = (found["domain"] == "nmc") & (found["repeat"] == 0) & (found["target"] == "density")
    learnt = split["role"].eq("train") & split["repeat"].eq(0)
    train = manifest[manifest["sample_id"].isin(split.loc[learnt, "sample_id"])]
    median = train.loc[train["domain"] == "nmc", "density"].median()
    assert found.loc[of_fit, "y_pred"].tolist() == pytest.approx([median] * of_fit.sum())
    assert name_in_sentence("baseline_median") == "the median of the training rows"


def test_a_figure_of_classes():
    show_recall = run_section("A figure")["show_recall"]
    recalls = {"level": ["tile", "image", "image"], "class": ["a", "a", "b"], "recall": [0, 0.5, 1]}
    per_class = pd.DataFrame(recalls).assign(arm="net")
    evidence = types.SimpleNamespace(per_class=per_class, main_arm="net", generated=True)
    drawn = show_recall(evidence)
    assert drawn.svg.count(b"patch_") >= 2
    [place] = re.findall(r"```jinja\n(.*?)```", PAGE, re.DOTALL)
    macros = '{% from "macros.html.j2" import picture with context %}'
    template = make_environment().from_string(macros + place)
    assert "Recall of each class." in template.render(pictures={drawn.name: drawn})
    evidence.per_class = None
    assert show_recall(evidence) is None
    assert template.render(pictures={}).strip() == ""


def test_a_figure(monkeypatch):
    draw_counts = run_section("A figure")["draw_counts"]
    monkeypatch.setattr(shared_figures, "FIGURES", [*shared_figures.FIGURES, draw_counts])
    comparison = pd.DataFrame({"arm": ["net", "net", "baseline_mean"], "n": [7, 9, 9]})
    evidence = shared_figures.SharedEvidence(comparison, None, generated=True)
    [picture] = shared_figures.draw_shared_figures(evidence)
    page = make_environment().get_template("page.html.j2")
    settings = {"title": "any study"}
    shown = page.render(pictures={picture.name: picture}, settings=settings)
    assert shown.count("Samples by which each arm is judged.") == 2  # for eyes and ears
    assert "More figures" in shown
    assert "More figures" not in page.render(settings=settings)


def test_a_study():
    [text] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    project = load_project(ROOT / "params.yaml", yaml.safe_load(text))
    study = project.studies["my_electrodes"]
    assert study.model.freeze == 4
    assert study.split.folds == 5


@pytest.mark.workflow
def test_a_study_is_planned_from_a_folder_of_pictures(tmp_path):
    """The dry run of the study of the page, in a folder that holds nothing but its pictures."""
    [text] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "my_electrodes.yaml").write_text(text, encoding="utf-8")
    for name in ("pristine", "aged"):
        folder = tmp_path / "data" / "raw" / "my_electrodes" / name
        folder.mkdir(parents=True)
        for grey in range(5):  # as many as there are folds
            Image.new("L", (320, 300), grey).save(folder / f"{grey}.png")
    words = ["-n", "--quiet", "rules", "--configfile", "my_electrodes.yaml"]
    command = ["snakemake", "--snakefile", str(ROOT / "Snakefile"), *words, "--", "my_electrodes"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    planned = count_rules(done.stdout)
    assert {"ingest_dataset", "train_stage", "report_study", "publish_study"} <= set(planned)


def test_the_drawing_of_the_rooms_is_that_of_the_code(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    import draw_rooms

    page = draw_rooms.PAGE.read_text(encoding="utf-8")
    drawing = draw_rooms.draw(draw_rooms.read_imports())
    sys.modules.pop("draw_rooms")
    assert draw_rooms.replace_drawing(page, drawing) == page, "run: python docs/draw_rooms.py"
