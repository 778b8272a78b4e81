"""How a bundle of quantities is read and applied."""

from pathlib import Path

import torch

from batteryscope.bundle.capacity_plot import draw_rates_beside
from batteryscope.bundle.capacity_predict import CapacityBundle
from batteryscope.bundle.capacity_record import read_capacity_record
from batteryscope.bundle.read import load_capacity_bundle

read_record = read_capacity_record


def load_models(
    folder: Path, device: torch.device | str, batch_size: int, collector: str | None
) -> CapacityBundle:
    """Load the networks; parameters and errors as :func:`batteryscope.bundle.open.open_bundle`."""
    return load_capacity_bundle(folder, device, batch_size, collector)


def draw_beside(folder: Path, table: Path) -> str:
    """Draw a curve beside the table of predictions, and say so; empty if they are none."""
    plot = draw_rates_beside(folder, table)
    return f"Capacities over the C-rate: {plot}" if plot else ""
