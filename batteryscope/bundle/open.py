"""Opens a published model of pictures, whatever it predicts."""

from pathlib import Path
from typing import Any

import torch

from batteryscope.bundle.capacity_record import is_capacity_bundle
from batteryscope.bundle.picture_bundle import PictureBundle
from batteryscope.bundle.read import load_bundle, load_capacity_bundle


def open_bundle(
    folder: Path, device: torch.device | str = "cpu", batch_size: int = 64
) -> PictureBundle[Any]:
    """Load a bundle of classes or of capacities.

    Raises
    ------
    InputError
        As :func:`batteryscope.bundle.read.load_bundle`.
    """
    if is_capacity_bundle(folder):
        return load_capacity_bundle(folder, device, batch_size)
    return load_bundle(folder, device, batch_size)
