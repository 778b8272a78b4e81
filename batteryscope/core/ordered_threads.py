"""A function applied in threads, with few results in memory, in the order of its inputs."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

MAX_WORKERS = 4
AHEAD = 4  # files whose reading is asked for before they are needed
_END = object()
Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int | None = None,
    prepare: Callable[[], object] | None = None,
) -> Iterator[Result]:
    """Yield ``function(item)`` for every item.

    Unlike ``ThreadPoolExecutor.map`` it does not run ahead of its consumer by more than a
    few items, so that memory stays bounded when results are large.

    Parameters
    ----------
    function
        Called in threads; its errors are raised at the item's place.
    items
        Inputs.
    workers
        Threads; as many as processors, at most four, if not given.
    prepare
        Called once in every thread before its first item.
    """
    workers = workers or min(MAX_WORKERS, os.cpu_count() or 1)
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, initializer=prepare) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > workers + 2:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def fetch_ahead(items: Iterable[Item], locate: Callable[[Item], Path]) -> Iterator[Item]:
    """Yield items, and let the system read the files of the next ones into its memory meanwhile.

    Nothing waits for it, and files that cannot be opened are left to whoever reads them.

    Parameters
    ----------
    items
        Whatever has a file each.
    locate
        Where it is.
    """
    coming: deque[Item] = deque()
    for item in items:
        with suppress(OSError, ValueError):
            _advise(locate(item))
        coming.append(item)
        if len(coming) > AHEAD:
            yield coming.popleft()
    yield from coming


def _advise(path: Path) -> None:
    """Tell the system that a file will be read; of pipes and devices the opening may wait."""
    if not hasattr(os, "posix_fadvise") or not path.is_file():
        return
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
    finally:
        os.close(file)


def run_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Iterate in a thread of its own, which makes the next item while the last one is in use.

    Errors are raised at the item's place.
    """
    source = iter(items)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, source, _END)
        while (item := coming.result()) is not _END:
            coming = pool.submit(next, source, _END)
            yield item  # type: ignore[misc]
