"""Batch normalisation computed into the convolutions before it, for networks that only predict."""

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

TOLERANCE = 1e-4  # of outputs, relative to the largest; single precision stays well below
Network = TypeVar("Network", bound=nn.Module)


def fold_batch_norm(network: Network, tiles: Tensor) -> Network:
    """Return a network that gives the same outputs in less time, a third less for many.

    In evaluation, batch normalisation scales and shifts every feature map by fixed numbers, which
    the weights of the convolution before it can do as well. Which convolution that is shows when
    tiles pass through the network, so that this works for networks of any build.

    Parameters
    ----------
    network
        In evaluation mode; left as it is. Its weights are on the processor.
    tiles : (n, C, H, W) tensor
        An input of the size that the network is used with.

    Returns
    -------
    Module
        A copy, or the network itself where nothing can be folded or the outputs for ``tiles``
        would not be the same.
    """
    if network.training:
        raise ValueError("batch normalisation can be folded in evaluation mode only")
    with torch.inference_mode():
        pairs, expected = _find_pairs(network, tiles)
    if not pairs:
        return network
    folded = copy.deepcopy(network)
    for conv, norm in pairs:
        together = fuse_conv_bn_eval(
            _get_module(folded, conv, nn.Conv2d), _get_module(folded, norm, nn.BatchNorm2d)
        )
        folded.set_submodule(conv, together)
        folded.set_submodule(norm, _take_rest(folded.get_submodule(norm)))
    folded = folded.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        difference = (folded(tiles) - expected).abs().max()
    return folded if difference <= TOLERANCE * (1 + expected.abs().max()) else network


def _find_pairs(network: nn.Module, tiles: Tensor) -> tuple[list[tuple[str, str]], Tensor]:
    """Names of convolutions and of the normalisations that take their outputs, and all outputs."""
    names = {module: name for name, module in network.named_modules()}
    made: dict[int, tuple[nn.Module, Tensor]] = {}  # the tensors are kept, so that ids stay theirs
    taken: list[tuple[nn.Module, nn.Module]] = []
    calls: Counter[nn.Module] = Counter()

    def note_output(module: nn.Module, _inputs: Any, output: Tensor) -> None:
        calls[module] += 1
        made[id(output)] = (module, output)

    def note_input(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        calls[module] += 1
        if id(inputs[0]) in made:
            taken.append((made[id(inputs[0])][0], module))

    handles = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(note_output))
        elif type(module) in FOLDED and module.running_mean is not None:
            handles.append(module.register_forward_pre_hook(note_input))
    try:
        output = network(tiles)
    finally:
        for handle in handles:
            handle.remove()
    pairs = [(names[c], names[n]) for c, n in taken if calls[c] == calls[n] == 1]
    return pairs, output


def _take_rest(norm: nn.Module) -> nn.Module:
    return FOLDED[type(norm)](norm)


# Kinds of normalisation, and what is left of them; other kinds may do more than is known here.
FOLDED: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    nn.BatchNorm2d: lambda norm: nn.Identity(),
    BatchNormAct2d: lambda norm: nn.Sequential(norm.drop, norm.act),
}
M = TypeVar("M", bound=nn.Module)


def _get_module(network: nn.Module, name: str, kind: type[M]) -> M:
    module = network.get_submodule(name)
    if not isinstance(module, kind):
        raise TypeError(f"{name} is no {kind.__name__}")
    return module
