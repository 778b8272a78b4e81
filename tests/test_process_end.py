"""Killed with SIGKILL, a process takes its workers along; a killed run its programs."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from batteryscope.workflow.fork_client import PREFIX, remove_dead_addresses
from batteryscope.workflow.run_start import PREFIX as RUN_PREFIX
from batteryscope.workflow.run_start import claim_scratch, remove_dead

POOL = """
import os, time
from batteryscope.core.forked_calls import open_pool
with open_pool(2) as pool:
    done = [pool.submit(time.sleep, 600) for _ in range(2)]
    print(*[number for number in pool._processes], flush=True)
"""
PROGRAM = """
import sys, time
from batteryscope.workflow.command_line import make_parser, run_program
def work(arguments):
    print("at work", flush=True)
    time.sleep(600)
sys.exit(run_program(work, make_parser("waits")))
"""
RUN = """
import os, subprocess, sys
if sys.argv[2] == "run":
    os.environ["BATTERYSCOPE_RUN_PROCESS"] = str(os.getpid())
child = subprocess.Popen([sys.executable, sys.argv[1]], stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""


def is_running(number: int) -> bool:
    return psutil.pid_exists(number) and psutil.Process(number).status() != "zombie"


def wait_until_gone(numbers, seconds=20.0) -> list[int]:
    """Wait for the end of processes; those that live on are returned and ended."""
    deadline = time.monotonic() + seconds
    while (left := [n for n in numbers if is_running(n)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    for number in left:
        os.kill(number, signal.SIGKILL)
    return left


def start(*words: str) -> tuple[subprocess.Popen, list[int]]:
    """Start a process that prints the numbers of others."""
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
    return process, [int(word) for word in process.stdout.readline().split()]


def kill(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
    process.stdout.close()


def test_workers_of_a_pool_end_with_a_killed_process():
    process, workers = start("-c", POOL)
    assert len(workers) == 2
    assert all(map(is_running, workers))
    kill(process)
    assert wait_until_gone(workers) == []


@pytest.mark.parametrize("by", ["run", "hand"])
def test_program_ends_with_the_run_that_started_it_and_with_no_other(tmp_path, by):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    process, [child] = start("-c", RUN, str(program), by)
    kill(process)
    left = wait_until_gone([child], 20 if by == "run" else 1)
    assert left == ([] if by == "run" else [child])


def test_every_pool_is_one_whose_workers_end_with_it():
    for path in Path(__file__).parent.parent.glob("batteryscope/**/*.py"):
        text = path.read_text(encoding="utf-8")
        assert ("ProcessPoolExecutor(" in text) <= ("    end_with_parent(parent)\n" in text), path


def test_addresses_of_killed_servers_are_removed_those_of_live_ones_stay(tmp_path):
    servers = []
    for name in ("dead", "live"):
        (tmp_path / f"{PREFIX}{name}").mkdir()
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(tmp_path / f"{PREFIX}{name}" / "server"))
        server.listen()
        servers.append(server)
    servers[0].close()
    (tmp_path / f"{PREFIX}other").mkdir()
    remove_dead_addresses(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{PREFIX}live", f"{PREFIX}other"]
    servers[1].close()


HOLD_SCRATCH = """
import sys, time
from pathlib import Path
from batteryscope.workflow.run_start import claim_scratch
scratch = claim_scratch(Path(sys.argv[1]))
(scratch.folder / "half a result").touch()
print(scratch.folder, flush=True)
time.sleep(600)
"""


def test_scratch_of_a_killed_run_is_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    command = [sys.executable, "-c", HOLD_SCRATCH, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        held = Path(process.stdout.readline().strip())
        remove_dead(tmp_path)
        assert (held / "half a result").is_file()
        process.kill()
    mine = claim_scratch(tmp_path)
    assert not held.exists()
    assert tempfile.gettempdir() == os.environ["TMPDIR"] == str(mine.folder)
    remove_dead(tmp_path)
    assert mine.folder.is_dir()
    mine.remove()
    assert not list(tmp_path.iterdir())


def test_no_room_for_scratch_is_no_reason_to_stop(tmp_path):
    assert claim_scratch(tmp_path / "absent") is None


def test_only_old_folders_without_an_owner_are_removed(tmp_path):
    for name, age in (("old", 7200), ("new", 0)):
        folder = tmp_path / f"{RUN_PREFIX}{name}"
        folder.mkdir()
        os.utime(folder, (time.time() - age,) * 2)
    (tmp_path / f"{RUN_PREFIX}file").touch()
    remove_dead(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{RUN_PREFIX}file", f"{RUN_PREFIX}new"]
