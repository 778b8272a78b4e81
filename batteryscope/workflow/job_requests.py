"""What a job asks of a cluster: time and memory, from earlier jobs of the same rule."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from batteryscope.workflow.job_costs import find_measured_jobs

# Written at the end of each log; benchmark files know nothing of a program in a fork.
_PEAK = re.compile(r"finished after .* CPU time, (\d+) MB of memory at most")
# A node may be slower than the one that was measured, and data differ a little from run to run.
TIME_MARGIN, MEMORY_MARGIN = 3.0, 1.5
LEAST_MINUTES, LEAST_MEMORY_MB = 10, 500
UNKNOWN_MINUTES = 60  # as long as nothing was measured


@dataclass(frozen=True)
class MeasuredJobs:
    """The most that jobs of a rule took: seconds by the clock, MB of memory."""

    seconds: float = 0.0
    memory_mb: float = 0.0


def measure_jobs(
    work: Path, rules: Iterable[str], contexts: Mapping[str, str]
) -> dict[tuple[str, str], MeasuredJobs]:
    """Return the most that earlier jobs took, by rule and study.

    Parameters
    ----------
    work
        The folder with ``<study>/benchmarks/*.tsv`` and ``<study>/logs/*.log``.
    rules
        Names of all rules, with which the names of these files begin.
    contexts
        What the times of a study depend on, see :func:`batteryscope.workflow.job_costs`.

    Returns
    -------
    dict
        By (rule, study).
    """
    found: dict[tuple[str, str], MeasuredJobs] = {}
    for rule, study, seconds, path in find_measured_jobs(work, rules, contexts):
        memory = _read_peak_mb(path.parent.parent / "logs" / f"{path.stem}.log")
        known = found.get((rule, study), MeasuredJobs())
        found[rule, study] = MeasuredJobs(max(known.seconds, seconds), max(known.memory_mb, memory))
    return found


def request_minutes(measured: MeasuredJobs | None, attempt: int, unknown: int) -> int:
    """Return the minutes to ask for; twice as many with each further attempt.

    Parameters
    ----------
    measured
        What earlier jobs took.
    attempt
        From 1.
    unknown
        Minutes where nothing was measured.

    Examples
    --------
    >>> request_minutes(MeasuredJobs(seconds=1200), 1, 60), request_minutes(None, 2, 60)
    (60, 120)
    """
    known = measured.seconds * TIME_MARGIN / 60 if measured else 0
    minutes = max(LEAST_MINUTES, math.ceil(known)) if known else unknown
    return int(minutes * 2 ** (attempt - 1))


def request_memory_mb(measured: MeasuredJobs | None, attempt: int, unknown: int) -> int:
    """Return the MB of memory to ask for; twice as many with each further attempt.

    Examples
    --------
    >>> request_memory_mb(MeasuredJobs(memory_mb=2000), 1, 6000), request_memory_mb(None, 2, 6000)
    (3000, 12000)
    """
    known = measured.memory_mb * MEMORY_MARGIN if measured else 0
    memory = max(LEAST_MEMORY_MB, math.ceil(known)) if known else unknown
    return int(memory * 2 ** (attempt - 1))


@dataclass(frozen=True)
class JobRequests:
    """What jobs ask for, as values of Snakemake's resources.

    Parameters
    ----------
    measure
        Gives what earlier jobs took, by (rule, study), here or on another machine.
    on_cluster
        Elsewhere requests are what the rules say, and jobs may take more.
    """

    measure: Callable[[], Mapping[tuple[str, str], MeasuredJobs]]
    on_cluster: bool

    @cached_property
    def _measured(self) -> Mapping[tuple[str, str], MeasuredJobs]:
        return self.measure()

    def ask_memory(self, rule: str, unknown_mb: int) -> int | Callable[[Any, int], int]:
        """Return the MB of memory of a job of a rule, or what gives them for its wildcards."""
        if not self.on_cluster:
            return unknown_mb
        return lambda wildcards, attempt: request_memory_mb(
            self._measured.get((rule, wildcards.study)), attempt, unknown_mb
        )

    def ask_minutes(self, rule: str) -> int | Callable[[Any, int], int]:
        """Return the minutes of a job of a rule, or what gives them for its wildcards."""
        if not self.on_cluster:
            return UNKNOWN_MINUTES
        return lambda wildcards, attempt: request_minutes(
            self._measured.get((rule, wildcards.study)), attempt, UNKNOWN_MINUTES
        )


def share_cores(cores: int, targets: Iterable[str], studies: Sequence[str]) -> int:
    """Return the cores of one job among those of several studies, which fill a machine better.

    Parameters
    ----------
    cores
        All that the run may use.
    targets
        What it was asked for: studies, or files below folders with their names; else all are built.
    studies
        The names of all studies.

    Examples
    --------
    >>> share_cores(8, ["work/a/bundle"], ["a", "b"]), share_cores(8, [], ["a", "b"])
    (8, 4)
    """
    named = {part for target in targets for part in target.split("/")} & set(studies)
    return max(1, cores // max(1, len(named or studies)))


def _read_peak_mb(log: Path) -> float:
    try:
        found = _PEAK.findall(log.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return 0.0
    return max(map(float, found), default=0.0)
