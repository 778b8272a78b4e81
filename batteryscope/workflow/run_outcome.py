"""Whether a run has left what it was asked for, judged by what lies on the disk."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
