"""Kills runs of the workflow at random times and gives the same command again.

    python -m tests.kill_runs --kills 50 --seed 1

A real study of a few generated pictures is built in a copy of the project. The process group of a
run is killed (SIGKILL) after a CPU time drawn from the seed, and the same command is given again,
until it ends by itself; then everything it made is compared with what an undisturbed run made, and
the next round begins. Ends with an error if a result differs, a run that was not killed fails, or
something is left over: a process, a lock, a half-written file, scratch in TMPDIR.
"""

import argparse
import compileall
import hashlib
import math
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

import psutil

from tests.conftest import ROOT, Sandbox
from tests.small_params import small_params, small_study
from tests.time_limits import LOOK_EVERY_S, wait_until

STUDY = small_study(
    dataset={"generator": {"kind": "trivial", "classes": 3, "images_per_class": 8}},
    train={"epochs": 4, "tiles_per_epoch": 48},
)
WHOLE = ("--cores", "1", "--", "check")
# Without the programs that need PyTorch, which take most of the time.
FIRST_STEPS = ("--cores", "1", "--until", "split_dataset", "preprocess_images", "--", "check")
# Neither say what came out, or hold times of day and durations.
_NOT_COMPARED = (
    ".snakemake", "benchmarks", "logs", "state", "cost.json", "digest.json", "digests.json",
    "fit.json", "history.csv", "tracked.json", "published.json", "mlflow.db", "__pycache__",
    "settings",
)  # fmt: skip
_COMPARED = (".json", ".csv", ".parquet", ".npy", ".safetensors", ".png")
# Of the CPU time of an undisturbed run. A run that goes on begins at a later job: with half of the
# time the last jobs are hit as well, and few runs end before their kill.
LATEST_KILL = 0.5
_LOOK_EVERY_S = 0.05
_ENDS_WITHIN_S = 60.0  # what a killed run has started; an import must end first


class KilledRuns:
    """A sandbox whose runs are killed.

    Parameters
    ----------
    root
        An empty folder for the copy of the project and its TMPDIR.
    command
        Arguments of ``snakemake``.
    study
        Settings of the study ``check``.
    """

    def __init__(self, root: Path, command: Sequence[str] = WHOLE, study: dict = STUDY) -> None:
        self.scratch = root / "scratch"
        self.scratch.mkdir()
        project = root / "project"
        project.mkdir()
        # A fresh clone has no compiled modules, which every copy would make anew.
        compileall.compile_dir(ROOT / "batteryscope", quiet=2)
        self.box = Sandbox(project, small_params(check=study))
        self.command = ["snakemake", *command]
        binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = os.environ | {
            "PATH": binaries,
            "TMPDIR": str(self.scratch),
            "MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db",
        }
        self.log = root / "runs.log"
        self.used_s = 0.0  # CPU time of the last run
        self.hit = ""  # the programs that were at work when it was killed

    def run(
        self,
        kill_after_s: float = math.inf,
        harm: Callable[[int], bool] | None = None,
        **environment: str,
    ) -> int | None:
        """Give the command; return its exit status, None if it was killed.

        Parameters
        ----------
        kill_after_s
            CPU time of the run and all that it has started, which other work on the machine does
            not change.
        harm
            Instead of killing all, gets the number of Snakemake's process; asked again and again
            until it says that it has done its harm.
        **environment
            Further variables of the run.
        """
        with self.log.open("a") as log:
            process = subprocess.Popen(
                self.command,
                cwd=self.box.root,
                env=self.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.used_s = 0.0
        while (status := process.poll()) is None:
            self.used_s = max(self.used_s, _measure_cpu_s(process.pid))
            if self.used_s < kill_after_s:
                pass
            elif harm is not None:
                kill_after_s = math.inf if harm(process.pid) else kill_after_s
            else:
                self.hit = _name_programs(process.pid)
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return None
            time.sleep(_LOOK_EVERY_S if kill_after_s < math.inf else LOOK_EVERY_S)
        return status

    def describe_results(self) -> dict[str, str]:
        """Path → SHA-256 of everything made that does not hold times, and the runs in MLflow."""
        files = {}
        for folder in ("work", "models", "reports"):
            for path in sorted((self.box.root / folder).rglob("*")):
                place = path.relative_to(self.box.root)
                if set(place.parts) & set(_NOT_COMPARED) or not path.is_file():
                    continue
                whole = path.suffix in _COMPARED
                content = path.read_bytes() if whole else b""
                files[place.as_posix()] = hashlib.sha256(content).hexdigest()[:16]
        return files | {"runs in mlflow.db": ", ".join(self._list_tracked_runs())}

    def _list_tracked_runs(self) -> list[str]:
        database = self.box.root / "mlflow.db"
        if not database.is_file():
            return []
        with closing(sqlite3.connect(database)) as connection:
            rows = connection.execute(
                "SELECT name || ' ' || status FROM runs WHERE lifecycle_stage = 'active'"
            )
            return sorted(name for (name,) in rows)

    def forget_results(self) -> None:
        """Begin anew, as after ``make clean`` and a fresh clone."""
        for name in ("work", "models", "reports", ".snakemake"):
            shutil.rmtree(self.box.root / name, ignore_errors=True)
        for name in ("models", "reports"):
            (self.box.root / name).mkdir()
        (self.box.root / "mlflow.db").unlink(missing_ok=True)

    def list_processes(self) -> list[str]:
        """Processes that were started in the copy and still live, after a moment to end."""
        places = (self.box.root, self.scratch)
        ended = wait_until(lambda: not _find_processes(*places), _ENDS_WITHIN_S)
        return [] if ended else _find_processes(*places)

    def list_left_over(self) -> list[str]:
        """What a run that ended well must not leave."""
        state = self.box.root / ".snakemake"
        found = [
            *(p for p in self.scratch.iterdir() if not _is_of_start(p)),
            *(state / "locks").glob("*"),
            *(state / "incomplete").glob("*"),
            *self.box.root.glob("work/**/*.partial"),
            *self.box.root.glob("**/*.ckpt"),
        ]
        return [str(path) for path in found] + self.list_processes()


def _measure_cpu_s(number: int) -> float:
    """CPU time of a process and of all that it has started, those that have ended included."""
    used = 0.0
    with suppress(psutil.Error):
        process = psutil.Process(number)
        for one in [process, *process.children(recursive=True)]:
            with suppress(psutil.Error):
                used += sum(one.cpu_times()[:4])
    return used


def _name_programs(number: int) -> str:
    """Which programs of the workflow a process has started that still run."""
    found = set()
    with suppress(psutil.Error):
        for one in psutil.Process(number).children(recursive=True):
            with suppress(psutil.Error):
                found.update(re.findall(r"workflow_scripts/(\w+)\.py", " ".join(one.cmdline())))
    return ", ".join(sorted(found)) or "no program"


def _is_of_start(path: Path) -> bool:
    """Whether Snakemake made a folder before it read the Snakefile, which then removes it.

    A kill in these two seconds leaves an empty one, of which nobody can tell whose it was.
    """
    return path.name.startswith("snakemake") and not any(path.iterdir())


def _find_processes(*folders: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["pid", "cwd", "cmdline", "status"]):
        about = process.info
        if about["pid"] == os.getpid() or about["status"] == psutil.STATUS_ZOMBIE:
            continue
        words = " ".join([about["cwd"] or "", *(about["cmdline"] or [])])
        if any(str(folder) in words for folder in folders):
            found.append(f"process {about['pid']}: {words[:200]}")
    return found


def run(
    n_kills: int,
    seed: int,
    root: Path,
    command: Sequence[str] = WHOLE,
    latest: float = LATEST_KILL,
    say: bool = False,
) -> list[str]:
    """Kill so many runs; return what went wrong, in sentences.

    Parameters
    ----------
    n_kills, seed
        How many, and what their times are drawn from.
    root
        An empty folder.
    command
        Arguments of ``snakemake``.
    latest
        Share of the CPU time of an undisturbed run after which a run is killed at the latest.
    say
        Tell of every kill.
    """
    study = KilledRuns(root, command)
    chance = random.Random(seed)
    if study.run() != 0:
        return [f"the undisturbed run failed: {study.log.read_text()[-3000:]}"]
    usual_s = study.used_s
    expected = study.describe_results()
    problems = [f"undisturbed run: {left}" for left in study.list_left_over()]
    study.forget_results()
    kills = rounds = 0
    while kills < n_kills or rounds == 0:
        # In the last round the run may end.
        after_s = chance.uniform(0.05, latest) * usual_s if kills < n_kills else math.inf
        status = study.run(after_s)
        if status is None:
            kills += 1
            problems += [f"after kill {kills}: {left}" for left in study.list_processes()]
            if say:
                print(f"kill {kills} of {n_kills} after {after_s:.1f} s: {study.hit}", flush=True)
            if kills < n_kills:
                continue
            status = study.run()
        rounds += 1
        if status != 0:
            problems.append(
                f"after kill {kills}: the run failed ({status}): {study.log.read_text()[-3000:]}"
            )
        problems += compare_results(expected, study.describe_results(), f"after kill {kills}")
        problems += [f"after kill {kills}: left over: {left}" for left in study.list_left_over()]
        if say:
            print(f"round {rounds} ended, {len(problems)} problems", flush=True)
        study.forget_results()
    return problems


def compare_results(expected: dict[str, str], found: dict[str, str], when: str) -> list[str]:
    """Return a sentence for every result that is missing, new or different."""
    return [
        f"{when}: {place} is "
        + ("missing" if place not in found else "new" if place not in expected else "different")
        for place in sorted(expected.keys() | found.keys())
        if expected.get(place) != found.get(place)
    ]


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="killed-runs-") as root:
        problems = run(arguments.kills, arguments.seed, Path(root), say=True)
        for problem in problems[:40]:
            print(problem)
    print(f"{len(problems)} problems after {arguments.kills} kills (seed {arguments.seed}).")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
