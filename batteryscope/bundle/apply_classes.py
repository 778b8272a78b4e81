"""How a bundle of classes is read and applied."""

from pathlib import Path

import torch

from batteryscope.bundle.open import refuse_collector
from batteryscope.bundle.predict import Bundle
from batteryscope.bundle.read import load_bundle


def load_models(
    folder: Path, device: torch.device | str, batch_size: int, collector: str | None
) -> Bundle:
    """Load the networks; parameters and errors as :func:`batteryscope.bundle.open.open_bundle`."""
    refuse_collector(collector, folder)
    return load_bundle(folder, device, batch_size)


def draw_beside(folder: Path, table: Path) -> str:
    """Draw nothing beside the table of predictions: classes are no curve."""
    return ""
