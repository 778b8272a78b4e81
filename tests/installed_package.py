"""The package as people install it: built, and put into an environment without the clone."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

from tests.conftest import ROOT

COMMAND = """\
#!{python} -P
import sys
from batteryscope.command.main import main
sys.exit(main())
"""


def build_wheel(folder: Path) -> Path:
    """Build the package as pip does."""
    return Path(next(WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])))


SOMEBODY = {
    f"GIT_{role}_{what}": "user@example.org"
    for role in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}


class InstalledPackage:
    """An environment with the package; the other packages are those of the tests.

    Parameters
    ----------
    root
        New folder for it.
    """

    def __init__(self, root: Path) -> None:
        venv.create(root / "env", with_pip=False, symlinks=True)
        self.python = root / "env" / "bin" / "python"
        self.packages = next((root / "env" / "lib").glob("python*")) / "site-packages"
        # Of a folder named in such a file, files of this kind are not read: the clone stays out.
        others = [p for p in sys.path if p.endswith("site-packages")]
        (self.packages / "others.pth").write_text("\n".join(others))
        with zipfile.ZipFile(build_wheel(root)) as wheel:
            wheel.extractall(self.packages)
        command = self.python.with_name("batteryscope")
        command.write_text(COMMAND.format(python=self.python))
        command.chmod(0o755)

    @property
    def home(self) -> Path:
        """Where the workflow lies."""
        return self.packages / "batteryscope" / "_workflow"

    def run(self, folder: Path, *words: str) -> subprocess.CompletedProcess:
        """Type ``batteryscope`` and words in a folder; stdout and stderr come back together."""
        return self._call(folder, "-m", "batteryscope.command.main", *words)

    def type(self, folder: Path, lines: str) -> subprocess.CompletedProcess:
        """Type lines into a terminal, where the environment is active."""
        return self._start(folder, "bash", "-ec", lines)

    def generate(self, folder: Path, settings: dict, *more: str | Path) -> None:
        """Put generated pictures into a folder."""
        words = ("--settings", json.dumps(settings), "--out", folder)
        self.call_program(folder.parent, "generate_dataset", *words, *more)

    def call_program(self, folder: Path, name: str, *words: str | Path) -> None:
        """Start a program of the workflow in a folder."""
        self._call(folder, self.home / "workflow_scripts" / f"{name}.py", *words)

    def _call(self, folder: Path, *words: str | Path) -> subprocess.CompletedProcess:
        return self._start(folder, self.python, "-P", *words)

    def _start(self, folder: Path, *command: str | Path) -> subprocess.CompletedProcess:
        unseen = ("PYTHONPATH", "MLFLOW_TRACKING_URI")
        kept = {name: value for name, value in os.environ.items() if name not in unseen}
        places = (self.python.parent, Path(sys.executable).parent, os.environ["PATH"])
        done = subprocess.run(
            command,
            cwd=folder,
            env=kept | SOMEBODY | {"PATH": os.pathsep.join(map(str, places)), "BROWSER": "true"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:]
        return done
