"""Attribution maps: which parts of a tile made the network say what it says."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import singledispatch
from typing import Literal

import numpy as np
import torch
from captum.attr import GuidedBackprop, LayerAttribution, LayerGradCam
from numpy.typing import NDArray
from timm import layers as timm_layers
from torch import Tensor, nn

from batteryscope.errors import ConfigError
from batteryscope.models.classifier import TileClassifier
from batteryscope.models.cumulative_link import CumulativeLink, ScoreByGrade
from batteryscope.training.data import as_batch

Method = Literal["guided_grad_cam", "grad_cam"]
Target = Tensor | int  # number of the explained output

# Gates (sigmoid, tanh) are left out: they weight channels and carry no signal of their own.
ACTIVATIONS: tuple[type[nn.Module], ...] = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.CELU,
    nn.SELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Hardswish,
    nn.Softplus,
    timm_layers.Swish,
    timm_layers.Mish,
    timm_layers.HardSwish,
    timm_layers.HardMish,
    timm_layers.PReLU,
    timm_layers.GELU,
    timm_layers.GELUTanh,
    timm_layers.QuickGELU,
)


@dataclass(frozen=True)
class AttributionMaps:
    """Maps of the size of the tiles, non-negative, in arbitrary units.

    Attributes
    ----------
    grad_cam : (n, H, W) float32 array
        Where features speak for the class, at the resolution of the last feature layer.
    guided_grad_cam : (n, H, W) float32 array or None
        The same, sharpened by guided backpropagation to single pixels.
    """

    grad_cam: NDArray[np.float32]
    guided_grad_cam: NDArray[np.float32] | None = None


def attribute_tiles(
    model: TileClassifier,
    tiles: NDArray[np.uint8],
    class_numbers: Sequence[int],
    method: Method = "guided_grad_cam",
    batch_size: int = 8,
) -> AttributionMaps:
    """Explain the logit of one class per tile.

    Parameters
    ----------
    model
        A trained model; its weights, mode and hooks are as before afterwards.
    tiles : (n, H, W) uint8 array
        Grey tiles.
    class_numbers
        For each tile the number of the class to explain.
    method
        ``grad_cam``, or ``guided_grad_cam`` for both maps.
    batch_size
        Tiles at a time.

    Raises
    ------
    ConfigError
        If the backbone has no spatial feature maps (a transformer on tokens).

    Notes
    -----
    Grad-CAM (Selvaraju et al. 2017): the feature maps of :func:`find_feature_layer`,
    weighted by the mean gradient of the logit, summed, negative values set to 0 and
    enlarged bilinearly. Guided backpropagation (Springenberg et al. 2015) sets negative
    gradients to 0 at every activation; here at all of ``ACTIVATIONS``, not at ReLU alone,
    so for SiLU, GELU and the like it is a counterpart of the published method. Its
    absolute value is taken: a dark crack can speak for a class as well as a bright edge.
    Gradients are those at the backbone's input, after the grey-level treatment (which
    need not have a gradient), summed over the copies of the grey channel. Of grades the maps show
    what speaks for a higher one, and of the lowest what speaks for it.
    """
    targets = torch.as_tensor(np.asarray(class_numbers, dtype=np.int64))
    if len(targets) != len(tiles):
        raise ValueError(f"{len(tiles)} tiles but {len(targets)} class numbers")
    if not len(tiles):
        empty = np.empty((0, *tiles.shape[-2:]), np.float32)
        return AttributionMaps(empty, empty if method == "guided_grad_cam" else None)
    device = next(model.parameters()).device
    coarse, fine = [], []
    with prepared(model):
        layer = find_feature_layer(model)
        network = _give_scores(model.link, model.backbone)
        for start in range(0, len(tiles), batch_size):
            with torch.no_grad():
                x = model.input(as_batch(tiles[start : start + batch_size]).to(device))
            # An expanded grey channel shares its memory; gradients need their own.
            x = x.clone(memory_format=torch.contiguous_format).requires_grad_()
            target = targets[start : start + batch_size].to(device)
            cam = find_grad_cam(network, layer, x, target)
            coarse.append(cam.cpu().numpy())
            if method == "guided_grad_cam":
                detail = backpropagate_guided(network, x, target).abs()
                fine.append((cam * detail).cpu().numpy())
    return AttributionMaps(np.concatenate(coarse), np.concatenate(fine) if fine else None)


def find_feature_layer(model: TileClassifier) -> nn.Module:
    """Find the module that gives the last spatial feature maps before pooling.

    Raises
    ------
    ConfigError
        If there is none, or if channels come last.
    """
    backbone = model.backbone
    last: list[nn.Module] = []
    name = model.description.backbone
    if getattr(backbone, "output_fmt", "NCHW") not in ("NCHW", None):
        raise ConfigError(_describe_unexplainable(name))

    def remember(module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[2:]) > 1:
            last.append(module)
        elif isinstance(output, Tensor) and output.ndim == 3:
            last.clear()  # maps that are cut into tokens are no features yet

    modules = [m for m in backbone.modules() if m is not backbone]
    handles = [module.register_forward_hook(remember) for module in modules]
    edge = model.description.input_px
    parameter = next(model.parameters())
    try:
        with torch.no_grad():
            backbone(parameter.new_zeros(1, model.description.channels, edge, edge))
    finally:
        for handle in handles:
            handle.remove()
    if not last:
        raise ConfigError(_describe_unexplainable(name))
    return last[-1]


def find_map_shape(model: TileClassifier, tile: NDArray[np.uint8]) -> tuple[int, int]:
    """Return rows and columns of the Grad-CAM map before it is enlarged to the tile.

    Parameters
    ----------
    model
        A trained model.
    tile : (H, W) or (C, H, W) uint8 array
        One tile.
    """
    shapes: list[tuple[int, int]] = []

    def remember(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        shapes.append((int(output.shape[-2]), int(output.shape[-1])))

    handle = find_feature_layer(model).register_forward_hook(remember)
    try:
        with torch.no_grad():
            x = as_batch(tile[None]).to(next(model.parameters()).device)
            model.backbone(model.input(x))
    finally:
        handle.remove()
    return shapes[-1]


def measure_share(
    attribution: NDArray[np.floating], mask: NDArray[np.bool_] | NDArray[np.floating]
) -> float:
    """Return the share of a map's attribution that lies on a mask.

    Parameters
    ----------
    attribution : (H, W) array
        Non-negative.
    mask : (H, W) array
        The feature in question, particles or cracks, say: bool, or the share of every
        pixel that it covers. Compare the share with the
        mask's own share of the area (``mask.mean()``): equal means indifference.

    Returns
    -------
    float
        In [0, 1]; NaN for a map that is zero everywhere.

    Raises
    ------
    ValueError
        If the shapes differ or the map holds negative or non-finite values.
    """
    if attribution.shape != mask.shape:
        raise ValueError(f"map of shape {attribution.shape}, mask of shape {mask.shape}")
    values = np.asarray(attribution, dtype=np.float64)
    if not np.isfinite(values).all() or values.min(initial=0.0) < 0:
        raise ValueError("a map must be finite and non-negative")
    total = values.sum()
    return float((values * mask).sum() / total) if total > 0 else float("nan")


def find_grad_cam(
    network: nn.Module, layer: nn.Module, x: Tensor, target: Target, signed: bool = False
) -> Tensor:
    """Return the Grad-CAM of one output per picture, (B, H, W), enlarged to the pictures.

    Parameters
    ----------
    network
        Maps (B, C, H, W) to (B, n_outputs), within :func:`prepared`.
    layer
        Whose feature maps are weighted.
    x : (B, C, H, W)
        Pictures as the network reads them.
    target
        The output: of all pictures, or (B,) of each.
    signed
        Keep what speaks against the output, too.
    """
    size = (int(x.shape[-2]), int(x.shape[-1]))
    cam = LayerGradCam(network, layer).attribute(x, target=target, relu_attributions=not signed)
    return LayerAttribution.interpolate(cam.detach(), size, "bilinear")[:, 0].float()


def backpropagate_guided(network: nn.Module, x: Tensor, target: Target) -> Tensor:
    """Return the guided gradient of one output per picture, (B, H, W), summed over the channels.

    Negative gradients are set to 0 at all of ``ACTIVATIONS``. Parameters are those of
    :func:`find_grad_cam`.
    """
    gradient = _RectifiedBackprop(network).attribute(x.detach().requires_grad_(), target=target)
    return gradient.detach().sum(dim=1)


class _RectifiedBackprop(GuidedBackprop):
    """Captum's guided backpropagation at all activations; captum's own knows ReLU only."""

    def attribute(self, inputs: Tensor, target: Target) -> Tensor:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Setting backward hooks on ReLU")
            return super().attribute(inputs, target=target)

    def _register_hooks(self, module: nn.Module) -> None:
        if isinstance(module, ACTIVATIONS):
            handles = _hook_gradient(module)
            self.backward_hooks.extend(handles)


def _hook_gradient(module: nn.Module) -> list[torch.utils.hooks.RemovableHandle]:
    """Set negative gradients to 0 where they leave the module towards the input."""

    def rectify_input(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        # A copy, so that only the gradient through this activation is rectified.
        copy = inputs[0].clone()
        if copy.requires_grad:
            copy.register_hook(lambda gradient: gradient.clamp_min(0))
        return (copy, *inputs[1:])

    return [module.register_forward_pre_hook(rectify_input)]


@contextmanager
def prepared(model: TileClassifier) -> Iterator[None]:
    """Set evaluation mode with gradients, and nothing in place (hooks need the values before)."""
    training = model.training
    in_place = [m for m in model.modules() if getattr(m, "inplace", False) is True]
    model.eval()
    for module in in_place:
        module.inplace = False  # type: ignore[assignment]
    try:
        with torch.enable_grad():
            yield
    finally:
        model.train(training)
        for module in in_place:
            module.inplace = True  # type: ignore[assignment]


def _describe_unexplainable(name: str) -> str:
    return (
        f"model.backbone: '{name}' has no spatial feature maps (channels first), which Grad-CAM "
        "needs; explain a convolutional network such as efficientnet_b0 or resnet18."
    )


@singledispatch
def _give_scores(link: object, network: nn.Module) -> nn.Module:
    """Return a network with a score for each class: the scores themselves, without a link."""
    del link
    return network


@_give_scores.register
def _give_scores_of_grades(link: CumulativeLink, network: nn.Module) -> nn.Module:
    return ScoreByGrade(network, link)
