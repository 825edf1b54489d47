"""Batch normalisation over the whole global batch, whichever processes hold it."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def synchronised(network: nn.Module, device: torch.device) -> None:
    """Make the batch normalisations in a network take means over all processes; names of tensors stay."""
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = _OnCpu


class _OnCpu(nn.BatchNorm2d):
    """What torch's SyncBatchNorm does on GPUs only."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or not dist.is_initialized():
            return super().forward(input)
        values = input.to(torch.promote_types(input.dtype, torch.float32))
        count = values.numel() // values.shape[1]
        number = torch.tensor(float(count), dtype=values.dtype)
        dist.all_reduce(number)
        mean = _total(values.sum(dim=(0, 2, 3))) / number
        deviations = values - mean[:, None, None]
        variance = _total(deviations.square().sum(dim=(0, 2, 3))) / number
        self._remember(mean.detach(), variance.detach() * number / (number - 1))
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return (deviations * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class _Total(torch.autograd.Function):
    """The sum over all processes; each one's loss depends on everybody's share, and so does its gradient."""

    @staticmethod
    def forward(ctx: Any, share: Tensor) -> Tensor:
        total = share.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


def _total(share: Tensor) -> Tensor:
    total: Tensor = _Total.apply(share)
    return total
