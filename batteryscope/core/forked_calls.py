"""Calls functions side by side in forks of this process, which know all that it knows."""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.context import BaseContext
from typing import Any, TypeVar

T = TypeVar("T")
_kept: list[Callable[[], Any]] = []


def choose_context() -> BaseContext:
    """Return how to start processes: as forks where that is safe, which import nothing anew."""
    return get_context("fork" if sys.platform.startswith("linux") else "spawn")


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
    with ProcessPoolExecutor(workers, choose_context(), _keep, (calls,)) as pool:
        return list(pool.map(_call, range(len(calls))))


def _keep(calls: Sequence[Callable[[], Any]]) -> None:
    _kept[:] = calls


def _call(number: int) -> Any:
    return _kept[number]()
