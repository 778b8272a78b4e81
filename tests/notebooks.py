"""Notebooks of docs/ are executed in a finished project, by what docs/notebooks.txt pins."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

INSTALLED = ROOT / "work" / "notebooks"  # by make test-docs
EXECUTE = "import sys; from nbclient.cli import main; sys.exit(main())"


def execute(name: str, project: Path, **meant: str) -> str:
    """Execute a notebook in a project; return it with its outputs.

    ``meant`` stands for words of the notebook, such as the folder of new frames.
    """
    text = (ROOT / "docs" / "notebooks" / name).read_text(encoding="utf-8")
    for word, instead in meant.items():
        assert word in text, f"{name} does not speak of {word}"
        text = text.replace(word, instead)
    (project / name).write_text(text, encoding="utf-8")
    places = [str(INSTALLED), str(ROOT)]
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, "--inplace", name],
        cwd=project,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(places)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return (project / name).read_text(encoding="utf-8")
