"""Starting a program of the workflow, against starting Python."""

import subprocess
import sys
from pathlib import Path

from benchmarks.measurement import Measurement, Timing, summarise, take_rounds, timed

SCRIPTS = Path(__file__).resolve().parent.parent / "workflow_scripts"
ROUNDS = 5


def measure(folder: Path) -> list[Measurement]:
    """Time ``--help`` of every program once, then compare the slowest with ``python -c pass``."""

    def start_python() -> None:
        _run("-c", "pass")

    first = {script: _time_help(script) for script in sorted(SCRIPTS.glob("*.py"))}
    slowest = max(first, key=lambda script: first[script].wall_s)
    rounds = take_rounds(lambda: _time_help(slowest), timed(start_python), ROUNDS)
    name = f"start, slowest of {len(first)} ({slowest.stem})"
    return [summarise(name, "starts/s", 1, rounds, "python -c pass")]


def _time_help(script: Path) -> Timing:
    return timed(lambda: _run(str(script), "--help"))()


def _run(*arguments: str) -> None:
    command = [sys.executable, *arguments]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
