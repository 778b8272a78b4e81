"""Where faults take place: copies of a small project, and what undisturbed runs of it make."""

import functools
import json
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.kill_runs import WHOLE, KilledRuns, compare_results


class Bench:
    """A folder in which the cases take place, and what undisturbed runs made.

    Parameters
    ----------
    root
        An empty folder.
    seed
        What kills and damage are drawn from.
    kills
        How many whole runs are killed.
    """

    def __init__(self, root: Path, seed: int, kills: int) -> None:
        self.root, self.seed, self.kills = root, seed, kills
        self._n = 0
        self.draw_anew("")

    def draw_anew(self, case: str) -> None:
        """Let kills and damage of a case be the same, whichever cases ran before it."""
        self.chance = random.Random(f"{self.seed} {case}")

    def begin(self, command: tuple[str, ...]) -> KilledRuns:
        """Return a fresh copy of the project."""
        self._n += 1
        place = self.root / str(self._n)
        place.mkdir()
        return KilledRuns(place, command)

    @functools.cached_property
    def undisturbed(self) -> KilledRuns:
        """A whole run that nothing has happened to."""
        study = self.begin(WHOLE)
        assert study.run() == 0, study.log.read_text()[-3000:]
        return study

    @functools.cached_property
    def expected(self) -> dict[str, str]:
        """Its results."""
        return self.undisturbed.describe_results()

    def copy_finished(self) -> KilledRuns:
        """Return a copy of the finished project."""
        study, source = self.begin(WHOLE), self.undisturbed.box.root
        for name in ("work", "models", "reports", "data", ".snakemake", "mlflow.db"):
            target = study.box.root / name
            if (source / name).is_dir():
                shutil.copytree(source / name, target, dirs_exist_ok=True)
            elif (source / name).is_file():
                shutil.copy2(source / name, target)
        return study

    def end_well(self, study: KilledRuns, compared: bool = True) -> None:
        """Give the command of a whole run and look at everything that it leaves."""
        study.command = ["snakemake", *WHOLE]
        assert study.run() == 0, study.log.read_text()[-3000:]
        if compared:
            different = compare_results(self.expected, study.describe_results(), "afterwards")
            assert not different, different
        left = study.list_left_over()
        assert not left, left
        assert "Traceback" not in study.log.read_text()


def fail_once(study: KilledRuns, words: str, **how) -> str:
    """Run; it has to fail, and to say so in a sentence with certain words, which comes back."""
    status = study.run(**how)
    text = study.log.read_text()
    assert status not in (0, None), f"the run ended with {status}: {text[-2000:]}"
    told = [line for line in text.splitlines() if re.search(words, line)]
    assert told, f"nothing about '{words}': {text[-3000:]}"
    assert "Traceback" not in text, text[-3000:]
    return told[0].strip()[:160]


@contextmanager
def mount(place: Path, *options: str) -> Iterator[None]:
    """Mount something at a place."""
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", *options, str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def fill_disk(study: KilledRuns, place: Path, size: str, words: str) -> str:
    """Let a place have a disk of its own that is full in the middle of a run."""
    with mount(place, "-t", "tmpfs", "-o", f"size={size}", "tmpfs"):
        told = fail_once(study, words)
        kept = shutil.copytree(place, study.scratch.parent / "kept", symlinks=True)
    study.log.write_text("")
    shutil.copytree(kept, place, symlinks=True, dirs_exist_ok=True)
    return told


def forget_record(study: KilledRuns) -> None:
    """Let a finished study be recorded once more."""
    for name in ("tracked.json", "published.json"):
        (study.box.root / "work/check" / name).unlink()


def read_status(study: KilledRuns) -> str:
    """Whether the runs of a study are in MLflow, by tracked.json."""
    return json.loads((study.box.root / "work/check/tracked.json").read_text())["status"]


def kill_program(pattern: str, killed: list[str]) -> Callable[[int], bool]:
    """Make what kills the first program of a run whose command line matches.

    Parameters
    ----------
    pattern
        A regular expression with one group: what to call the program.
    killed
        Gets the names.
    """

    def kill(number: int) -> bool:
        with suppress(psutil.Error):
            for one in psutil.Process(number).children(recursive=True):
                named = re.search(pattern, " ".join(one.cmdline()))
                if named and "python" in one.name():
                    one.kill()
                    killed.append(named[1])
                    return True
        return False

    return kill
