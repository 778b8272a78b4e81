"""Watches a run from its first look at the work to its last word.

Snakemake counts jobs; people want to know what a run will take, and which files it leaves.
"""

import os
import sys
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from batteryscope.core.disk_space import explain_full_disk, is_disk_full
from batteryscope.core.safe_text import show_controls
from batteryscope.workflow.file_dates import bring_to_present, describe_change
from batteryscope.workflow.job_costs import (
    PlannedJob,
    describe_cost,
    estimate_cost,
    expect_seconds,
    note_context,
)
from batteryscope.workflow.result_ledger import forget_results, note_results
from batteryscope.workflow.run_log import RunLogHandler

WORK = Path("work")
SHOWN_FILES = 3


@dataclass(frozen=True)
class JobOutcome:
    """A job that belongs to what was asked for, whether or not it had to run.

    Attributes
    ----------
    inputs, outputs
        Paths that it reads, and those that it leaves for good.
    ran
        Whether this run did its work.
    is_outdated
        Whether its outputs come from other settings, inputs or code than today's.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    ran: bool
    is_outdated: bool = False


def explain_gaps(
    jobs: Sequence[JobOutcome],
    asked: Sequence[str],
    exists: Callable[[str], bool] = os.path.exists,
) -> str:
    """Say what is missing or not of the present state, after a run that claims success.

    Parameters
    ----------
    jobs
        All jobs behind what was asked for.
    asked
        Paths that were asked for. What lies between may be missing: whatever is made from it is
        there, and it is made again when it is needed.
    exists
        Tells whether a path is there.

    Returns
    -------
    str
        What is wrong and what to do; empty where all that was asked for is there and current.
        An output is not current if its job is outdated, or did not run although a job whose
        outputs it reads did.
    """
    made = {path for job in jobs if job.ran for path in job.outputs}
    missing = [path for path in asked if not exists(path)]
    stale = [
        path
        for job in jobs
        if not job.ran and (job.is_outdated or made.intersection(job.inputs))
        for path in job.outputs
        if path not in missing
    ]
    problems = [("missing", missing), ("not made anew", stale)]
    told = [f"{word}: {_list_paths(paths)}" for word, paths in problems if paths]
    if not told:
        return ""
    return (
        "The run has ended, but what was asked for is not complete and current "
        f"({'; '.join(told)}). Run the same command again."
    )


def _list_paths(paths: Sequence[str]) -> str:
    shown = sorted(paths)[:SHOWN_FILES]
    more = len(paths) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


@dataclass(frozen=True)
class RunJob:
    """A job behind what a run was asked for.

    Attributes
    ----------
    rule, study
        Name of its rule (in a module with a word before it), and of its study ("" for none).
    inputs, outputs
        Paths that it reads, and those that it leaves for good.
    benchmark, cores
        The file with what it used ("" for targets, which do no work), and its threads.
    is_needed, has_run, is_asked
        Whether the run has to do it, has done it, and was asked for this very job.
    is_outdated
        Tells whether its outputs come from other settings, inputs or code than today's.
    """

    rule: str
    study: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    benchmark: str = ""
    cores: int = 1
    is_needed: bool = False
    has_run: bool = False
    is_asked: bool = False
    is_outdated: Callable[[], bool] = bool


@dataclass
class RunWatch:
    """Tells what a run will take and whether all that was asked for is there at its end.

    Parameters
    ----------
    list_jobs, list_rules
        Give all jobs behind what was asked for, none where Snakemake has found no plan; and the
        names of all rules.
    count_cores
        Gives the cores that jobs share.
    contexts
        Of every study: :func:`~batteryscope.workflow.job_costs.describe_context`.
    reports
        The folder of all published reports.
    log
        What shows the jobs, in place of Snakemake.
    keeps_notes, publishes
        Whether the run writes down what its jobs leave, and publishes results.
    """

    list_jobs: Callable[[], Sequence[RunJob]]
    list_rules: Callable[[], Sequence[str]]
    count_cores: Callable[[], int]
    reports: Path
    log: RunLogHandler | None = None
    keeps_notes: bool = False
    publishes: bool = False
    contexts: MutableMapping[str, str] = field(default_factory=dict)

    def tell_cost(self) -> list[PlannedJob]:
        """Tell the number of jobs to run and the time that earlier runs suggest; return them."""
        jobs = [
            PlannedJob(job.rule, job.study, job.benchmark, job.cores)
            for job in self.list_jobs()
            if job.is_needed and job.benchmark
        ]
        if jobs:
            cores = self.count_cores()
            estimate = estimate_cost(jobs, self.list_rules(), WORK, cores, self.contexts)
            _tell(describe_cost(estimate, cores))
        return jobs

    def begin(self) -> str:
        """Tell the cost, and note at which scale and of which images the coming times are.

        Returns
        -------
        str
            Words for the shell before every command of a job: beside bars what programs say goes
            to a file; warnings and errors are told from their logs.
        """
        jobs = self.tell_cost()
        note_context(WORK, {j.study: self.contexts[j.study] for j in jobs if j.study})
        if not (self.log and self.log.bars):
            return ""
        shown = self.log.keep_output(Path(".snakemake/log/programs.log"))
        seconds = expect_seconds(jobs, self.list_rules(), WORK, self.contexts)
        self.log.bars.expect(jobs, seconds, self.count_cores())
        return shown

    def note_start(self) -> None:
        """Forget what is about to be written; note what is kept and not known yet.

        Raises
        ------
        InputError
            Files of the user are dated later than the clock.
        """
        jobs = self.list_jobs()
        read = [path for job in jobs if job.is_needed for path in job.inputs]
        kept = [path for job in jobs for path in (*job.inputs, *job.outputs)]
        if changed := bring_to_present(read, kept=kept):
            _tell(describe_change(changed))
        if self.keeps_notes:
            forget_results([p for j in jobs if j.is_needed for p in j.outputs] + list_fits())
            note_results([p for j in jobs if not j.is_needed for p in j.outputs], renew=False)

    def note_end(self) -> None:
        """Note what the jobs of this run have left."""
        jobs = self.list_jobs()
        if self.keeps_notes and jobs:
            with suppress(OSError):  # a full disk has been told of
                note_results([p for job in jobs if job.has_run for p in job.outputs] + list_fits())

    def end_bars(self) -> None:
        """Leave bars as they are, so that what is said of the whole run stands below them."""
        if self.log and self.log.bars:
            self.log.bars.close()

    def find_pages(self) -> list[Path]:
        """Return what a person reads of all that was asked for: reports, pages of searches."""
        pages = []
        for job in self.list_jobs():
            if job.rule.endswith("publish_study"):
                pages.append(self.reports / job.study / "report.html")
            elif job.rule.endswith("summarise_search"):
                pages.append(Path(job.outputs[0]) / "search.html")
        pages = [page for page in sorted(pages) if page.is_file()]
        index = self.reports / "index.html"
        return [*pages, index] if len(pages) > 1 and index.is_file() else pages

    def tell_pages(self) -> None:
        """Name the pages, after all that Snakemake says: the last line is what people want."""
        # `snakemake --report` and others of its own chores say where their results are.
        for page in self.find_pages() if self.publishes else []:
            _tell(f"Report: {page.as_posix()}")


def find_gaps(jobs: Sequence[RunJob], is_partial: bool = False) -> str:
    """Say what of all that was asked for is missing or old.

    Parameters
    ----------
    jobs
        All jobs behind it.
    is_partial
        Whether the run ends at a step (``--until``), which then counts if it had to run: of what
        is finished, pieces between may be missing.
    """
    outcomes = [
        JobOutcome(
            job.inputs,
            job.outputs,
            ran=job.has_run,
            is_outdated=not job.has_run and job.is_outdated(),
        )
        for job in jobs
        if job.outputs
    ]
    targets = [job for job in jobs if job.is_asked and (job.is_needed or not is_partial)]
    return explain_gaps(outcomes, [path for job in targets for path in job.outputs or job.inputs])


def list_fits(work: Path = WORK) -> list[str]:
    """Return the fits that training keeps for itself, so that they outlive a killed job."""
    return [path.parent.as_posix() for path in work.glob("*/state/*/*/fit.json")]


def find_failures(since_s: float, work: Path = WORK) -> str:
    """Return the sentences that failed jobs have left in their logs, for the end of the output.

    Parameters
    ----------
    since_s
        Logs that are older (s since 1970) are of earlier runs.
    work
        The folder with ``<study>/logs/*.log``.
    """
    logs = [p for p in work.rglob("logs/*.log") if p.stat().st_mtime >= since_s]
    lines = [
        line.split(" ERROR ", 1)[1]
        for path in sorted(logs, key=lambda p: p.stat().st_mtime)
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if " ERROR " in line
    ]
    if not lines and is_disk_full(work):
        lines = [explain_full_disk(work)]  # which the jobs could not even log
    return "\n".join(["", "What went wrong:", *dict.fromkeys(lines)]) if lines else ""


def _tell(line: str) -> None:
    print(show_controls(line), file=sys.stderr, flush=True)
