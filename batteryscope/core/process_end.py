"""Processes that end with the one that needs them, even if that is killed."""

import ctypes
import os
import signal
import sys

# Holds the number of the process that starts the programs of a run: Snakemake.
RUN_PROCESS = "BATTERYSCOPE_RUN_PROCESS"
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


def end_with_parent(parent: int | None = None) -> None:
    """Have this process killed when its parent ends; does nothing elsewhere than on Linux.

    Parameters
    ----------
    parent
        Number of the parent, if it is known: one that has ended before this call gives no signal
        any more, and this process then ends at once.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def end_with_run() -> None:
    """Have this program killed when the run that started it ends, however that ends.

    Programs that somebody started by hand go on.
    """
    if os.environ.get(RUN_PROCESS) == str(os.getppid()):
        end_with_parent()
