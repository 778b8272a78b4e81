"""Fits of a stage side by side on a GPU: as many as its memory holds, which the first one tells."""

import logging
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from logging.handlers import QueueHandler, QueueListener
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any, Protocol

import psutil
import torch

from batteryscope.core.plural import count_of
from batteryscope.core.process_end import end_with_parent
from batteryscope.errors import InputError
from batteryscope.evaluation.device_memory import (
    Device,
    count_fits,
    is_plausible,
    note_peak,
    read_peak,
)
from batteryscope.training.fit import FitTask

log = logging.getLogger("batteryscope")

PEAK_FILE = "device_memory.json"  # in the folder of a stage that survives a kill
# Of the machine's own memory: PyTorch with CUDA takes most of it before any tile is read.
LEAST_PROCESS_BYTES = 2 * 2**30
FREE_SHARE = 0.8  # of the machine's free memory


class TrainTasks(Protocol):
    """Trains fits one after the other; it is sent to other processes, so it can be pickled."""

    def __call__(self, tasks: list[FitTask]) -> None:
        """Train them."""


# Trains fits in a process for each place; returns those for which memory did not suffice.
Start = Callable[[TrainTasks, Sequence[FitTask], Sequence[str]], list[FitTask]]


def train_on_devices(
    train: TrainTasks,
    tasks: Sequence[FitTask],
    devices: Sequence[Device],
    state: Path,
    most: int | None = None,
    start: Start | None = None,
) -> None:
    """Train fits, side by side once it is known how much memory one takes.

    Parameters
    ----------
    train
        Trains them one after the other.
    tasks
        The fits of a job.
    devices
        GPUs over which they may be dealt out, the first being that of this process; none: one fit
        after the other.
    state
        Folder of the stage that survives a kill; what a fit takes is noted there.
    most
        Processes that may run at a time, whatever GPUs hold (None: :func:`count_processes`).
    start
        Stands in for the processes (:func:`train_in_processes`).

    Raises
    ------
    InputError
        A process was killed.
    """
    rest = list(tasks)
    peak_bytes = None
    if devices:
        file = state / PEAK_FILE
        peak_bytes = read_peak(file, devices[0])
        while peak_bytes is None and rest:
            peak_bytes = _train_and_measure(train, rest.pop(0), devices[0])
            if peak_bytes is not None:
                note_peak(file, devices[0], peak_bytes)
    most = len(rest) if not devices else min(len(rest), most or count_processes())
    places = find_places(peak_bytes, devices, most)
    if peak_bytes is not None and len(places) > 1:
        log.info(
            "%s left, %d of them at a time; one takes %.1f GB of memory of the GPU.",
            count_of(len(rest), "fit is", "fits are"),
            len(places),
            peak_bytes / 1e9,
        )
        rest = (start or train_in_processes)(train, rest, places)
        if rest:
            log.warning(
                "The memory did not suffice for %s side by side; now one after the other.",
                count_of(len(rest), "fit"),
            )
    if rest:
        train(rest)


def _train_and_measure(train: TrainTasks, task: FitTask, device: Device) -> int | None:
    """Train a fit; return the most that it held, None if it was finished already."""
    device.forget_peak()
    train([task])
    peak_bytes = device.measure_peak_bytes()
    return peak_bytes if is_plausible(peak_bytes, device.total_bytes) else None


def count_processes() -> int:
    """Return for how many processes that train the machine has cores and memory.

    A GPU waits for a process that has no core of its own.
    """
    own_bytes = max(psutil.Process().memory_info().rss, LEAST_PROCESS_BYTES)
    room = int(FREE_SHARE * psutil.virtual_memory().available // own_bytes)
    return max(1, min(torch.get_num_threads(), room))


def find_places(peak_bytes: int | None, devices: Sequence[Device], most: int) -> list[str]:
    """Return for every fit that may run at a time the label of its GPU; none if not even one may.

    Parameters
    ----------
    peak_bytes
        The most that one held; None if it is not known.
    devices
        GPUs of one kind.
    most
        How many are wanted.
    """
    room = {d.label: count_fits(peak_bytes, d.count_free_bytes(), d.total_bytes) for d in devices}
    # In turns, so that few fits are not all on one GPU.
    rounds = range(max(room.values(), default=0))
    return [label for i in rounds for label, n in room.items() if i < n][:most]


def train_in_processes(
    train: TrainTasks, tasks: Sequence[FitTask], places: Sequence[str]
) -> list[FitTask]:
    """Train fits in a process for each place; return those for which memory did not suffice.

    Parameters
    ----------
    train
        Trains fits.
    tasks
        The fits.
    places
        Labels of GPUs.

    Raises
    ------
    InputError
        A process was killed.
    """
    context = multiprocessing.get_context("spawn")  # a fork may not use GPUs any more
    messages, free = context.Queue(), context.Queue()
    for place in places:
        free.put(place)
    threads = max(1, torch.get_num_threads() // len(places))
    listener = QueueListener(messages, _Relay())
    listener.start()
    without_memory: list[FitTask] = []
    begin = (os.getpid(), free, messages, threads)
    try:
        with ProcessPoolExecutor(len(places), context, _begin, begin) as pool:
            asked = {pool.submit(train, [task]): task for task in tasks}
            try:
                without_memory = _wait_for(asked)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    except BrokenProcessPool:
        raise InputError(
            "A process that trained one of several fits side by side was killed, perhaps for want "
            "of memory; start again: finished epochs are kept. With train.parallel_jobs fewer fits "
            "share a job."
        ) from None
    finally:
        listener.stop()
    return without_memory


def _wait_for(asked: dict[Future[None], FitTask]) -> list[FitTask]:
    without_memory = []
    for done in as_completed(asked):
        try:
            done.result()
        except RuntimeError as error:
            # Where a process finds no room to begin in, the error has no class of its own.
            if "out of memory" not in str(error):
                raise
            without_memory.append(asked[done])
    return without_memory


def _begin(parent: int, free: "Queue[str]", messages: "Queue[Any]", threads: int) -> None:
    """Prepare a process that trains: its GPU, its cores, and where its messages go."""
    end_with_parent(parent)
    os.environ["CUDA_VISIBLE_DEVICES"] = free.get()  # nothing has looked for GPUs here yet
    torch.set_num_threads(threads)
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(QueueHandler(messages))
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 (bars of several would overlap)


class _Relay(logging.Handler):
    """Hands messages of other processes to the log of this one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Take a message."""
        log.handle(record)
