"""What a run makes sure of before any work: room, rights, no other run, sound results."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from batteryscope.core.disk_space import check_free_space, check_writable
from batteryscope.workflow.result_ledger import describe_removal, remove_damaged
from batteryscope.workflow.run_claim import RunClaim, claim_folder, describe_release

WORK, STATE = Path("work"), Path(".snakemake")
PREFIX = "batteryscope-run-"
_OWNER = "owner"  # its lock goes with the process of the run, however that ends
_UNCLAIMED_SECONDS = 3600.0  # a folder without an owner is one of a run that was killed long ago


@dataclass(frozen=True)
class RunScratch:
    """A folder for temporary files; ``stream`` holds the lock that says it is in use."""

    folder: Path
    stream: IO[str]

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.stream.close()


def claim_scratch(parent: Path | None = None) -> RunScratch | None:
    """Make a folder for temporary files of this process and of those that it starts.

    What runs have left whose processes have ended is removed.

    Parameters
    ----------
    parent
        Where; the system's folder for temporary files if not given.

    Returns
    -------
    RunScratch or None
        To be removed at the end; None where there is no room for it, or there are no locks.
    """
    parent = parent or Path(tempfile.gettempdir())
    remove_dead(parent)
    try:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        new = folder / f"{_OWNER}.new"
        stream = new.open("w", encoding="utf-8")
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        new.rename(folder / _OWNER)  # only now others may ask whether it is in use
    except OSError:
        return None
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = str(folder)
    return RunScratch(folder, stream)


def remove_dead(parent: Path) -> None:
    """Remove the folders of this user's runs that have ended without removing them."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if folder.lstat().st_uid == os.getuid() and _is_dead(folder):
                shutil.rmtree(folder)


def _is_dead(folder: Path) -> bool:
    owner = folder / _OWNER
    if not owner.is_file():
        return time.time() - folder.stat().st_mtime > _UNCLAIMED_SECONDS
    with owner.open(encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@dataclass(frozen=True)
class StartedRun:
    """What a run holds until it ends, and the lines that a user should read before it begins."""

    claim: RunClaim | None = None
    scratch: RunScratch | None = None
    told: Sequence[str] = ()


def start_run(
    results: Iterable[Path],
    *,
    does_work: bool,
    takes_claim: bool,
    on_cluster: bool,
    releases_all: bool = False,
) -> StartedRun:
    """Look at the folders of a run, claim the one in which it works, remove damaged results.

    Parameters
    ----------
    results
        Folders to which results go, beside ``work``.
    does_work
        Whether jobs will run, and not only be shown.
    takes_claim
        Whether no other run may be at work in this folder meanwhile.
    on_cluster
        Whether jobs run elsewhere: they outlive a killed run, so its lock stays, and they do not
        see temporary files of this machine.
    releases_all
        Whether the user says that whatever lock is left is of a dead run.

    Raises
    ------
    BatteryscopeError
        There is no room, a folder cannot be written, or another run is at work.
    """
    for place in (WORK, STATE, Path(tempfile.gettempdir())):
        check_free_space(place)
    for place in (WORK, *results) if does_work else ():
        check_writable(place)
    claim = claim_folder(STATE, on_cluster, releases_all) if takes_claim else None
    if claim is None:
        return StartedRun()
    scratch = None if on_cluster else claim_scratch()
    told = [describe_release(claim.released)] if claim.released else []
    return StartedRun(claim, scratch, [*told, *map(describe_removal, remove_damaged())])
