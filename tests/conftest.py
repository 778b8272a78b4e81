"""What all tests share: quiet threads, real data where present, and a sandboxed project."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil
import pytest
import yaml

from tests.time_limits import stretch_limit

# Two test processes on two cores would otherwise fight over spinning threads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "2")
# Programs that the tests start keep compiled modules: compiling PyTorch's takes longer than a test.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

WORKFLOW = {"make_sandbox", "sandbox", "project"}  # fixtures in which the real workflow runs
ROOT = Path(__file__).resolve().parent.parent
CODE = (
    "Snakefile",
    "rules",
    "workflow_scripts",
    "batteryscope",
    "profiles",
    "environment.yml",
    "dvc.yaml",
    ".gitignore",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that run the workflow come first: at the end one would run alone on two cores."""
    slow = {i.path for i in items if i.get_closest_marker("workflow")}
    slow |= {i.path for i in items if WORKFLOW & set(getattr(i, "fixturenames", ()))}
    items.sort(key=lambda item: item.path not in slow)


@cache
def find_fork_server() -> dict[str, str]:
    """Start what imports PyTorch once for all sandboxes of this process; return where it listens.

    Every run of a user's has a server of its own (``tests/test_fork_server.py``); here importing
    would take longer than what is tested.
    """
    from batteryscope.workflow.fork_client import ADDRESS, start_server

    find_fork_server.process = start_server()  # its standard input closes with this process
    address = os.environ.pop(ADDRESS, None)
    return {} if address is None else {ADDRESS: address}


class Sandbox:
    """A copy of the project with its own parameters, where the real workflow can run."""

    def __init__(self, root: Path, params: dict) -> None:
        self.root = root
        for name in CODE:
            source = ROOT / name
            if source.is_dir():
                # Compiled modules come along, which every sandbox would compile anew; not those
                # that another process of the tests is just writing.
                ignore = shutil.ignore_patterns("*.pyc.*")
                shutil.copytree(source, root / name, symlinks=True, ignore=ignore)
            else:
                shutil.copy(source, root / name)
        (root / ".dvcignore").write_text("__pycache__\n*.pyc\n.snakemake\nwork\n")
        for name in ("data/raw", "models", "reports"):
            (root / name).mkdir(parents=True)
        self.write_params(params)

    def write_params(self, params: dict) -> None:
        self.params = params
        (self.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def run(self, *command: str, check: bool = True, **environment: str):
        """Run a command as a user of the project would; stdout and stderr come back together."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.variables | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stdout[-6000:]
        return done

    def start_command(self, *command: str, **environment: str) -> subprocess.Popen:
        """Start a command in a process group of its own, to be killed."""
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=self.variables | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a command."""
        return os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.root}/mlflow.db",
            **find_fork_server(),
        }

    def snakemake(self, *arguments: str, check: bool = True, **environment: str):
        return self.run("snakemake", *arguments, check=check, **environment)

    def planned_rules(self, *arguments: str) -> dict[str, int]:
        """Rules that a dry run would execute, with their counts."""
        return count_rules(self.snakemake("-n", *arguments, "--quiet", "rules").stdout)


def count_rules(output: str) -> dict[str, int]:
    """Rules that a dry run has listed, with their counts."""
    counts = {}
    for line in output.splitlines():
        words = line.split()
        if len(words) == 2 and words[1].isdigit() and words[0] != "total":
            counts[words[0]] = int(words[1])
    return counts


def wait_for_program(started_by: int, program: str, timeout_s: float = 240) -> psutil.Process:
    """Wait until a program whose command line holds a word is at work, and return it."""
    began = time.monotonic()
    while time.monotonic() - began < stretch_limit(timeout_s):
        for child in psutil.Process(started_by).children(recursive=True):
            with suppress(psutil.Error):  # it has just ended
                if "python" in child.name() and program in " ".join(child.cmdline()):
                    return child
        time.sleep(0.05)
    raise AssertionError(f"{program} did not begin")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "real_data: needs public data that is not part of the project"
    )


@pytest.fixture(scope="module")
def one_thread():
    """PyTorch on one core: for tiny networks a second one costs more than it gives."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Public data for local use, where BATTERYSCOPE_SHARED_DATA says; skips without."""
    folder = Path(os.environ.get("BATTERYSCOPE_SHARED_DATA", "no such folder"))
    if not folder.is_dir():
        pytest.skip("the public data sets are not here (set BATTERYSCOPE_SHARED_DATA)")
    return folder


@pytest.fixture(scope="session")
def make_sandbox(tmp_path_factory):
    """Create sandboxes."""

    def make(params: dict) -> Sandbox:
        root = tmp_path_factory.mktemp("project") / "batteryscope"
        root.mkdir()
        return Sandbox(root, params)

    return make
