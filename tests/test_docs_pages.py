"""The pages for users, followed to the letter: their files and commands, on generated data.

Slow, so that it is no part of ``make test``; ``make test-docs`` runs it. Only the sizes are small:
an overlay beside the page's own file trains for one epoch. Placeholders (``NEW_FRAMES``)
stand for the data that the page puts in place.
"""

import json
import re
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.conftest import ROOT, Sandbox

pytestmark = pytest.mark.docs
COMMAND = re.compile(r"^ {4}((?:snakemake|python workflow_scripts/|dvc add )\S?.*)$", re.MULTILINE)
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NETWORK = {"backbone": "test_resnet", "weights": "random", "freeze": "none"}
TRAIN = {"epochs": 1, "tiles_per_epoch": 32, "batch_size": 16, "parallel_jobs": 1}
TABLE_GENERATOR = "batteryscope.demo.write_table"
EXPLAIN = {"tiles_per_class": 1, "misclassified_tiles": 0, "same_images": 0}


@dataclass(frozen=True)
class Page:
    """What one page needs that it does not say: data, small sizes, what placeholders stand for."""

    name: str
    generator: dict[str, object]
    data: str
    small: dict[str, object]
    places: dict[str, str] = field(default_factory=dict)


PAGES = [
    Page(
        "your_data.md",
        {
            "kind": "sem_top_view", "images_per_class": 8, "width_px": 480, "height_px": 360,
            "compositions": ["622"], "states": ["pristine", "100cycles"],
        },
        "data/raw/my_cathodes",
        {
            "preprocess": {"crop_px": 160, "input_px": 48, "tiles_per_image": 4, "grid_tiles": 2},
            "split": {"folds": 2}, "model": NETWORK, "train": TRAIN, "explain": EXPLAIN,
            "evaluate": {"shortcut_audit": False, "grey_levels_at_test": []},
        },
        {"NEW_FRAMES": "data/raw/my_cathodes"},
    ),
    Page(
        "your_scans.md",
        {
            "kind": "ct_cell", "cells_per_state": 4, "slices": 12, "size_px": 192,
            "states": ["pristine", "cycle_aged"],
        },
        "data/raw/my_cells",
        {
            "dataset": {"volumes": {"first": 2, "last": 10, "step": 4}},
            "preprocess": {"input_px": 48, "unroll_angles": 48},
            "split": {"folds": 2}, "model": NETWORK, "train": TRAIN, "explain": EXPLAIN,
            "evaluate": {"shortcut_audit": False},
        },
        {"SCAN_OR_FOLDER": "data/raw/my_cells"},
    ),
    Page(
        "your_cross_sections.md",
        {
            "kind": "cross_section", "electrodes_per_porosity": 4, "images_per_electrode": 2,
        },
        "data/raw/my_sections",
        {
            "preprocess": {"shrink": 8}, "split": {"folds": 2}, "explain": {"tiles_per_class": 1},
            "train": {"epochs": 1, "batch_size": 16},
            "model": {"backbone_options": {"width": 0.125}},
        },
        {"NEW_SECTIONS": "data/raw/my_sections"},
    ),
]  # fmt: skip


@dataclass(frozen=True)
class Steps:
    """What a page tells people to do."""

    blocks: list[str]
    commands: list[str]

    @property
    def study(self) -> tuple[str, dict]:
        """The first file of the page with a study: its text and content."""
        text = next(block for block in self.blocks if "\nstudies:" in f"\n{block}")
        return text, yaml.safe_load(text)


def read_page(name: str) -> Steps:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    commands = [" ".join(line.split("  #")[0].split()) for line in COMMAND.findall(text)]
    return Steps(BLOCK.findall(text), commands)


def start_project(root: Path, small: dict) -> Sandbox:
    """A clone of the project, with an overlay of small sizes."""
    root.mkdir()
    box = Sandbox(root, yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")))
    shutil.copytree(ROOT / "configs", root / "configs")
    (root / "small.yaml").write_text(yaml.safe_dump(small), encoding="utf-8")
    return box


def generate(box: Sandbox, settings: dict[str, object], out: str) -> None:
    """Make what a page takes for granted, with the project's own programs."""
    program = ["python", "workflow_scripts/generate_dataset.py", "--settings", json.dumps(settings)]
    if settings["kind"] == "cross_section":
        cell = ["--settings", "{}", "--out", "capacities.csv"]
        box.run("python", "workflow_scripts/simulate_capacities.py", *cell)
        program += ["--capacities", "capacities.csv"]
    if settings["kind"] == "electrode_manufacturing":
        program += ["--by", TABLE_GENERATOR]
    box.run(*program, "--out", out)
    (box.root / "capacities.csv").unlink(missing_ok=True)


def follow(box: Sandbox, steps: Steps, places: dict[str, str]) -> list[str]:
    """Type the commands of a page one after the other; return those that were typed."""
    typed = []
    for command in steps.commands:
        if command.startswith("dvc "):
            continue  # tests/test_dvc.py
        for word, place in places.items():
            command = command.replace(word, place)
        if "--configfile" in command:
            command = re.sub(r"(--configfile(?: \S+\.yaml)+)", r"\1 small.yaml", command)
        elif command.startswith("snakemake"):
            continue  # another study of params.yaml, as an example
        done = box.run(*shlex.split(command), check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}"
        typed.append(command)
    return typed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_on_pictures_and_scans_leads_to_a_model(page: Page, tmp_path: Path) -> None:
    steps = read_page(page.name)
    text, content = steps.study
    (study,) = content["studies"]
    box = start_project(tmp_path / "project", {"studies": {study: page.small}})
    (box.root / f"{study}.yaml").write_text(text, encoding="utf-8")
    generate(box, page.generator, page.data)
    typed = follow(box, steps, page.places)
    assert any("predict_images.py" in command for command in typed), typed
    assert (box.root / "reports" / study / "report.html").is_file()
    (answers,) = (path for path in box.root.glob("*.csv"))
    assert len(pd.read_csv(answers))


def test_the_page_on_tables_leads_to_a_model(tmp_path: Path) -> None:
    steps = read_page("your_tables.md")
    text, content = steps.study
    (study,) = content["studies"]
    small = {
        "train": {"epochs": 3, "restarts": 1}, "split": {"repeats": 2},
        "ablations": {"source_rows": [], "target_rows": [], "test_fractions": []},
        "propose": {"trials": 20, "proposals": 2, "domain": "nmc"},
    }  # fmt: skip
    box = start_project(tmp_path / "project", {"studies": {study: small}})
    (box.root / f"{study}.yaml").write_text(text, encoding="utf-8")
    rows = {"graphite": 60, "nmc": 40}
    generate(box, {"kind": "electrode_manufacturing", "rows": rows}, "t")
    (made,) = (box.root / "t").glob("*.csv")
    table = pd.read_csv(made)
    raw = box.root / "data/raw"
    table[table["domain"] == "graphite"].drop(columns="domain").to_csv(raw / "graphite.csv")
    with pd.ExcelWriter(raw / "nmc.xlsx") as workbook:
        table[table["domain"] == "nmc"].drop(columns="domain").to_excel(workbook, sheet_name="2024")
    table.head(6).to_csv(box.root / "NEW.csv", index=False)
    typed = follow(box, steps, {})
    assert any("predict_table.py" in command for command in typed), typed
    answers = pd.read_csv(box.root / "predictions.csv")
    assert set(answers["status"]) == {"ok"}
