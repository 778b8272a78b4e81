"""The pages for users, followed to the letter: their files and commands, one after the other.

Public data stand in for a user's where ``../shared/data`` holds them, generated ones where not.
Slow, so that it is no part of ``make test``; ``make test-docs`` runs it. Only the sizes are small:
an overlay beside the page's own file trains for one epoch. Placeholders (``NEW_FRAMES``)
stand for the data that the page puts in place.
"""

import json
import re
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tests.conftest import ROOT, Sandbox

pytestmark = pytest.mark.docs
# A block of a page: a file or a part of one, or lines for a terminal; other blocks show something.
BLOCK = re.compile(r"^```yaml\n(?P<file>(?:.*\n)*?)```$|(?P<lines>(?:^ {4}.*\n)+)", re.MULTILINE)
TYPED = re.compile(r"(snakemake|python|dvc|git|mkdir) ")
NEEDS_INTERNET = ("dvc import",)
PLACE = re.compile(r"`((?:reports|models|work)/(?:my_|<study>)[^`]*)`")
FRAMES = ROOT.parent / "shared/data/sem_ncm"
SCAN = ROOT.parent / "shared/data/xct18650/cell_vol"
TABLE = ROOT.parent / "shared/data/tables/nmc811_heterogeneity/Experimental-Dataset.csv"
NETWORK = {"backbone": "test_resnet", "weights": "random", "freeze": "none"}
TRAIN = {"epochs": 1, "tiles_per_epoch": 32, "batch_size": 16, "parallel_jobs": 1}
EXPLAIN = {"tiles_per_class": 1, "misclassified_tiles": 0, "same_images": 0}
SMALL = {
    "your_data.md": {
        "preprocess": {"input_px": 48, "tiles_per_image": 4, "grid_tiles": 2},
        "split": {"folds": 2}, "model": NETWORK, "train": TRAIN, "explain": EXPLAIN,
        "evaluate": {"shortcut_audit": False, "grey_levels_at_test": []},
    },
    "your_scans.md": {
        "dataset": {"volumes": {"first": 2, "last": 10, "step": 4}},
        "preprocess": {"input_px": 48, "unroll_angles": 48},
        "split": {"folds": 2}, "model": NETWORK, "train": TRAIN, "explain": EXPLAIN,
        "evaluate": {"shortcut_audit": False},
    },
    "your_cross_sections.md": {
        "preprocess": {"shrink": 8}, "split": {"folds": 2}, "explain": {"tiles_per_class": 1},
        "train": {"epochs": 1, "warmup_epochs": 0, "batch_size": 16},
        "model": {"backbone_options": {"width": 0.125}},
    },
    "your_additives.md": {"split": {"folds": 3}},
    "your_tables.md": {
        "train": {"epochs": 3, "restarts": 1}, "split": {"repeats": 2},
        "ablations": {"source_rows": [], "target_rows": [], "test_fractions": []},
    },
}  # fmt: skip


@dataclass
class Walk:
    """A user who does what a page says, from its first line to its last."""

    box: Sandbox
    page: str
    placeholders: dict[str, str] = field(default_factory=dict)
    study: str = ""
    configs: str = ""
    parts: list[str] = field(default_factory=list)
    typed: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    def follow(self) -> None:
        """Write its files, type its commands, look where it says that results lie."""
        for kind, block in read_blocks(self.text):
            if kind == "lines":
                self.type(block)
            elif block.startswith(" "):
                self.parts.append(block)
            elif "studies:" in block:
                self.write(block)
        assert self.study, f"{self.page}: no file with a study"
        assert any("predict" in line for line in self.typed), self.typed
        for place in PLACE.findall(self.text):
            name = place.replace("<study>", self.study)
            assert list(self.box.root.glob(name.rstrip("/"))), f"{self.page}: there is no {name}"

    @property
    def text(self) -> str:
        return (ROOT / "docs" / self.page).read_text(encoding="utf-8")

    def write(self, text: str) -> None:
        """Save a file of the page under the name of its study."""
        (self.study,) = yaml.safe_load(text)["studies"]
        (self.box.root / f"{self.study}.yaml").write_text(text, encoding="utf-8")
        self.written.append(self.study)

    def type(self, lines: str) -> None:
        """Type a block into a terminal; every line has to succeed."""
        if lines.startswith(NEEDS_INTERNET):
            return
        for word, meant in self.placeholders.items():
            lines = lines.replace(word, meant)
        small = "small.yaml small_by_hand.yaml" if self.written else "small.yaml"
        if runs := re.findall(r"--configfile((?: (?!configs/)\S+\.yaml| \S+\.yaml)+) ", lines):
            self.configs = runs[-1].strip()
            lines = re.sub(r"(--configfile(?: \S+\.yaml)+)", rf"\1 {small}", lines)
        done = self.box.run("bash", "-ec", lines, check=False)
        assert done.returncode == 0, f"{self.page}: {lines}\n{done.stdout[-4000:]}"
        self.typed += lines.splitlines()

    def try_parts(self) -> None:
        """Put parts of a file where they belong, by how far they are indented; plan each run."""
        for part in self.parts:
            indent = len(part) - len(part.lstrip(" "))
            above = f"studies:\n  {self.study}:\n" + ("    dataset:\n" if indent == 6 else "")
            (self.box.root / "part.yaml").write_text(above + part, encoding="utf-8")
            line = f"snakemake -n --configfile {self.configs} part.yaml -- {self.study}"
            done = self.box.run("bash", "-ec", line, check=False)
            assert done.returncode == 0, f"{self.page}:\n{part}\n{done.stdout[-3000:]}"


def read_blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield the files and parts of files of a page, and its lines for a terminal."""
    for found in BLOCK.finditer(text):
        if found["file"]:
            yield "file", found["file"]
        elif TYPED.match(block := textwrap.dedent(found["lines"])):
            yield "lines", block


def start_walk(root: Path, page: str, by_hand: dict[str, Any] | None = None) -> Walk:
    """Clone the project and put it under DVC; small sizes lie beside the page's own file.

    What ``by_hand`` holds fits the study of the page only, not the one that a plan wrote.
    """
    root.mkdir()
    box = Sandbox(root, yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")))
    shutil.copytree(ROOT / "configs", root / "configs")
    walk = Walk(box, page)
    files = [b for kind, b in read_blocks(walk.text) if kind == "file" and "studies:" in b]
    (study,) = yaml.safe_load(files[0])["studies"]
    for name, small in (("small", SMALL[page]), ("small_by_hand", by_hand or {})):
        told = {"studies": {study: small}} if small else {"studies": {}}
        (root / f"{name}.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")
    for command in ("git init -q", "dvc init -q", "dvc config core.analytics false"):
        box.run(*command.split())
    return walk


def generate(box: Sandbox, settings: dict[str, Any], out: str, *more: str) -> None:
    """Make what a page takes for granted, with the project's own programs."""
    program = ["python", "workflow_scripts/generate_dataset.py", "--settings", json.dumps(settings)]
    box.run(*program, *more, "--out", out)


def test_the_page_on_pictures(tmp_path: Path) -> None:
    walk = start_walk(tmp_path / "project", "your_data.md")
    raw = walk.box.root / "data/raw"
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
        generate(walk.box, settings, "data/raw/my_cathodes")
        copy_frames(sorted((raw / "my_cathodes").glob("*/*.*"))[::12], raw.parent, "new", every=1)
    walk.placeholders["NEW_FRAMES"] = "data/raw/new" if FRAMES.is_dir() else "data/new"
    walk.follow()
    assert len(list((raw / "sem_ncm_named").glob("*/"))) == 12
    answers = pd.read_csv(walk.box.root / "predictions.csv")
    assert {"composition", "state", "prediction_set"} <= {*answers}
    assert len(answers)
    titles = "file,composition,state,specimen_id"
    assert f"`{titles}`" in walk.text
    (raw / "my_cathodes/labels.csv").write_text(f"{titles}\n{answers['file'][0]},622,new,a\n")
    walk.try_parts()


def copy_frames(files: list[Path], raw: Path, name: str, every: int = 3) -> None:
    """Copy every third frame with its sidecar: neighbours show nearly the same place."""
    for number, file in enumerate(files[: every * 13 : every]):
        folder = raw / ("new" if number == 12 or every == 1 else f"my_cathodes/{name}")
        folder.mkdir(parents=True, exist_ok=True)
        for path in file.parent.glob(f"{file.name}*"):
            shutil.copy(path, folder)


def test_the_page_on_scans(tmp_path: Path) -> None:
    walk = start_walk(tmp_path / "project", "your_scans.md")
    settings = {
        "kind": "ct_cell", "cells_per_state": 5, "slices": 12, "size_px": 192,
        "states": ["pristine", "cycle_aged"],
    }  # fmt: skip
    generate(walk.box, settings, "data/raw/my_cells")
    walk.placeholders["SCAN_OR_FOLDER"] = "data/raw/my_cells"
    walk.follow()
    walk.try_parts()
    answers = pd.read_csv(walk.box.root / "predictions.csv")
    assert {"level", "prediction_set"} <= {*answers}
    assert "cell" in set(answers["level"])
    if SCAN.is_dir():  # of another scanner than the generated ones, so that it has to be asked for
        (line,) = [line for line in walk.typed if "predict_images" in line]
        walk.type(line.replace("data/raw/my_cells", f"{SCAN} --answer-anyway"))
        answers = pd.read_csv(walk.box.root / "predictions.csv")
        assert (answers["level"] == "slice").sum() == 46


def test_the_page_on_cross_sections(tmp_path: Path) -> None:
    walk = start_walk(tmp_path / "project", "your_cross_sections.md")
    box = walk.box
    cell = ["--settings", "{}", "--out", "simulated.csv"]
    box.run("python", "workflow_scripts/simulate_capacities.py", *cell)
    settings = {
        "kind": "cross_section", "electrodes_per_porosity": 4, "images_per_electrode": 2,
    }  # fmt: skip
    generate(box, settings, "data/raw/my_sections", "--capacities", "simulated.csv")
    walk.placeholders["NEW_SECTIONS"] = "data/raw/my_sections"
    walk.follow()
    answers = pd.read_csv(box.root / "capacities.csv")
    assert [name for name in answers if name.endswith("_fold_sd")]
    capacities = box.root / "data/raw/my_sections/capacities.csv"
    assert ",".join(pd.read_csv(capacities)) in walk.text
    (box.root / "data/raw/my_new_sections").mkdir()
    shutil.copy(capacities, box.root / "data/raw/my_new_sections")
    walk.try_parts()


def test_the_page_on_additives(tmp_path: Path) -> None:
    """Its folders fit its pattern, and both scales are planned; nothing is trained."""
    walk = start_walk(tmp_path / "project", "your_additives.md")
    folders = re.findall(r"(ncm\w+)/", walk.text)
    for folder in folders:
        (walk.box.root / "data/raw/my_additives" / folder).mkdir(parents=True)
    for kind, block in read_blocks(walk.text):
        if kind == "lines":
            walk.type(re.sub("^snakemake (?!-n)", "snakemake -n ", block, flags=re.MULTILINE))
        elif "studies:" in block:
            walk.write(block)
            labels = yaml.safe_load(block)["studies"][walk.study]["dataset"]["labels"]
    assert len(walk.typed) == 3
    found = [re.fullmatch(labels["pattern"], folder) for folder in folders]
    assert [match and match["additive"] for match in found] == [None, None, "FEC", "FEC"]


def test_the_page_on_tables(tmp_path: Path) -> None:
    by_hand = {"propose": {"trials": 20, "proposals": 2, "domain": "nmc"}}
    walk = start_walk(tmp_path / "project", "your_tables.md", by_hand)
    box, raw = walk.box, walk.box.root / "data/raw"
    rows = {"kind": "electrode_manufacturing", "rows": {"graphite": 60, "nmc": 40}}
    generate(box, rows, "t", "--by", "batteryscope.demo.write_table")
    (made,) = (box.root / "t").glob("*.csv")
    table = pd.read_csv(made)
    parts = {name: part.drop(columns="domain") for name, part in table.groupby("domain")}
    parts["graphite"].to_csv(raw / "graphite.csv", index=False)
    with pd.ExcelWriter(raw / "nmc.xlsx") as workbook:
        parts["nmc"].to_excel(workbook, sheet_name="2024", index=False)
    table.head(6).to_csv(box.root / "NEW.csv", index=False)
    walk.follow()
    walk.try_parts()
    answers = pd.read_csv(box.root / "predictions.csv")
    assert set(answers["status"]) == {"ok"}


@pytest.mark.skipif(not TABLE.is_file(), reason="the public table is not here")
def test_a_real_table_from_the_first_command_to_answers(tmp_path: Path) -> None:
    """Titles as R writes them, a column of numbers that names the slurries."""
    walk = start_walk(tmp_path / "project", "your_tables.md")
    root = walk.box.root
    shutil.copy(TABLE, root / "data/raw/coatings.csv")
    (root / "small.yaml").write_text(yaml.safe_dump({"studies": {"coatings": SMALL[walk.page]}}))
    walk.type(
        "python workflow_scripts/start_study.py --table data/raw/coatings.csv "
        "--targets σ..mg.cm2. --domain Active.Material....\n"
        "snakemake --configfile coatings.yaml -- coatings\n"
        "python workflow_scripts/predict_table.py --bundle models/coatings "
        "--table data/raw/coatings.csv --out predictions.csv"
    )
    assert len(pd.read_csv(root / "predictions.csv")) == 144
