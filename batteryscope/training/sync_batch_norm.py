"""Batch normalisation over the tiles of all devices, as one device with all of them does it."""

from typing import Any

import torch
from lightning.pytorch.plugins.layer_sync import LayerSync
from timm.layers import BatchNormAct2d, convert_sync_batchnorm
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm


class SyncedBatchNorm(LayerSync):
    """Makes the layers of a network share their statistics in training.

    timm's own conversion keeps the activation that is part of its layers; PyTorch's, which
    Lightning takes by itself, loses it.

    Parameters
    ----------
    on_gpu
        Whether the network will be trained on GPUs; it is still on the CPU when it is changed.
    """

    def __init__(self, on_gpu: bool) -> None:
        self._on_gpu = on_gpu

    def apply(self, model: nn.Module) -> nn.Module:
        """Return the network with synchronised layers; on a GPU these are PyTorch's."""
        if self._on_gpu:
            synced: nn.Module = convert_sync_batchnorm(model)
            return synced
        for layer in model.modules():
            if isinstance(layer, _BatchNorm):
                kind = type(layer)
                layer.__class__ = type(f"Synced{kind.__name__}", (_SyncedOnCpu, kind), {})
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Leave the network as it is: it ends with its process."""
        return model


class _SumOverDevices(torch.autograd.Function):
    """The sum of a tensor over all processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return total


class _SyncedOnCpu(_BatchNorm):
    """What PyTorch's synchronised layer, which is for GPUs alone, does with the tiles of all."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        over = [d for d in range(input.ndim) if d != 1]
        shape = [1, -1] + [1] * (input.ndim - 2)
        n = input.numel() // input.shape[1] * distributed.get_world_size()
        mean = _SumOverDevices.apply(input.sum(over)) / n
        centred = input - mean.view(shape)
        variance = _SumOverDevices.apply((centred**2).sum(over)) / n
        if self.running_mean is not None and self.running_var is not None:
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            share = self.momentum or 1 / float(self.num_batches_tracked)
            self.running_mean.lerp_(mean.detach(), share)
            self.running_var.lerp_(variance.detach() * n / max(1, n - 1), share)
        x = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            x = x * self.weight.view(shape) + self.bias.view(shape)
        return self.act(self.drop(x)) if isinstance(self, BatchNormAct2d) else x
