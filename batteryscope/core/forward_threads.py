"""Forward passes side by side, each with few threads of its own.

PyTorch spreads a single operation over its threads, which wait for one another many times per
forward pass. Small networks lose time with it, and on a machine with other work everybody waits for
the thread that does not get its processor. Passes that run side by side wait for nobody.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from batteryscope.core.ordered_threads import MAX_WORKERS, map_in_order

MOST_PASSES = 4  # at a time; each needs memory for its feature maps
FEWEST_TILES = 8  # of a batch that is divided
Item = TypeVar("Item")
Result = TypeVar("Result")


class ForwardThreads:
    """Threads that prepare inputs, of which some at a time pass them through networks.

    The threads that PyTorch has in the calling thread (``torch.get_num_threads``) are divided among
    the passes, at most four at a time. On a GPU there is one pass at a time.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._own = torch.get_num_threads()
        on_gpu = torch.device(device).type != "cpu"
        self.passes = 1 if on_gpu else min(MOST_PASSES, self._own)
        self._turns = threading.Semaphore(self.passes)
        # One more prepares inputs meanwhile where it has a processor of its own; elsewhere it would
        # only take turns with the passes. Files are fetched ahead without it (`fetch_ahead`).
        spare = (os.cpu_count() or 1) > self.passes
        self.workers = MAX_WORKERS if on_gpu else self.passes + int(spare)

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
    ) -> Iterator[Result]:
        """Yield ``function(item)`` of every item, in order.

        Parameters
        ----------
        function
            Prepares an input and passes it through networks, the latter within :meth:`turn`.
        items
            Inputs.
        workers
            Threads; if not given, one more than passes where there is a processor for it, so that
            inputs are prepared meanwhile.
        """
        each = max(1, self._own // self.passes)
        try:
            yield from map_in_order(
                function, items, workers or self.workers, partial(torch.set_num_threads, each)
            )
        finally:  # PyTorch keeps the latest number for threads to come
            torch.set_num_threads(self._own)

    def turn(self) -> threading.Semaphore:
        """Return what is entered (``with``) for the time of a forward pass."""
        return self._turns


def pass_batches(
    forward: Callable[[slice], np.ndarray], n_tiles: int, batch_size: int, device: torch.device
) -> Iterator[np.ndarray]:
    """Yield the answers to all batches in order, several batches being passed side by side.

    Parameters
    ----------
    forward
        Answers the tiles of a slice.
    n_tiles
        Tiles in all.
    batch_size
        Tiles at a time, all passes together; a pass has at least eight of them, or all.
    device
        Where the network is.
    """
    threads = ForwardThreads(device)
    size = batch_size
    if threads.passes > 1:
        share = -(-min(n_tiles, batch_size) // threads.passes)
        size = min(batch_size, max(FEWEST_TILES, share))
    slices = [slice(start, min(start + size, n_tiles)) for start in range(0, n_tiles, size)]
    if threads.passes == 1 or len(slices) == 1:
        yield from map(forward, slices)
    else:
        yield from threads.map(forward, slices, workers=threads.passes)
