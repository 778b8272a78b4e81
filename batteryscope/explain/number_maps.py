"""Where a network looks when it predicts capacities: four kinds of maps, one per output."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import IntegratedGradients
from numpy.typing import NDArray
from torch import Tensor, nn

from batteryscope.explain.attribution import (
    backpropagate_guided,
    find_feature_layer,
    find_grad_cam,
    prepared,
)
from batteryscope.models.classifier import TileClassifier
from batteryscope.models.grey_input import FULL_SCALE
from batteryscope.training.data import as_batch

Maps = NDArray[np.float32]
METHODS = ("grad_ram", "guided_backprop", "occlusion", "integrated_gradients")
FAST_METHODS = ("grad_ram", "guided_backprop")


@dataclass(frozen=True)
class NumberMaps:
    """Maps of one tile: by method (n_outputs, H, W), and what each cost.

    ``passes`` counts runs of the network forwards (with a gradient: and backwards).
    """

    maps: dict[str, Maps]
    seconds: dict[str, float]
    passes: dict[str, int]


class _InUnits(nn.Module):
    """From normalised pictures to capacities, for gradients that do not reach the grey levels."""

    def __init__(self, model: TileClassifier) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.register_buffer("scale", model.get_buffer("output_sd").clone())
        self.register_buffer("shift", model.get_buffer("output_mean").clone())

    def forward(self, x: Tensor) -> Tensor:
        return self.backbone(x) * self.get_buffer("scale") + self.get_buffer("shift")


def explain_tile(
    model: TileClassifier,
    tile: NDArray[np.uint8],
    methods: tuple[str, ...] = METHODS,
    window_px: int = 7,
    integration_steps: int = 16,
    batch_size: int = 64,
) -> NumberMaps:
    """Explain every output for one tile.

    ``grad_ram``: gradient-weighted regression activation maps, signed (Selvaraju et al. 2016 with
    no rectification; Deeg et al. 2024), from the last convolution. ``guided_backprop``
    (Springenberg 2015), signed, at all ``ACTIVATIONS`` as that of classes. ``occlusion``: a square
    of ``window_px`` at the mean grey level of the training tiles is moved in steps of its own
    size; the map is the prediction without minus that with the square, so that positive places
    raise the capacity. All outputs share its passes. ``integrated_gradients`` (Sundararajan 2017)
    from a tile of the mean grey level.

    Parameters
    ----------
    model
        A trained network whose outputs are numbers; its mode and hooks are as before afterwards.
    tile : (H, W) or, of stacked slices, (C, H, W) uint8 array
    methods
        Which of :data:`METHODS`.
    """
    device = next(model.parameters()).device
    network = _InUnits(model)
    grey = as_batch(tile[None]).to(device)
    mean = torch.full_like(grey, round(float(model.input.training_mean) * FULL_SCALE))
    with torch.no_grad():
        x, blank = (model.input(g).contiguous().clone() for g in (grey, mean))
    n_outputs = len(model.description.classes)

    def explain_outputs(explain: Callable[[int], Tensor]) -> Tensor:
        return torch.stack([explain(k)[0] for k in range(n_outputs)])

    def find_grad_ram() -> Tensor:
        layer = find_feature_layer(model)
        return explain_outputs(lambda k: find_grad_cam(network, layer, x, k, signed=True))

    steps: dict[str, tuple[Callable[[], Tensor], int]] = {
        "grad_ram": (find_grad_ram, n_outputs),
        "guided_backprop": (
            lambda: explain_outputs(lambda k: backpropagate_guided(network, x, k)),
            n_outputs,
        ),
        "occlusion": (
            lambda: occlude(network, x, blank, window_px, batch_size),
            1 + -(-tile.shape[-2] // window_px) * -(-tile.shape[-1] // window_px),
        ),
        "integrated_gradients": (
            lambda: explain_outputs(lambda k: _integrate(network, x, blank, k, integration_steps)),
            n_outputs * integration_steps,
        ),
    }
    maps, seconds, passes = {}, {}, {}
    with prepared(model):
        for name in methods:
            find, passes[name] = steps[name]
            started = time.perf_counter()
            maps[name] = find().detach().float().cpu().numpy()
            seconds[name] = time.perf_counter() - started
    return NumberMaps(maps, seconds, passes)


def occlude(
    network: nn.Module, x: Tensor, blank: Tensor, window_px: int, batch_size: int
) -> Tensor:
    """Return (n_outputs, H, W): how much each square adds to the outputs.

    Parameters
    ----------
    network
        Maps (B, C, H, W) to (B, n_outputs).
    x, blank : (1, C, H, W)
        The picture, and what covers it.
    window_px
        Edge and stride of the squares; at the right and lower end they may be smaller.
    batch_size
        Covered pictures at a time.
    """
    height, width = x.shape[2:]
    rows, columns = -(-height // window_px), -(-width // window_px)
    places = [(i, j) for i in range(rows) for j in range(columns)]
    changes = []
    with torch.inference_mode():
        whole = network(x)
        for start in range(0, len(places), batch_size):
            part = places[start : start + batch_size]
            batch = x.repeat(len(part), 1, 1, 1)
            for covered, (i, j) in zip(batch, part, strict=True):
                window = (
                    slice(None),
                    slice(i * window_px, (i + 1) * window_px),
                    slice(j * window_px, (j + 1) * window_px),
                )
                covered[window] = blank[0][window]
            changes.append(whole - network(batch))
    grid = torch.cat(changes).T.reshape(-1, rows, columns)
    full = grid.repeat_interleave(window_px, 1).repeat_interleave(window_px, 2)
    return full[:, :height, :width]


def _integrate(network: nn.Module, x: Tensor, blank: Tensor, output: int, steps: int) -> Tensor:
    method = IntegratedGradients(network)
    gradient = method.attribute(x, blank, target=output, n_steps=steps, internal_batch_size=8)
    return gradient.sum(dim=1)
