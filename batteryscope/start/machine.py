"""What this machine can do: cores, GPU, and how long a network takes for a tile."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batteryscope.config.base import validate_settings
from batteryscope.config.learning import ModelSettings
from batteryscope.errors import BatteryscopeError
from batteryscope.start.choices import Choice

if TYPE_CHECKING:
    from batteryscope.models.classifier import TileClassifier

DRIVER = Path("/dev/nvidiactl")
TIMED_SECONDS = 1.0
TIMED_TILES = 16
SMALLEST_BATCH = 4
BYTES_PER_WEIGHT = 16  # the weight, its gradient, and AdamW's two moments
# Times what is kept for the way back: the gradients on that way, and room to work in.
MEMORY_FACTOR, USED_OF_GPU = 2.0, 0.9
GIB = 2**30
LARGER = "convnext_tiny"  # 28 M weights; on a GPU as fast as the small one on a CPU's many cores


@dataclass(frozen=True)
class Machine:
    """What a plan may count on.

    ``gpu`` is the name of the first one, "" if there is none, ``gpu_free_gib`` its free memory, 0
    if unknown; ``timed``: whether networks are timed here, which takes some seconds.
    """

    cores: int
    gpu: str = ""
    timed: bool = True
    gpu_free_gib: float = 0.0

    @property
    def described(self) -> str:
        """In words."""
        cores = f"{self.cores} core{'' if self.cores == 1 else 's'}"
        return f"{cores} and the GPU {self.gpu}" if self.gpu else f"{cores}, no GPU"


@dataclass(frozen=True)
class TileCost:
    """Seconds of one core (or of the GPU) for a tile that trains, and for one that is judged."""

    train: float
    judge: float


def look_at_machine(timed: bool = True) -> Machine:
    """Count cores that this process may use, and look for a GPU."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu, free_gib = "", 0.0
    if DRIVER.exists():  # else the long import of PyTorch would find none
        import torch

        if torch.cuda.is_available():
            gpu, free_gib = torch.cuda.get_device_name(0), torch.cuda.mem_get_info(0)[0] / GIB
    return Machine(cores or 1, gpu, timed, free_gib)


def can_have_weights(backbone: str) -> bool:
    """Whether the ImageNet weights of a network can be had here; they are fetched if they can."""
    from batteryscope.models.pretrained import find_pretrained

    try:
        find_pretrained(ModelSettings(backbone=backbone))
    except BatteryscopeError:
        return False
    return True


def choose_batch(
    model: Mapping[str, Any],
    tile_shape: tuple[int, int],
    channels: int,
    machine: Machine,
    wanted: int,
) -> Choice:
    """Choose how many tiles train together: as many as wanted, or as the GPU's memory holds.

    Parameters
    ----------
    model, tile_shape, channels, machine
        As of :func:`time_network`.
    wanted
        With how many the settings were tried.
    """
    if not machine.gpu:
        return Choice(wanted, "as tried without a GPU; more would mean fewer steps in an epoch")
    if not machine.gpu_free_gib:
        return Choice(wanted, "the free memory of the GPU is unknown: halve it if it runs out")
    of_tile, of_weights = measure_memory(model, tile_shape, channels)
    room = USED_OF_GPU * machine.gpu_free_gib * GIB - of_weights
    batch = wanted
    while batch > SMALLEST_BATCH and batch * of_tile > room:
        batch //= 2
    free = f"of the {machine.gpu_free_gib:.3g} GiB that are free on the GPU"
    needed = f"about {(batch * of_tile + of_weights) / GIB:.2g} GiB"
    if batch == wanted:
        return Choice(batch, f"needs {needed} {free}; more would mean fewer steps in an epoch")
    return Choice(batch, f"{wanted} would not fit: this needs {needed} {free}")


def measure_memory(
    model: Mapping[str, Any], tile_shape: tuple[int, int], channels: int
) -> tuple[float, float]:
    """Estimate the bytes that training needs for each tile, and for the network itself.

    What the network keeps of two tiles for the way back is counted, at full precision.
    """
    import torch

    network = _build(model, tile_shape, channels).train()
    kept: dict[int, int] = {}

    def keep(values: torch.Tensor) -> torch.Tensor:
        storage = values.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return values

    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    tiles = torch.zeros((2, channels, *tile_shape), dtype=torch.uint8)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda values: values):
        answer = network(tiles)
    del answer
    of_tiles = sum(size for place, size in kept.items() if place not in own)
    n_weights = sum(p.numel() for p in network.parameters())
    return MEMORY_FACTOR * of_tiles / 2, float(BYTES_PER_WEIGHT * n_weights)


def _build(
    model: Mapping[str, Any], tile_shape: tuple[int, int], channels: int
) -> "TileClassifier":
    """Build a network of two classes with random weights."""
    from batteryscope.models.classifier import build_classifier

    asked = dict(model) | {"weights": "random", "weights_sha256": None, "outputs": "class"}
    settings = validate_settings(ModelSettings, asked, "model")
    return build_classifier(settings, ["a", "b"], min(tile_shape), 0, channels)


def time_network(
    model: Mapping[str, Any], tile_shape: tuple[int, int], channels: int, machine: Machine
) -> TileCost | None:
    """Train a network for about a second on noise, and let it judge.

    Parameters
    ----------
    model
        Settings of ``model``.
    tile_shape
        (height, width) in pixels.
    channels
        Of a tile.
    machine
        Where; nothing is timed if it says so.

    Returns
    -------
    TileCost or None
        On a CPU of one core, since folds train side by side on a core each.
    """
    if not machine.timed:
        return None
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    device = torch.device("cuda" if machine.gpu else "cpu")
    try:
        network = _build(model, tile_shape, channels).to(device)
        tiles = torch.randint(0, 256, (TIMED_TILES, channels, *tile_shape), device=device)
        tiles = tiles.to(torch.uint8)
        trained = [p for p in network.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(trained, lr=1e-4)
        truth = torch.zeros(TIMED_TILES, dtype=torch.long, device=device)

        def train() -> None:
            loss = torch.nn.functional.cross_entropy(network(tiles), truth)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

        def judge() -> None:
            with torch.inference_mode():
                network(tiles)

        network.train()
        trains = _time(train, bool(machine.gpu))
        network.eval()
        return TileCost(trains, _time(judge, bool(machine.gpu)))
    finally:
        torch.set_num_threads(before)


def _time(step: Any, on_gpu: bool) -> float:
    """Seconds per tile; CPU time where no other device works, since others may use the cores."""
    import torch

    clock = time.perf_counter if on_gpu else time.thread_time
    step()  # the first one allocates memory
    began, n = clock(), 0
    while n == 0 or clock() - began < TIMED_SECONDS / 2:
        step()
        n += 1
    if on_gpu:
        torch.cuda.synchronize()
    return (clock() - began) / (n * TIMED_TILES)


def show_duration(seconds: float) -> str:
    """Return ``40 s``, ``12 min`` or ``2.5 h``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
