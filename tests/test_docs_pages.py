"""The pages for users, followed to the letter: their files and commands, one after the other.

The package is installed, and the commands are typed in a project that it made. Public data stand
in for a user's where ``../shared/data`` holds them, generated ones where not. Slow, so that it is
no part of ``make test``; ``make test-docs`` runs it. Only the sizes are small: an overlay beside
the page's own file trains for one epoch. Placeholders (``NEW_FRAMES``) stand for the data that
the page puts in place.
"""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.conftest import ROOT
from tests.installed_package import InstalledPackage
from tests.notebooks import INSTALLED, execute
from tests.page_walk import Walk, read_blocks

pytestmark = pytest.mark.docs
FRAMES = ROOT.parent / "shared/data/sem_ncm"
SCAN = ROOT.parent / "shared/data/xct18650/cell_vol"
TABLE = ROOT.parent / "shared/data/tables/nmc811_heterogeneity/Experimental-Dataset.csv"
NETWORK = {"backbone": "test_resnet", "weights": "random", "freeze": "none"}
TRAIN = {"epochs": 1, "tiles_per_epoch": 32, "batch_size": 16, "parallel_jobs": 1}
EXPLAIN = {"tiles_per_class": 1, "misclassified_tiles": 0, "same_images": 0}
PICTURES = {
    "preprocess": {"input_px": 48, "tiles_per_image": 4, "grid_tiles": 2},
    "split": {"folds": 2}, "model": NETWORK, "train": TRAIN, "explain": EXPLAIN,
    "evaluate": {"shortcut_audit": False, "grey_levels_at_test": []},
}  # fmt: skip
SMALL = {
    "your_data.md": PICTURES,
    "first_run.md": PICTURES,
    "your_scans.md": {
        "dataset": {"volumes": {"first": 2, "last": 10, "step": 4}},
        "preprocess": {"input_px": 48, "unroll_angles": 48},
        "split": {"folds": 2}, "model": NETWORK, "train": TRAIN, "explain": EXPLAIN,
        "evaluate": {"shortcut_audit": False},
    },
    "your_cross_sections.md": {
        "preprocess": {"shrink": 8, "training_crops": 2, "judging_crops": 1},
        "explain": {"tiles_per_class": 1},
    },
    "your_additives.md": {"split": {"folds": 3}},
    "your_tables.md": {
        "train": {"epochs": 3, "restarts": 1}, "split": {"repeats": 2},
        "ablations": {"source_rows": [], "target_rows": [], "test_fractions": []},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> InstalledPackage:
    return InstalledPackage(tmp_path_factory.mktemp("installed"))


@pytest.fixture
def project(package: InstalledPackage, tmp_path: Path) -> Path:
    package.run(tmp_path, "new", "project")
    return tmp_path / "project"


@pytest.fixture(scope="module")
def first_run(package: InstalledPackage, tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """A newcomer who makes the project as the page says."""
    folder = tmp_path_factory.mktemp("newcomer")
    package.generate(folder / "frames", {"kind": "trivial", "classes": 2, "images_per_class": 12})
    walk = Walk(package, folder, "first_run.md", PICTURES)
    walk.placeholders |= {"~/frames": "../frames", "~/new_frames": "../frames/class_a"}
    walk.follow()
    return walk


def test_the_first_run(first_run: Walk) -> None:
    project, said = first_run.root, first_run.said
    assert project.name == "my_project"
    assert "Report: reports/my_cathodes/report.html" in said
    assert "  batteryscope run my_cathodes" in said
    assert "reports/my_cathodes/report.html" in said
    assert any(line.startswith("my_cathodes") and "  published 20" in line for line in said)
    assert "No run is at work." in said
    assert "batteryscope 0.1.0" in (project / "reports/my_cathodes/report.html").read_text("utf-8")
    assert len(pd.read_csv(project / "answers.csv")) == 12
    metrics = json.loads((project / "reports/my_cathodes/metrics.json").read_text())
    assert any(name.endswith(".image.accuracy") for name in metrics)
    for line in transcript(first_run.text, "my_project: a project of"):
        assert line in said, line


def transcript(page: str, beginning: str) -> list[str]:
    """Return the lines that a page shows as a command's answer."""
    shown = page[page.index(f"    {beginning}") :].partition("\n\n")[0]
    return [line.removeprefix("    ") for line in shown.splitlines()]


@pytest.mark.skipif(not INSTALLED.is_dir(), reason="make test-docs installs what executes them")
def test_the_notebook_on_pictures(first_run: Walk) -> None:
    frames = {"~/new_frames": str(first_run.root.parent / "frames/class_a")}
    executed = execute("own_sem_images.ipynb", first_run.root, **frames)
    assert executed.count('"image/png"') == 3
    assert "baseline_grey_levels" in executed


def test_the_page_on_pictures(package: InstalledPackage, project: Path) -> None:
    walk = Walk(package, project, "your_data.md", SMALL["your_data.md"])
    raw = project / "data/raw"
    for folder in ("", "_formation", "_100cycles"):
        for composition in (333, 523, 622, 811):
            (raw / "sem_ncm" / f"{composition}{folder}").mkdir(parents=True)
    if FRAMES.is_dir():
        for name in ("ncm622_pristine", "ncm622_100cycles"):
            copy_frames(sorted((FRAMES / name).glob("*.jpg")), raw, name)
    else:
        settings = {
            "kind": "sem_top_view", "images_per_class": 12, "width_px": 1280, "height_px": 960,
            "compositions": ["622"], "states": ["pristine", "100cycles"],
        }  # fmt: skip
        package.generate(raw / "my_cathodes", settings)
        copy_frames(sorted((raw / "my_cathodes").glob("*/*.*"))[::12], raw.parent, "new", every=1)
    walk.placeholders["NEW_FRAMES"] = "data/raw/new" if FRAMES.is_dir() else "data/new"
    walk.follow()
    assert len(list((raw / "sem_ncm_named").glob("*/"))) == 12
    answers = pd.read_csv(project / "predictions.csv")
    assert {"composition", "state", "prediction_set"} <= {*answers}
    assert len(answers)
    titles = "file,composition,state,specimen_id"
    assert f"`{titles}`" in walk.text
    (raw / "my_cathodes/labels.csv").write_text(f"{titles}\n{answers['file'][0]},622,new,a\n")
    titles = "composition,cell,cycle,capacity_mah_g"
    assert f"    {titles}\n" in walk.text
    cycling = raw / "my_cathodes/capacity_over_cycles.csv"
    cycling.write_text(f"{titles}\n622,1,1,180.2\n622,1,104,160.3\n")
    walk.try_parts()


def copy_frames(files: list[Path], raw: Path, name: str, every: int = 3) -> None:
    """Copy every third frame with its sidecar: neighbours show nearly the same place."""
    for number, file in enumerate(files[: every * 13 : every]):
        folder = raw / ("new" if number == 12 or every == 1 else f"my_cathodes/{name}")
        folder.mkdir(parents=True, exist_ok=True)
        for path in file.parent.glob(f"{file.name}*"):
            shutil.copy(path, folder)


def test_the_page_on_scans(package: InstalledPackage, project: Path) -> None:
    walk = Walk(package, project, "your_scans.md", SMALL["your_scans.md"])
    settings = {
        "kind": "ct_cell", "cells_per_state": 5, "slices": 12, "size_px": 192,
        "states": ["pristine", "cycle_aged"],
    }  # fmt: skip
    package.generate(project / "data/raw/my_cells", settings)
    walk.placeholders["SCAN_OR_FOLDER"] = "data/raw/my_cells"
    walk.follow()
    walk.try_parts()
    answers = pd.read_csv(project / "predictions.csv")
    assert {"level", "prediction_set"} <= {*answers}
    assert "cell" in set(answers["level"])
    if SCAN.is_dir():  # of another scanner than the generated ones, so that it has to be asked for
        (line,) = [line for line in walk.typed if "batteryscope predict" in line]
        walk.type(line.replace("data/raw/my_cells", f"{SCAN} --answer-anyway"))
        answers = pd.read_csv(project / "predictions.csv")
        assert (answers["level"] == "slice").sum() == 46


def test_the_page_on_cross_sections(package: InstalledPackage, project: Path) -> None:
    arms = {"mass": {"label": "per mass"}}  # none that learns by steps
    by_hand = {"split": {"folds": 2}, "arms": arms, "sweeps": {}, "search": None}
    small = SMALL["your_cross_sections.md"]
    walk = Walk(package, project, "your_cross_sections.md", small, by_hand)
    cell = ["--settings", "{}", "--out", "simulated.csv"]
    package.call_program(project, "simulate_capacities", *cell)
    settings = {
        "kind": "cross_section", "electrodes_per_porosity": 4, "images_per_electrode": 2,
    }  # fmt: skip
    simulated = project / "simulated.csv"
    package.generate(project / "data/raw/my_sections", settings, "--capacities", simulated)
    walk.placeholders["NEW_SECTIONS"] = "data/raw/my_sections"
    walk.follow()
    answers = pd.read_csv(project / "capacities.csv")
    assert [name for name in answers if name.endswith("_fold_sd")]
    capacities = project / "data/raw/my_sections/capacities.csv"
    assert ",".join(pd.read_csv(capacities)) in walk.text
    (project / "data/raw/my_new_sections").mkdir()
    shutil.copy(capacities, project / "data/raw/my_new_sections")
    walk.try_parts()


def test_the_page_on_additives(package: InstalledPackage, project: Path) -> None:
    """Its folders fit its pattern, and both scales are planned; nothing is trained."""
    walk = Walk(package, project, "your_additives.md", SMALL["your_additives.md"])
    folders = re.findall(r"(ncm\w+)/", walk.text)
    for folder in folders:
        (project / "data/raw/my_additives" / folder).mkdir(parents=True)
    for kind, block in read_blocks(walk.text):
        if kind == "lines":
            if block.startswith("batteryscope run "):
                walk.type(re.sub(r"(run my_additives)(?! -n)", r"\1 -n", block))
        elif "studies:" in block:
            walk.write(block)
            labels = yaml.safe_load(block)["studies"][walk.study]["dataset"]["labels"]
    assert len(walk.typed) == 3
    found = [re.fullmatch(labels["pattern"], folder) for folder in folders]
    assert [match and match["additive"] for match in found] == [None, None, "FEC", "FEC"]


@pytest.fixture(scope="module")
def tables(package: InstalledPackage, tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """A user with a table for each of two materials."""
    folder = tmp_path_factory.mktemp("tables")
    package.run(folder, "new", "project")
    project = folder / "project"
    by_hand = {"propose": {"trials": 20, "proposals": 2, "domain": "nmc"}}
    walk = Walk(package, project, "your_tables.md", SMALL["your_tables.md"], by_hand)
    raw = project / "data/raw"
    rows = {"kind": "electrode_manufacturing", "rows": {"graphite": 60, "nmc": 40}}
    package.generate(project / "t", rows, "--by", "batteryscope.demo.write_table")
    (made,) = (project / "t").glob("*.csv")
    table = pd.read_csv(made)
    parts = {name: part.drop(columns="domain") for name, part in table.groupby("domain")}
    parts["graphite"].to_csv(raw / "graphite.csv", index=False)
    with pd.ExcelWriter(raw / "nmc.xlsx") as workbook:
        parts["nmc"].to_excel(workbook, sheet_name="2024", index=False)
    table.head(6).to_csv(project / "NEW.csv", index=False)
    walk.follow()
    walk.try_parts()
    return walk


def test_the_page_on_tables(tables: Walk) -> None:
    answers = pd.read_csv(tables.root / "predictions.csv")
    assert set(answers["status"]) == {"ok"}


@pytest.mark.skipif(not INSTALLED.is_dir(), reason="make test-docs installs what executes them")
def test_the_notebook_on_tables(tables: Walk) -> None:
    executed = execute("own_table.ipynb", tables.root)
    assert executed.count('"image/png"') == 2
    assert "baseline_gaussian_process" in executed


@pytest.mark.skipif(not TABLE.is_file(), reason="the public table is not here")
def test_a_real_table_to_answers(package: InstalledPackage, project: Path) -> None:
    """Titles as R writes them, a column of numbers that names the slurries."""
    walk = Walk(package, project, "your_tables.md", SMALL["your_tables.md"])
    shutil.copy(TABLE, project / "data/raw/coatings.csv")
    walk.type(
        "batteryscope start data/raw/coatings.csv --targets σ..mg.cm2. "
        "--domain Active.Material....\n"
        "batteryscope run coatings\n"
        "batteryscope predict coatings data/raw/coatings.csv --out predictions.csv"
    )
    assert len(pd.read_csv(project / "predictions.csv")) == 144
