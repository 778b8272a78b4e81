"""Snippets of pages for users do what the pages say, on small results that are stored."""

import re
import shutil
from pathlib import Path

import pytest
import tifffile
import yaml
from PIL import Image

from batteryscope.config.project import Project, load_project
from batteryscope.config.sweep import expand_sweep
from tests.conftest import ROOT
from tests.test_old_bundles import BUNDLES


def list_snippets(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def load_with(study: str, settings: str) -> Project:
    return load_project(ROOT / "params.yaml", {"studies": {study: yaml.safe_load(settings)}})


@pytest.mark.usefixtures("one_thread")
def test_the_page_on_python_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = BUNDLES / "classes_of_images"
    shutil.copytree(stored / "bundle", tmp_path / "models/cathode_state")
    shutil.copytree(stored / "input", tmp_path / "new_frames")
    Image.open(stored / "input" / "first.png").save(tmp_path / "frame.tif")
    (tmp_path / "cell_03").mkdir()
    for i, page in enumerate(tifffile.imread(BUNDLES / "classes_of_scans" / "input" / "cell.tif")):
        tifffile.imwrite(tmp_path / "cell_03" / f"{i:03d}.tif", page)
    tables = tmp_path / "reports/cathode_state/tables"
    tables.mkdir(parents=True)
    (tables / "history.csv").write_text("epoch,val_accuracy\n0,0.25\n")
    (tables.parent / "comparison.csv").write_text("arm,metric,mean\nmain,accuracy,0.5\n")
    (tables.parent / "metrics.json").write_text('{"main.image.accuracy": 0.5}')
    coatings = BUNDLES / "quantities"
    shutil.copytree(coatings / "bundle", tmp_path / "models/my_coatings")
    (tmp_path / "new_coatings").mkdir()
    for name in ("a.png", "b.png"):
        shutil.copy(coatings / "input" / name, tmp_path / "new_coatings")
    monkeypatch.chdir(tmp_path)
    snippets = list_snippets("python.md", "python")
    assert len(snippets) == 3
    names: dict = {}
    for code in snippets:
        exec(code, names)  # the project's own page
    assert len(names["answers"]) == len(list((stored / "input").iterdir()))
    assert (names["sure"]["confidence"] > 0.9).all()
    assert set(names["coatings"].covariates["column"]) == set(names["beside"]) - {"file"}
    assert not names["numbers"]["reason"].str.startswith("no_covariate").any()
    assert names["middle"].shape == names["scan"].shape[1:]
    assert names["picture"].pixels.ndim == 2
    assert set(names["tables"]) == {"comparison", "metrics", "history"}


def test_the_settings_on_the_page_on_sweeps_are_true() -> None:
    whole, coupled, search, search_of_rows = list_snippets("sweeps.md", "yaml")
    asked = {"sweeps": ["crop_size", "treatment"]}
    project = load_project(ROOT / "params.yaml", yaml.safe_load(whole) | asked)
    sweeps = project.studies["cathode_state"].sweeps
    assert sweeps["crop_size"].grid == {"preprocess.crop_px": [100, 200, 300, 400]}
    assert len(list(expand_sweep("treatment", sweeps["treatment"], "raw"))) == 3 * 2
    sections = {"rate_capability": yaml.safe_load(f"sweeps:\n{coupled}")}
    project = load_project(ROOT / "params.yaml", {"studies": sections, "sweeps": ["image_size"]})
    [(_, heights_and_widths)] = project.studies["rate_capability"].sweeps["image_size"].grid.items()
    assert heights_and_widths == [[112, 224], [224, 448]]
    found = load_with("cathode_state", search).studies["cathode_state"].search
    assert found is not None
    assert (found.trials, found.max_epochs) == (40, 20)
    name = "electrode_manufacturing"
    found_rows = load_with(name, search_of_rows).studies[name].search
    assert found_rows is not None
    assert found_rows.trials == 60


def test_the_settings_on_the_page_on_gpus_are_true() -> None:
    [snippet] = list_snippets("gpu.md", "yaml")
    train = load_with("cathode_state", snippet).studies["cathode_state"].train
    assert (train.accelerator, train.precision, train.batch_size) == ("auto", "bf16-mixed", 64)
