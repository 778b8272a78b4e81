"""Which jobs of a run are at work, and how far they are, by the logs that they write."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from batteryscope.workflow.job_costs import read_seconds

LAST_BYTES = 4096
ENDED = (" finished after ", " ERROR ")
_COUNTED = ("epoch", "fit")  # what a training counts in its messages: "fit 2 of 5", "epoch 3 of 12"


@dataclass(frozen=True)
class RunningJob:
    """A job at work.

    Attributes
    ----------
    study, job
        Names of its study, and of its log.
    seconds
        For how long it has been at work.
    usual_s
        What it took the last time (s); None if it has never ended.
    epoch
        How far a training is; "" for other jobs.
    """

    study: str
    job: str
    seconds: float
    usual_s: float | None
    epoch: str = ""


def list_running(work: Path, began: datetime, now: datetime | None = None) -> list[RunningJob]:
    """Return the jobs that have begun after a run, and have not ended.

    Parameters
    ----------
    work
        Folder with ``<study>/logs/*.log``.
    began
        When the run began.
    now
        The time; that of the clock if not given.
    """
    now = datetime.now() if now is None else now
    return [
        RunningJob(
            study,
            path.stem,
            (now - start).total_seconds(),
            read_seconds(benchmark),
            read_epoch(path),
        )
        for study, path, start in _list_logs(work)
        if start >= began and not _has_ended(path)
        for benchmark in [path.parent.parent / "benchmarks" / f"{path.stem}.tsv"]
    ]


def _list_logs(work: Path) -> Iterator[tuple[str, Path, datetime]]:
    """Study, log and begin of all jobs; a log's first line says when it began."""
    for path in sorted(work.glob("*/logs/*.log")):
        try:
            with path.open(encoding="utf-8", errors="replace") as stream:
                words = stream.readline().split(",")[0]
            yield path.parent.parent.name, path, datetime.fromisoformat(words)
        except (OSError, ValueError):
            continue


def read_epoch(path: Path) -> str:
    """Return how far a training is by its log, as ``epoch 3/12, fit 2/5``; "" if unknown."""
    text = "\n".join(_read_last_lines(path))
    counts = []
    for word in _COUNTED:
        found = re.findall(rf"\b{word} (\d+) of (\d+)\b", text)
        counts += [f"{word} {found[-1][0]}/{found[-1][1]}"] if found else []
    return ", ".join(counts)


def read_messages(path: Path, level: str) -> list[str]:
    """Return the messages of a level, such as ``ERROR``, in a job's log; none if it has none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    found = [line.split(f" {level} ", 1)[1:] for line in text.splitlines()]
    return list(dict.fromkeys(words[0] for words in found if words))


def _has_ended(path: Path) -> bool:
    if not path.is_file():  # the next run has taken it away
        return True
    return any(word in line for line in _read_last_lines(path)[-1:] for word in ENDED)


def _read_last_lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - LAST_BYTES))
            return stream.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return []
