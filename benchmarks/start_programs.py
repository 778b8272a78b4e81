"""Starting a program of the workflow: its arguments, and the libraries that training needs."""

import os
import subprocess
import sys
from pathlib import Path

from batteryscope.workflow.fork_client import ADDRESS, start_server
from benchmarks.measurement import Measurement, Timing, summarise, take_rounds, timed

SCRIPTS = Path(__file__).resolve().parent.parent / "workflow_scripts"
ROUNDS = 5
IMPORTS = """import sys
from batteryscope.workflow.command_line import make_parser, run_program

def work(arguments):
    import lightning.pytorch, sklearn.metrics, timm, torch

sys.exit(run_program(work, make_parser(None), heavy=True))
"""


def measure(folder: Path) -> list[Measurement]:
    """Time ``--help`` of every program once, then compare the slowest with ``python -c pass``."""

    def start_python() -> None:
        _run("-c", "pass")

    first = {script: _time_help(script) for script in sorted(SCRIPTS.glob("*.py"))}
    slowest = max(first, key=lambda script: first[script].wall_s)
    rounds = take_rounds(lambda: _time_help(slowest), timed(start_python), ROUNDS)
    name = f"start, slowest of {len(first)} ({slowest.stem})"
    start = summarise(name, "starts/s", 1, rounds, "python -c pass")
    return [start, *_measure_fork(folder)]


def _measure_fork(folder: Path) -> list[Measurement]:
    """Compare a program that continues in a fork of the server with one that imports by itself."""
    program = folder / "imports.py"
    program.write_text(IMPORTS, encoding="utf-8")
    server = start_server()
    if server is None or server.stdin is None:
        return []
    address = os.environ.pop(ADDRESS)

    def fork() -> None:
        _run(str(program), environment=os.environ | {ADDRESS: address})

    rounds = take_rounds(timed(fork), timed(lambda: _run(str(program))), ROUNDS)
    server.stdin.close()
    server.wait()
    name = "start in a fork, PyTorch and Lightning"
    return [summarise(name, "starts/s", 1, rounds, "importing them")]


def _time_help(script: Path) -> Timing:
    return timed(lambda: _run(str(script), "--help"))()


def _run(*arguments: str, environment: dict[str, str] | None = None) -> None:
    command = [sys.executable, *arguments]
    subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=True)
