"""Files dated later than the clock: Snakemake ends every job that reads one, in every run anew.

That happens where the clock was set back, or where files come from a machine whose clock is ahead.
"""

import os
import shlex
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from batteryscope.errors import InputError

# The workflow's own; files of the user are never changed.
OWN_FOLDERS = ("work", "batteryscope", "workflow_scripts")
_FOLDER_DATE = ".snakemake_timestamp"  # in folders that jobs have left; it counts as their date
_MOST_NAMES = 20


def bring_to_present(
    inputs: Iterable[str], now_s: float | None = None, kept: Iterable[str] = ()
) -> list[str]:
    """Give the workflow's own files that are dated later than the clock the present date.

    Whatever was older stays older, so that no job counts as outdated because of this.

    Parameters
    ----------
    inputs
        What the jobs of a run read; what is not there yet is left alone.
    now_s
        The time (s since 1970); that of the clock if not given.
    kept
        What finished jobs read and left. Only the workflow's own files among it are looked at: with
        a date in the future they would count as newer than what this run renews.

    Returns
    -------
    list of str
        The files that got another date.

    Raises
    ------
    InputError
        If files of the user, or such that cannot be changed, are dated later.
    """
    now_s = time.time() if now_s is None else now_s
    changed, others = [], []
    own = {name for name in kept if Path(name).parts[0] in OWN_FOLDERS}
    for name in sorted({*inputs, *own}):
        path = _find_dated(Path(name))
        if not path.exists() or path.stat().st_mtime <= now_s:
            continue
        try:
            if Path(name).parts[0] not in OWN_FOLDERS:
                raise PermissionError
            os.utime(path, (now_s, now_s))
            changed.append(name)
        except OSError:
            others.append(name)
    if others:
        raise InputError(_explain(others, now_s))
    return changed


def describe_change(names: list[str], now_s: float | None = None) -> str:
    """Return the line that tells of files that got another date."""
    now = _write_time(time.time() if now_s is None else now_s)
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}: dated later than the clock ({now}), which is their date now."


def _find_dated(path: Path) -> Path:
    inside = path / _FOLDER_DATE
    return inside if inside.exists() else path


def _explain(names: list[str], now_s: float) -> str:
    when = _write_time(_find_dated(Path(names[0])).stat().st_mtime)
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    command = f"touch {shlex.join(names)}" if len(names) <= _MOST_NAMES else "touch all of them"
    return (
        f"{names[0]}{more}: dated {when}, which is later than the clock ({_write_time(now_s)}), so "
        f"that nobody can tell what is newer; set the clock right, or type: {command}"
    )


def _write_time(time_s: float) -> str:
    return datetime.fromtimestamp(time_s).strftime("%Y-%m-%d %H:%M:%S")
