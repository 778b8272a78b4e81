"""Feature maps that pass through a network while it is asked: mean and spread of each, per tile.

Late features alone call noise a class like any other; how strongly the filters of early stages
answer tells it apart. No tile passes a second time: hooks listen to the pass that answers.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from batteryscope.core.pixel_kernels import summarise_channels
from batteryscope.models.classifier import TileClassifier
from batteryscope.models.stage_statistics import (
    SMALLEST_VARIANCE,
    StageStatistics,
    summarise_maps,
)
from batteryscope.training.data import as_batch

MOST_STAGES = 6


class FeatureTap:
    """Listens to the stages of one network, in the thread that opens it.

    Parameters
    ----------
    model
        In evaluation mode. It keeps the hooks, which do nothing while nobody listens.
    tile : (1, C, H, W) tensor
        An input of the size that the network is used with, to find its stages.
    """

    def __init__(self, model: TileClassifier, tile: Tensor) -> None:
        self.model = model
        self._thread = threading.local()
        if isinstance(model.backbone, StageStatistics):  # which measures the same itself
            model.backbone.standardised.register_forward_pre_hook(self._note_given)
            self._sizes = _list_stage_sizes(model.backbone)
            self._n_stages = len(self._sizes)
            return
        network = getattr(model.backbone, "network", model.backbone)
        # Networks of windows, such as Swin, keep their channels last.
        self._channels_last = str(getattr(network, "output_fmt", "NCHW")) == "NHWC"
        stages = find_stages(model, tile)
        self._n_stages = len(stages)
        for stage in stages:
            stage.register_forward_hook(self._note_maps)

    @contextmanager
    def listen(self) -> Iterator[list[Tensor]]:
        """Collect the (B, n) statistics of the stages of the first pass within, in their order."""
        heard: list[Tensor] = []
        self._thread.heard = heard
        try:
            yield heard
        finally:
            self._thread.heard = None

    def measure(self, tiles: NDArray[np.uint8], batch_size: int = 64) -> list[NDArray[np.float32]]:
        """Return the features of (n, ...) tiles, (n, p) of every stage, by passes of their own."""
        watch = TileFeatures(self)
        with torch.inference_mode():
            for start in range(0, len(tiles), batch_size):
                batch = as_batch(tiles[start : start + batch_size]).to(self.model.device)
                with watch.listen(start):
                    self.model(batch)
        return watch.join()

    def _note_maps(self, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        if (heard := self._wanted()) is not None:
            heard.append(_summarise(output, self._channels_last))

    def _note_given(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if (heard := self._wanted()) is not None:
            heard.extend(inputs[0].split(self._sizes, dim=1))

    def _wanted(self) -> list[Tensor] | None:
        heard: list[Tensor] | None = getattr(self._thread, "heard", None)
        return None if heard is None or len(heard) >= self._n_stages else heard


class TileFeatures:
    """The features of tiles, collected from batches that pass in any order."""

    def __init__(self, tap: FeatureTap) -> None:
        self._tap = tap
        self._parts: dict[int, list[NDArray[np.float32]]] = {}

    @contextmanager
    def listen(self, start: int) -> Iterator[None]:
        """Keep the features of the pass within, whose first tile has the number ``start``."""
        with self._tap.listen() as heard:
            yield
        self._parts[start] = [stage.float().cpu().numpy() for stage in heard]

    def join(self) -> list[NDArray[np.float32]]:
        """Return the features of all tiles, (n, p) of every stage from the first to the last."""
        parts = [self._parts[start] for start in sorted(self._parts)]
        return [np.concatenate(stage) for stage in zip(*parts, strict=True)]


def _summarise(maps: Tensor, channels_last: bool) -> Tensor:
    """Return what :func:`summarise_maps` does, in a fraction of its time where that can be had."""
    pixels = maps.permute(0, 2, 3, 1) if maps.ndim == 4 and not channels_last else maps
    plain = maps.device.type == "cpu" and maps.dtype == torch.float32 and not maps.requires_grad
    if not plain or not maps.numel() or not pixels.is_contiguous():
        return summarise_maps(maps, channels_last)
    flat = pixels.flatten(1, -2).numpy()
    return torch.from_numpy(summarise_channels(flat, SMALLEST_VARIANCE))


def find_stages(model: nn.Module, tile: Tensor) -> list[nn.Module]:
    """Return the modules whose outputs are the feature maps of the stages, in their order.

    They are what timm names in ``feature_info``; of other networks the last output of each
    size in pixels. Of many (blocks of transformers) some are taken, evenly spaced, the last
    among them.
    """
    backbone = getattr(model, "backbone", model)
    network = getattr(backbone, "network", backbone)
    infos = getattr(network, "feature_info", None)
    if isinstance(infos, list) and infos:
        found = [network.get_submodule(str(info["module"])) for info in infos]
    else:
        found = _last_of_each_size(model, network, tile)
    if len(found) > MOST_STAGES:
        steps = torch.linspace(0, len(found) - 1, MOST_STAGES).round().int().tolist()
        found = [found[step] for step in steps]
    return found


def _list_stage_sizes(backbone: StageStatistics) -> list[int]:
    """Return how many statistics each stage gives; all in one where they cannot be told apart."""
    infos = getattr(backbone.network, "feature_info", None)
    sizes = [2 * int(info["num_chs"]) for info in infos] if isinstance(infos, list) else []
    total = backbone.n_features
    return sizes if sum(sizes) == total else [total]


def _last_of_each_size(model: nn.Module, network: nn.Module, tile: Tensor) -> list[nn.Module]:
    last: dict[tuple[int, ...], nn.Module] = {}

    def note(module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[2:]) > 1:
            last[tuple(output.shape[2:])] = module

    handles = [module.register_forward_hook(note) for module in network.modules()]
    try:
        with torch.inference_mode():
            model(tile.to(next(model.parameters()).device))
    finally:
        for handle in handles:
            handle.remove()
    return list(last.values())
