"""One run of the workflow at a time in a folder, and no lock that outlives the run that set it."""

import errno
import fcntl
import json
import os
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from batteryscope.core.disk_space import explain_full_disk
from batteryscope.errors import BatteryscopeError, DiskFullError

CLAIM_NAME = "run.lock"
LOCKS_NAME = "locks"  # where Snakemake keeps its own, which say nothing about who set them


class FolderBusyError(BatteryscopeError):
    """Another run is at work in the folder, or perhaps on another machine."""


class FolderUnwritableError(BatteryscopeError):
    """Snakemake cannot keep its notes in the folder."""


@dataclass(frozen=True)
class RunOwner:
    """Who works in a folder: number of the process, its machine, when it began.

    ``on_cluster`` says that its jobs are at work elsewhere, and go on if it is killed.
    """

    process: int
    machine: str
    since: str
    on_cluster: bool = False


@dataclass(frozen=True)
class RunClaim:
    """The right to run, held as long as this process lives and the stream is open.

    Attributes
    ----------
    stream
        Its lock goes with the process, however that ends; programs do not inherit it.
    released
        Whose lock was found and taken away; None where there was none.
    """

    stream: IO[str]
    released: RunOwner | None


def claim_folder(
    state: Path, on_cluster: bool = False, releases_all: bool = False
) -> RunClaim | None:
    """Claim a folder for a run of the workflow and release the lock of a killed run.

    Parameters
    ----------
    state
        Snakemake's folder ``.snakemake``; made if need be.
    on_cluster
        Whether the run hands its jobs to a cluster.
    releases_all
        Whether the user says that whatever lock is left is of a dead run.

    Returns
    -------
    RunClaim or None
        To be kept until the run ends; None where the file system has no locks, so that nothing is
        known and Snakemake's own lock decides.

    Raises
    ------
    FolderBusyError
        If another run holds the claim, or set its lock on another machine, or left jobs on a
        cluster.
    FolderUnwritableError
        If the folder cannot be made or written.
    DiskFullError
        If there is no room for it.
    """
    path = state / CLAIM_NAME
    try:
        state.mkdir(parents=True, exist_ok=True)
        stream = path.open("a+", encoding="utf-8")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(explain_full_disk(state)) from None
        raise FolderUnwritableError(
            f"{state.absolute()}: cannot be written ({error.strerror}), but a run keeps its notes "
            "there; allow it, or run a copy of the project in a folder of your own"
        ) from None
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        raise FolderBusyError(_tell_busy(read_owner(path), state)) from None
    except OSError:
        stream.close()
        return None
    before, machine = read_owner(path), socket.gethostname()
    locks = sorted((state / LOCKS_NAME).glob("*.lock"))
    if locks and before and not releases_all and (before.on_cluster or before.machine != machine):
        stream.close()
        raise FolderBusyError(_tell_unknown(before, state))
    for lock in locks:
        lock.unlink(missing_ok=True)
    since = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
    now = RunOwner(os.getpid(), machine, since, on_cluster)
    with suppress(OSError):  # a full disk: the lock counts, whatever the note says
        stream.truncate(0)
        json.dump(asdict(now), stream)
        stream.flush()
    return RunClaim(stream, (before or RunOwner(0, machine, "")) if locks else None)


def find_run(state: Path) -> RunOwner | None:
    """Return who works in a folder now, as far as its file system can tell; None if nobody does."""
    path = state / CLAIM_NAME
    try:
        with path.open("r", encoding="utf-8") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return read_owner(path) or RunOwner(0, socket.gethostname(), "")
    except OSError:
        return None
    return None


def read_owner(path: Path) -> RunOwner | None:
    """Return who wrote a claim; None if nobody has, or what is written is no claim."""
    try:
        return RunOwner(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def describe_release(owner: RunOwner) -> str:
    """Return the line that tells of a lock that was released."""
    who = f"process {owner.process}, begun {owner.since}" if owner.process else "an earlier one"
    return f"The run before this one ({who}) was killed; its lock is released."


def _tell_unknown(owner: RunOwner, state: Path) -> str:
    left = f"{state.absolute().parent}: a run that began {owner.since} on the machine"
    if owner.on_cluster:
        return (
            f"{left} {owner.machine} was killed, and its jobs may still be at work on the cluster; "
            "look at its queue (squeue, qstat), wait for them or stop them, then type: "
            "snakemake --unlock"
        )
    return (
        f"{left} {owner.machine} has left its lock, and whether it still goes on cannot be seen "
        "from here; if it does not, type: snakemake --unlock"
    )


def _tell_busy(owner: RunOwner | None, state: Path) -> str:
    who = (
        f"process {owner.process} on {owner.machine}, since {owner.since}"
        if owner
        else "its process is not known"
    )
    stop = f", or stop it with: kill {owner.process}" if owner else ""
    return (
        f"{state.absolute().parent}: another run is at work in this folder ({who}); "
        f"wait until it has ended{stop}"
    )
