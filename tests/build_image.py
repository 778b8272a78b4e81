"""Runs the steps of the Dockerfile on a bare Debian and uses what comes out as its users do.

    python -m tests.build_image        # as root on Debian; make test-container

Every step is read from the Dockerfile, and what Apptainer's image starts and tests from
batteryscope.def, whose other steps are the same (tests/test_repository_files.py).
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import yaml

from tests.bare_root import BareRoot, Recipe, read_definition, read_dockerfile
from tests.conftest import ROOT
from tests.installed_package import build_wheel

GENERATED = {"kind": "trivial", "classes": 2, "images_per_class": 12}
TINY = {
    "preprocess": {"input_px": 48, "tiles_per_image": 4, "grid_tiles": 2},
    "split": {"folds": 2},
    "model": {"backbone": "test_resnet", "weights": "random", "freeze": "none"},
    "train": {"epochs": 1, "tiles_per_epoch": 32, "batch_size": 16, "parallel_jobs": 1},
    "explain": {"tiles_per_class": 1, "misclassified_tiles": 0, "same_images": 0},
    "evaluate": {"shortcut_audit": False, "grey_levels_at_test": []},
}


def main() -> int:
    """Make the root, run all steps, then the way of a newcomer in it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, help="a root of the same Debian, not fetched again")
    parser.add_argument("--keep", type=Path, help="make the root here, and leave it")
    arguments = parser.parse_args()
    recipe, other = read_dockerfile(ROOT / "Dockerfile"), read_definition(ROOT / "batteryscope.def")
    build_one_wheel()
    with tempfile.TemporaryDirectory(prefix="batteryscope-image-") as name:
        folder = arguments.keep or Path(name) / "root"
        clock = Clock()
        root = BareRoot(folder, find_suite(recipe), arguments.base)
        clock.tell(f"bare {recipe.base}: {root.measure_mb():,.0f} MB")
        follow(recipe, root, clock)
        go_the_way(recipe, root, clock)
        for command in (other.test, f"{other.starts} --version"):
            said = root.run(command, other.variables, recipe.user, recipe.folder)
            clock.tell(f"Apptainer: {command}: {said.strip()}")
    return 0


def find_suite(recipe: Recipe) -> str:
    """Return the name of the Debian that an image begins with."""
    return recipe.base.removeprefix("debian:").removesuffix("-slim")


class Clock:
    """Tells what was done and how long it took."""

    def __init__(self) -> None:
        self.begun = time.monotonic()

    def tell(self, done: str) -> None:
        """Write one line."""
        now = time.monotonic()
        print(f"{now - self.begun:6.0f} s  {done}", flush=True)
        self.begun = now


def build_one_wheel() -> None:
    """Put a new wheel into ``dist``, alone: the recipes copy all that lie there."""
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    build_wheel(ROOT / "dist")


def follow(recipe: Recipe, root: BareRoot, clock: Clock) -> None:
    """Run all steps; the first command, which needs no files, comes before copying."""
    system, *others = recipe.commands
    root.run(system, {})
    clock.tell(system)
    for words in recipe.copies:
        root.copy(*words)
    for command in others:
        root.run(command, recipe.variables)
        clock.tell(command)
    root.run(f"mkdir -p {recipe.folder} && chown {recipe.user} {recipe.folder}", {})
    clock.tell(f"the image: {root.measure_mb():,.0f} MB")


def go_the_way(recipe: Recipe, root: BareRoot, clock: Clock) -> None:
    """From the first word to answers, as the user of the image."""

    def say(command: str) -> str:
        said = root.run(command, recipe.variables, recipe.user, recipe.folder)
        clock.tell(command.splitlines()[0])
        return said

    battery = recipe.starts
    assert "Begin with: batteryscope new FOLDER" in say(f"{battery} {recipe.says}")
    say(f"{battery} new mine")
    make = "python -c 'import batteryscope; print(batteryscope.__path__[0])'"
    program = f"$({make})/_workflow/workflow_scripts/generate_dataset.py"
    frames = "mine/data/raw/frames"
    say(f"python {program} --out {frames} --settings '{json.dumps(GENERATED)}'")
    say(f"cd mine && {battery} start data/raw/frames")
    project = root.folder / recipe.folder.removeprefix("/") / "mine"
    (project / "tiny.yaml").write_text(yaml.safe_dump({"studies": {"frames": TINY}}))
    said = say(f"cd mine && {battery} run frames --configfile tiny.yaml")
    assert said.splitlines()[-1] == "Report: reports/frames/report.html", said[-3000:]
    say(f"cd mine && {battery} predict frames data/raw/frames --out answers.csv")
    assert len((project / "answers.csv").read_text().splitlines()) == 25


if __name__ == "__main__":
    sys.exit(main())
