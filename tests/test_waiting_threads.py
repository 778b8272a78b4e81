"""Threads that wait sleep soon, in programs and in their server; what a user has set is kept."""

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from batteryscope.core.waiting_threads import SPINS, WAIT_POLICY, let_waiting_threads_sleep
from batteryscope.workflow.fork_client import ADDRESS

# The library itself tells how long it lets threads wait when it is loaded.
PROGRAM = """
import ctypes, sys
from batteryscope.workflow.command_line import make_parser, run_program
def work(arguments):
    ctypes.CDLL(sys.argv[1])
parser = make_parser(None)
parser.add_argument("library")
sys.exit(run_program(work, parser, heavy=True))
"""


def gnu_openmp() -> Path:
    """Return the library that PyTorch brings along, or skip the test where it has another one."""
    spec = find_spec("torch")
    found = sorted((Path(spec.origin).parent / "lib").glob("libgomp*")) if spec else []
    if not found:
        pytest.skip("this PyTorch has no GNU OpenMP")
    return found[0]


@pytest.mark.parametrize(
    ("by_user", "spins"),
    [({}, "1000"), ({SPINS: "77"}, "77"), ({WAIT_POLICY: "PASSIVE"}, "0")],
    ids=["default", "spins", "policy"],
)
def test_a_program_reads_it_before_its_threads_are_there(by_user, spins):
    free = {key: os.environ[key] for key in os.environ if key not in (SPINS, WAIT_POLICY)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, gnu_openmp()],
        env=free | {"OMP_DISPLAY_ENV": "VERBOSE"} | by_user,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"GOMP_SPINCOUNT = '{spins}'" in done.stderr


def test_a_server_sets_it_before_it_imports_anything(tmp_path):
    (tmp_path / "asks.py").write_text(
        f"import os, pathlib\npathlib.Path('said').write_text(os.environ['{SPINS}'])\n"
    )
    (tmp_path / "address").mkdir()
    address = tmp_path / "address" / "server"
    free = {key: os.environ[key] for key in os.environ if key not in (SPINS, WAIT_POLICY)}
    places = os.pathsep.join([str(Path.cwd()), str(tmp_path)])
    server = subprocess.Popen(
        [sys.executable, "-m", "batteryscope.workflow.fork_server", str(address), "asks"],
        env=free | {"PYTHONPATH": places}, cwd=tmp_path, stdin=subprocess.PIPE,
    )  # fmt: skip
    while not address.exists() and server.poll() is None:
        time.sleep(0.02)
    (tmp_path / "program.py").write_text(PROGRAM.replace("ctypes.CDLL(sys.argv[1])", "pass"))
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py", "none"],
        env=free | {"PYTHONPATH": places, ADDRESS: str(address)}, cwd=tmp_path, timeout=60,
    )  # fmt: skip
    server.communicate(timeout=60)
    assert (done.returncode, server.returncode) == (0, 0)
    assert (tmp_path / "said").read_text() == "1000"


def test_what_a_user_has_set_is_kept():
    for by_user in ({SPINS: "77"}, {WAIT_POLICY: "ACTIVE"}):
        environment = dict(by_user)
        let_waiting_threads_sleep(environment)
        assert environment == by_user
