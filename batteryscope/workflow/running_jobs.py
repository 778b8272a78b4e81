"""Which jobs of a run are at work, by the logs that they write."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from batteryscope.workflow.job_costs import read_seconds

LAST_BYTES = 4096
ENDED = (" finished after ", " ERROR ")


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
    """

    study: str
    job: str
    seconds: float
    usual_s: float | None


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
        RunningJob(study, path.stem, (now - start).total_seconds(), read_seconds(benchmark))
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


def _has_ended(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - LAST_BYTES))
            last = stream.read().decode("utf-8", errors="replace").splitlines()[-1:]
    except OSError:  # the next run has taken it away
        return True
    return any(word in line for line in last for word in ENDED)
