"""Opens a published model of pictures, whatever it predicts."""

from pathlib import Path
from typing import Any

import torch

from batteryscope.bundle.capacity_record import is_capacity_bundle
from batteryscope.bundle.picture_bundle import PictureBundle
from batteryscope.bundle.read import load_bundle, load_capacity_bundle
from batteryscope.errors import ConfigError


def open_bundle(
    folder: Path,
    device: torch.device | str = "cpu",
    batch_size: int = 64,
    collector: str | None = None,
) -> PictureBundle[Any]:
    """Load a bundle of classes or of numbers.

    Raises
    ------
    InputError
        As :func:`batteryscope.bundle.read.load_bundle`.
    ConfigError
        A ``collector`` is chosen for a bundle that looks for none.
    """
    if is_capacity_bundle(folder):
        return load_capacity_bundle(folder, device, batch_size, collector)
    refuse_collector(collector, folder)
    return load_bundle(folder, device, batch_size)


def refuse_collector(collector: str | None, folder: Path) -> None:
    """Say that models other than those of cross-sections look for no current collector."""
    if collector is not None:
        raise ConfigError(
            f"--collector is for models of cross-sections, but {folder} has another kind; "
            "leave it out."
        )
