"""What a run shows at a terminal: a line per study with its jobs, the time left, and what runs."""

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID
from rich.table import Column
from rich.text import Text

from batteryscope.core.safe_text import show_controls
from batteryscope.workflow.job_costs import PlannedJob, show_time
from batteryscope.workflow.running_jobs import read_epoch

ALL = "all"
REFRESHES_PER_S = 2.0
NAME_WIDTH, BAR_WIDTH, TIME_WIDTH = 20, 12, 8  # letters
_HASH = re.compile(r"-[0-9a-f]{8}\b")  # names of chains end in one


@dataclass(frozen=True)
class JobAtWork:
    """A job that has begun: what it does, its logs, and when it began (s of a steady clock)."""

    study: str
    key: str
    what: str
    logs: tuple[Path, ...]
    since: float


class RunBars:
    """Bars of a run, at the bottom of a terminal.

    Parameters
    ----------
    console
        The terminal.
    clock
        Returns seconds of a steady clock.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._lock = threading.Lock()  # never held while something is written
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._planned: dict[str, PlannedJob] = {}
        self._expected_s: dict[str, float | None] = {}
        self._measured_s: dict[str, list[float]] = {}
        self._at_work: dict[int, JobAtWork] = {}
        self._ended: dict[str, float] = {}
        self._failed: dict[str, str] = {}
        self._cores, self._began = 1, clock()

    def expect(
        self, jobs: Sequence[PlannedJob], seconds: Iterable[float | None], cores: int
    ) -> None:
        """Begin to show bars.

        Parameters
        ----------
        jobs
            All that will run.
        seconds
            What each is expected to take by the clock; None where nothing is known.
        cores
            Of the machine.
        """
        if self._progress is not None or not jobs:
            return
        self._planned = {job.benchmark: job for job in jobs}
        self._expected_s = {job.benchmark: s for job, s in zip(jobs, seconds, strict=True)}
        self._cores, self._began = max(1, cores), self._clock()
        studies = sorted({job.study for job in jobs})
        self._progress = Progress(
            _Words(lambda study: study, Column(max_width=NAME_WIDTH)),
            BarColumn(BAR_WIDTH, complete_style="cyan", finished_style="green"),
            MofNCompleteColumn(table_column=Column(no_wrap=True, justify="right")),
            _Words(self.tell_time_left, Column(justify="right", min_width=TIME_WIDTH)),
            _Words(self.tell_work, Column(ratio=1)),
            console=self._console,
            refresh_per_second=REFRESHES_PER_S,
            expand=True,
        )
        for study in [*studies, *([ALL] if len(studies) > 1 else [])]:
            total = sum(job.study == study or study == ALL for job in jobs)
            self._tasks[study] = self._progress.add_task("", total=total, study=study)
        self._progress.start()
        self._console.show_cursor(True)  # a killed run could not bring it back

    def begin_job(self, number: int, key: str, what: str, logs: Iterable[str]) -> None:
        """Take note of a job's begin.

        Parameters
        ----------
        number
            Its number in the run.
        key
            Its benchmark file, as it was planned.
        what
            What it does, in words.
        logs
            Its log files.
        """
        study = self._planned[key].study if key in self._planned else ""
        what = _HASH.sub("", show_controls(what)).removeprefix(f"{study}: ")
        job = JobAtWork(study, key, what, tuple(map(Path, logs)), self._clock())
        with self._lock:
            self._at_work[number] = job
            self._failed.pop(study, None)  # a job that is tried again is no failure yet

    def end_job(self, number: int) -> JobAtWork | None:
        """Take note of a job's end; return it, None if it was not known."""
        with self._lock:
            job = self._at_work.pop(number, None)
            if job is None or job.key not in self._planned or job.key in self._ended:
                return job
            now = self._clock()
            self._ended[job.key] = now
            self._measured_s.setdefault(self._planned[job.key].rule, []).append(now - job.since)
        for name in (job.study, ALL):
            if self._progress is not None and name in self._tasks:
                self._progress.advance(self._tasks[name])
        return job

    def fail_job(self, number: int, stopped: bool = False) -> JobAtWork | None:
        """Take note of a job that failed, or was stopped by the user; return it, if it is known."""
        with self._lock:
            job = self._at_work.pop(number, None)
            if job is not None:
                self._failed[job.study] = f"{'stopped' if stopped else 'failed'}: {job.what}"
        return job

    def say(self, text: str, colour: str = "") -> None:
        """Write lines above the bars."""
        self._console.print(Text.from_ansi(text), style=colour or None, soft_wrap=True)

    def close(self) -> None:
        """Leave the bars as they are; what is written from now on stands below."""
        if self._progress is not None:
            self._progress.stop()

    def tell_time_left(self, study: str) -> str:
        """Return what the rest of a study takes if it has the machine alone; "" if unknown.

        What a rule has taken in this run counts where no earlier run tells; ``>`` says that nothing
        is known yet of some of the jobs.
        """
        with self._lock:
            now = self._clock()
            spent = {job.key: now - job.since for job in self._at_work.values()}
            rest = [
                (job, self._expect_seconds(key), spent.get(key, 0.0))
                for key, job in self._planned.items()
                if key not in self._ended and study in (job.study, ALL)
            ]
        known = [
            max(0.0, seconds - past) * min(max(job.cores, 1), self._cores)
            for job, seconds, past in rest
            if seconds is not None
        ]
        if not known:
            return ""
        sign = "" if len(known) == len(rest) else "> "
        return f"{sign}{show_time(sum(known) / self._cores)}"

    def tell_work(self, study: str) -> str:
        """Return what is at work in a study: epoch and fit of a training, and the job."""
        with self._lock:
            at_work = [job for job in self._at_work.values() if job.study == study]
            keys = [key for key, job in self._planned.items() if study in (job.study, ALL)]
            ends = [self._ended[key] for key in keys if key in self._ended]
        if len(ends) == len(keys):
            return f"done in {show_time(max(ends) - self._began)}"
        if study in self._failed and not at_work:
            return self._failed[study]
        if not at_work:
            return "time left" if study == ALL else ""
        # The one that has been at work longest is what the rest waits for.
        job = min(at_work, key=lambda job: job.since)
        epochs = [found for path in job.logs if (found := read_epoch(path))]
        others = f" (+{len(at_work) - 1})" if len(at_work) > 1 else ""
        return ", ".join([*epochs[:1], f"{job.what}{others}"])

    def _expect_seconds(self, key: str) -> float | None:
        if (seconds := self._expected_s[key]) is not None:
            return seconds
        measured = self._measured_s.get(self._planned[key].rule)
        return median(measured) if measured else None


class _Words(ProgressColumn):
    """A column of plain text that never needs a second line."""

    def __init__(self, say: Callable[[str], str], column: Column) -> None:
        column.no_wrap, column.overflow = True, "ellipsis"
        super().__init__(table_column=column)
        self._say = say

    def render(self, task: Task) -> Text:
        return Text(self._say(task.fields["study"]), no_wrap=True, overflow="ellipsis")


def make_bars(
    stream: TextIO, environment: Mapping[str, str], colours: bool = True
) -> RunBars | None:
    """Return bars for a stream; None where it is no terminal on which lines can be replaced."""
    if not stream.isatty():
        return None
    console = Console(
        file=stream,
        no_color=None if colours else True,
        highlight=False,
        markup=False,
        _environ=environment,
    )
    if not console.is_terminal or console.is_dumb_terminal:
        return None
    return RunBars(console)
