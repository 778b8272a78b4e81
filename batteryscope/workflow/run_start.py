"""What a run makes sure of before any work: room, rights, no other run, sound results."""

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from batteryscope.core.disk_space import check_free_space, check_writable
from batteryscope.workflow.result_ledger import describe_removal, remove_damaged
from batteryscope.workflow.run_claim import RunClaim, claim_folder, describe_release
from batteryscope.workflow.run_scratch import RunScratch, claim_scratch

WORK, STATE = Path("work"), Path(".snakemake")


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
