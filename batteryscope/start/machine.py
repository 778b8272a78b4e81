"""What this machine can do: cores, GPU, and how long a network takes for a tile."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batteryscope.config.base import validate_settings
from batteryscope.config.learning import ModelSettings
from batteryscope.errors import BatteryscopeError

DRIVER = Path("/dev/nvidiactl")
TIMED_SECONDS = 1.0
TIMED_TILES = 16
LARGER = "convnext_tiny"  # 28 M weights; on a GPU as fast as the small one on a CPU's many cores


@dataclass(frozen=True)
class Machine:
    """What a plan may count on.

    ``gpu`` is the name of the first one, "" if there is none; ``timed``: whether networks are
    timed here, which takes some seconds.
    """

    cores: int
    gpu: str = ""
    timed: bool = True

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
    gpu = ""
    if DRIVER.exists():  # else the long import of PyTorch would find none
        import torch

        gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""
    return Machine(cores or 1, gpu, timed)


def can_have_weights(backbone: str) -> bool:
    """Whether the ImageNet weights of a network can be had here; they are fetched if they can."""
    from batteryscope.models.pretrained import find_pretrained

    try:
        find_pretrained(ModelSettings(backbone=backbone))
    except BatteryscopeError:
        return False
    return True


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

    from batteryscope.models.classifier import build_classifier

    asked = dict(model) | {"weights": "random", "weights_sha256": None, "outputs": "class"}
    settings = validate_settings(ModelSettings, asked, "model")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    device = torch.device("cuda" if machine.gpu else "cpu")
    try:
        network = build_classifier(settings, ["a", "b"], min(tile_shape), 0, channels).to(device)
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
