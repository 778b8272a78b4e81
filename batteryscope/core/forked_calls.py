"""Calls functions side by side in forks of this process, which know all that it knows."""

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

from batteryscope.core.process_end import end_with_parent

T = TypeVar("T")
_kept: list[Callable[[], Any]] = []


def open_pool(workers: int, calls: Sequence[Callable[[], Any]] = ()) -> ProcessPoolExecutor:
    """Return a pool of processes that end with this one, even if this one is killed.

    Where that is safe they are forks, which import nothing anew.

    Parameters
    ----------
    workers
        Number of processes.
    calls
        Functions that forks shall know, which need not be copied to them.
    """
    context = get_context("fork" if sys.platform.startswith("linux") else "spawn")
    return ProcessPoolExecutor(workers, context, _begin, (os.getpid(), calls))


def call_side_by_side(calls: Sequence[Callable[[], T]], workers: int = 1) -> list[T]:
    """Return what the functions return, in their order.

    Only results are copied between processes, so that functions may use large tables and be
    written where they are needed. A function must not wait for a thread of this process, which
    a fork does not have.

    Parameters
    ----------
    calls
        Functions without arguments.
    workers
        Processes; with 1, and where forks are not safe (elsewhere than on Linux), one function
        after another is called in this one.
    """
    workers = min(workers, len(calls))
    if workers < 2 or not sys.platform.startswith("linux"):
        return [call() for call in calls]
    with open_pool(workers, calls) as pool:
        return list(pool.map(_call, range(len(calls))))


def _begin(parent: int, calls: Sequence[Callable[[], Any]]) -> None:
    end_with_parent(parent)
    _kept[:] = calls


def _call(number: int) -> Any:
    return _kept[number]()
