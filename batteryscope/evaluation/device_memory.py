"""How much memory of a GPU the fits of a stage take, and how many of them it holds."""

import json
import logging
import os
from pathlib import Path
from typing import Protocol, TypeGuard

import torch

from batteryscope.config.learning import TrainSettings

log = logging.getLogger("batteryscope")

# What a process needs beside what PyTorch counts: CUDA's context, kernels and libraries.
PROCESS_BYTES = 700 * 2**20
FIT_MARGIN = 1.15  # another fold has another number of tiles, and memory is handed out in blocks
KEPT_SHARE = 0.05  # of a GPU, for the screen and for what other programs begin meanwhile


class Device(Protocol):
    """A GPU as far as its memory goes; tests stand in for one.

    Attributes
    ----------
    label
        By which ``CUDA_VISIBLE_DEVICES`` knows it.
    model
        Its name.
    total_bytes
        Its memory.
    """

    label: str
    model: str
    total_bytes: int

    def count_free_bytes(self) -> int:
        """Return what no program holds, after handing back what this one holds in reserve."""

    def forget_peak(self) -> None:
        """Begin a new measurement."""

    def measure_peak_bytes(self) -> int:
        """Return the most that this process held since."""


class CudaDevice:
    """An NVIDIA GPU (or one of AMD) that PyTorch sees."""

    def __init__(self, index: int) -> None:
        self._index = index
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        self.label = visible.split(",")[index].strip() if visible else str(index)
        properties = torch.cuda.get_device_properties(index)
        self.model: str = properties.name
        self.total_bytes: int = properties.total_memory

    def count_free_bytes(self) -> int:
        """Return what no program holds, after handing back what this one holds in reserve."""
        torch.cuda.empty_cache()
        return int(torch.cuda.mem_get_info(self._index)[0])

    def forget_peak(self) -> None:
        """Begin a new measurement."""
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self._index)

    def measure_peak_bytes(self) -> int:
        """Return the most that this process held since, the reserve of the allocator included."""
        return int(torch.cuda.max_memory_reserved(self._index))


def list_devices(train: TrainSettings) -> list[Device]:
    """Return the GPUs over which fits of these settings may be dealt out, the first one first.

    None where a processor trains; where one fit takes several GPUs, or all free memory for its
    tiles; and where nothing is trained but solved, since all fits then share what they compute.
    """
    on_gpu = train.accelerator != "cpu" and torch.cuda.is_available()
    if not on_gpu or train.devices > 1 or train.resident_tiles or train.is_solved:
        return []
    devices = [CudaDevice(index) for index in range(torch.cuda.device_count())]
    alike = (devices[0].model, devices[0].total_bytes)  # what was measured holds for these
    return [device for device in devices if (device.model, device.total_bytes) == alike]


def count_fits(peak_bytes: int | None, free_bytes: int, total_bytes: int) -> int:
    """Return how many fits of a kind a GPU holds at a time.

    Parameters
    ----------
    peak_bytes
        The most that a fit of this kind held; None if it was not measured.
    free_bytes, total_bytes
        Memory of the GPU.

    Examples
    --------
    >>> gigabyte = 2**30
    >>> count_fits(2 * gigabyte, 79 * gigabyte, 80 * gigabyte)
    25
    >>> count_fits(None, 79 * gigabyte, 80 * gigabyte)
    0
    """
    if not is_plausible(peak_bytes, total_bytes):
        return 0
    usable_bytes = free_bytes - KEPT_SHARE * total_bytes
    return max(0, int(usable_bytes // (FIT_MARGIN * peak_bytes + PROCESS_BYTES)))


def is_plausible(peak_bytes: object, total_bytes: int) -> TypeGuard[int]:
    """Whether a peak can have been measured on a GPU with so much memory."""
    return type(peak_bytes) is int and 0 < peak_bytes <= total_bytes


def read_peak(file: Path, device: Device) -> int | None:
    """Return what :func:`note_peak` wrote for GPUs like this one, in bytes; None without it."""
    try:
        noted = json.loads(file.read_text(encoding="utf-8"))
        peak_bytes = noted[device.model]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return peak_bytes if is_plausible(peak_bytes, device.total_bytes) else None


def note_peak(file: Path, device: Device, peak_bytes: int) -> None:
    """Write down what a fit took, for the jobs that come after; it is no part of a result."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps({device.model: peak_bytes}) + "\n", encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        log.debug("%s: %s", file, error)
