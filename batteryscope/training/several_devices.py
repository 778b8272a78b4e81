"""One fit on several devices: a process for each, which average their gradients."""

import logging
import mmap
import os
import socket
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import multiprocessing

from batteryscope.core.process_end import end_with_parent
from batteryscope.errors import BatteryscopeError, ConfigError, InputError
from batteryscope.plan import StageSettings
from batteryscope.training.callbacks import EpochListener
from batteryscope.training.fit import FitTask, fit_model, prepare_state, trains_on_gpu

log = logging.getLogger("batteryscope")

LOOK_SECONDS = 0.2  # between two looks at what the processes have to tell

# A record of the log, an epoch with its metrics, or the error that ends all.
Message = logging.LogRecord | tuple[int, dict[str, float]] | BatteryscopeError


def fit_on_devices(
    task: FitTask,
    settings: StageSettings,
    classes: list[str],
    tiles: NDArray[Any],
    state_dir: Path,
    label: str,
    listener: EpochListener | None = None,
) -> None:
    """Train one fit on ``train.devices`` devices; parameters as of :func:`fit_model`.

    Every device takes ``train.batch_size`` tiles per step, so that a step is that of one device
    with a batch that many times larger. Messages and epochs are told by this process.

    Raises
    ------
    ConfigError
        There are more devices than tiles.
    InputError
        The process of a device was killed.
    """
    fewest = min(len(task.training), len(task.validation))
    if fewest < settings.train.devices:
        raise ConfigError(
            f"train.devices: found {fewest} tiles to train or to validate with for "
            f"{settings.train.devices} devices; set devices to 1."
        )
    prepare_state(state_dir, task.identity)  # before there are several that could do it
    context = multiprocessing.get_context("spawn")  # a fork may not use threads or GPUs any more
    messages = context.SimpleQueue()
    meeting = tempfile.TemporaryDirectory(prefix="batteryscope-devices-")  # private to the user
    work = (task, settings, classes, _describe_tiles(tiles), state_dir, label)
    processes = multiprocessing.start_processes(
        _fit_on_one,
        (os.getpid(), Path(meeting.name, "store"), messages, work),
        nprocs=settings.train.devices,
        join=False,
        start_method="spawn",
    )
    try:
        done = False
        while not done:
            done = processes.join(timeout=LOOK_SECONDS)
            _tell(messages, listener)
    except multiprocessing.ProcessExitedException as error:
        _tell(messages, listener)
        if error.signal_name is None and error.exit_code > 128:
            raise SystemExit(error.exit_code) from None  # told to end, as one device is
        raise InputError(
            f"{label}: the process of device {error.error_index} ended with "
            f"{error.signal_name or f'status {error.exit_code}'}, perhaps for want of memory; "
            "start again, with a smaller train.batch_size if it happens anew."
        ) from None
    except multiprocessing.ProcessRaisedException:
        _tell(messages, listener)
        raise
    finally:
        for process in processes.processes:
            process.kill()
            process.join()
        meeting.cleanup()


def _fit_on_one(
    rank: int,
    parent: int,
    meeting: Path,
    messages: "multiprocessing.SimpleQueue[Message]",
    work: tuple[FitTask, StageSettings, list[str], Any, Path, str],
) -> None:
    """Train as one of the devices."""
    end_with_parent(parent)
    task, settings, classes, described, state_dir, label = work
    # Lightning then knows that somebody else has started the processes.
    ranks = {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": str(settings.train.devices)}
    os.environ.update(ranks)
    log.setLevel(logging.INFO)
    log.propagate = False
    listener = None
    if rank == 0:
        log.addHandler(_Forward(messages))
        listener = _ForwardEpochs(messages)
    try:
        _meet_others(rank, settings, meeting)
        fit_model(task, settings, classes, _open_tiles(described), state_dir, label, listener)
    except BatteryscopeError as error:
        messages.put(error)
        time.sleep(10 * LOOK_SECONDS)  # the parent ends all when it hears of it
        raise
    finally:
        if torch.distributed.is_initialized():
            with suppress(RuntimeError):
                torch.distributed.destroy_process_group()


def _meet_others(rank: int, settings: StageSettings, meeting: Path) -> None:
    """Join the processes of the other devices, unseen by other machines and other users.

    Lightning, which finds them joined, would let them meet at a port of all networks, open to
    everybody: here they find each other by a file, and then talk over the loopback interface.
    """
    loopback = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        if loopback:
            os.environ.setdefault(variable, loopback[0])
    on_gpu = trains_on_gpu(settings.train)
    if on_gpu:
        torch.cuda.set_device(rank)
    torch.distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        init_method=meeting.as_uri(),
        rank=rank,
        world_size=settings.train.devices,
        device_id=torch.device("cuda", rank) if on_gpu else None,
    )


class _Forward(logging.Handler):
    """Sends messages to the process that started this one."""

    def __init__(self, messages: "multiprocessing.SimpleQueue[Message]") -> None:
        super().__init__()
        self.messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args, record.exc_info = record.getMessage(), None, None
        self.messages.put(record)


class _ForwardEpochs:
    """Sends finished epochs there."""

    def __init__(self, messages: "multiprocessing.SimpleQueue[Message]") -> None:
        self.messages = messages

    def log_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        self.messages.put((epoch, metrics))

    def finish(self, status: str) -> None:
        """The process that started this one knows how it ends."""


def _tell(messages: "multiprocessing.SimpleQueue[Message]", listener: EpochListener | None) -> None:
    while not messages.empty():
        message = messages.get()
        if isinstance(message, BatteryscopeError):
            raise message
        if isinstance(message, logging.LogRecord):
            log.handle(message)
        elif listener is not None:
            listener.log_epoch(*message)


def _describe_tiles(tiles: NDArray[Any]) -> Any:
    """Where the tiles lie, if that is a file: a copy for every process would fill the memory."""
    if isinstance(tiles, np.memmap) and isinstance(tiles.base, mmap.mmap):  # no part of one
        return (str(tiles.filename), tiles.dtype.str, tiles.shape, tiles.offset)
    return tiles


def _open_tiles(described: Any) -> NDArray[Any]:
    if not isinstance(described, tuple):
        return np.asarray(described)
    path, dtype, shape, offset = described
    return np.memmap(path, dtype, "r", offset, shape)
