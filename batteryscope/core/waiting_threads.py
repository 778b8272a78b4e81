"""How the threads of a calculation wait for each other."""

import os
from collections.abc import MutableMapping

WAIT_POLICY = "OMP_WAIT_POLICY"  # of OpenMP; a user who sets it has decided
SPINS = "GOMP_SPINCOUNT"  # of GNU OpenMP, which PyTorch brings along on Linux
_ENOUGH_SPINS = "1000"  # some microseconds


def let_waiting_threads_sleep(environment: MutableMapping[str, str] = os.environ) -> None:
    """Make threads of PyTorch that wait for each other give their core away after microseconds.

    GNU OpenMP lets a waiting thread keep its core for milliseconds. Where two programs want the
    same cores, the thread that waits then keeps the one that is waited for from running, and each
    of many thousand layers takes a time slice of the system: two programs on two cores take several
    times as long as they need. Without company, to sleep at once costs a quarter of the speed, and
    to sleep after a short while nothing that can be measured (docs/results.md, Speed).

    The library reads this once, when it is loaded: call this before PyTorch is imported. What a
    user has set is kept.

    Parameters
    ----------
    environment
        Variables of this process, and of those that it starts.
    """
    if WAIT_POLICY not in environment:
        environment.setdefault(SPINS, _ENOUGH_SPINS)
