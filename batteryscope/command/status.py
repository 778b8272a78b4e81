"""What stands and what runs in a project, before Snakemake says what is still to do."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from batteryscope.command.arguments import list_names
from batteryscope.planning.study_layout import REPORTS
from batteryscope.workflow.job_costs import show_time
from batteryscope.workflow.run_claim import find_run
from batteryscope.workflow.running_jobs import RunningJob, list_running

DATE = "%Y-%m-%d %H:%M"


def list_begun(project: Path) -> list[str]:
    """Return the studies of which jobs have run."""
    return [name for name in list_names(project) if (project / "work" / name / "logs").is_dir()]


def describe_status(project: Path) -> Iterator[str]:
    """Say line by line what is published, and what is running since when.

    Parameters
    ----------
    project
        The user's folder.
    """
    names = list_names(project)
    begun = list_begun(project)
    width = max(map(len, names), default=0)
    for name in names:
        page = project / REPORTS / name / "report.html"
        if page.is_file():
            when = datetime.fromtimestamp(page.stat().st_mtime).strftime(DATE)
            yield f"{name:<{width}}  published {when}  {page}"
        else:
            yield f"{name:<{width}}  {'begun' if name in begun else 'not begun'}"
    owner = find_run(project / ".snakemake")
    if owner is None:
        yield "No run is at work."
        return
    yield f"A run is at work: process {owner.process} on {owner.machine}, since {owner.since}."
    try:
        began = datetime.fromisoformat(owner.since)
    except ValueError:
        return
    for job in list_running(project / "work", began):
        yield f"  {_describe_job(job)}"


def _describe_job(job: RunningJob) -> str:
    usual = "" if job.usual_s is None else f", the last time {show_time(job.usual_s)} in all"
    epoch = f", {job.epoch}" if job.epoch else ""
    return f"{job.study}: {job.job} for {show_time(job.seconds)}{usual}{epoch}"
