"""The tradeoff heatmap loss: what is no keypoint counts less than what is one (specs 3.2)."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.batch_mean import MeanOverRanks, alone, batch_mean


def tradeoff_mse(
    predicted: Tensor,
    target: Tensor,
    background: float,
    valid: Tensor,
    ignore: Tensor | None = None,
    counted: Tensor | None = None,
    region: Tensor | None = None,
    over_ranks: MeanOverRanks = alone,
) -> Tensor:
    """The mean over b, c, h, w of M · (predicted − target)², a scalar, in single precision at least.

    M is 1 in the keypoint region, `background` elsewhere, and 0 on what is ignored. With a background of 1 this is the
    mean squared error. What is ignored or not counted still is part of the number that is divided by.

    Args:
        predicted, target: (B, C, h, w), any memory layout; no gradient flows into the target.
        valid: (B,) bool; rows that only fill up a batch are left out of the mean.
        ignore: (B, h, w), true or not 0 where nothing counts; default nowhere.
        counted: (B, C) bool, which channels the picture's annotation says something about; default all.
        region: (B, h, w) bool, one keypoint region for all channels, see `common_region`; default, for each channel,
            where its target is positive (`pose.person_heatmaps`).
        over_ranks: see `models.batch_mean`.
    """
    losses: Tensor = _TradeoffError.apply(predicted, target, background, ignore, region)
    if counted is not None:
        losses = losses * counted
    return batch_mean(losses.mean(dim=1), valid, over_ranks)


def common_region(*targets: Tensor) -> Tensor:
    """Where any channel of any of these targets (B, C, h, w) is positive, (B, h, w) bool: the public code's region, of
    the heatmaps and the centre map together."""
    positive = [target.amax(dim=1) > 0 for target in targets]
    return torch.stack(positive).any(dim=0)


class _TradeoffError(torch.autograd.Function):
    """(B, C). Of the size of the maps nothing is kept, and only the gradient is made: on a CPU plain operations take up
    to four times as long, because fresh memory costs more than the arithmetic."""

    @staticmethod
    def forward(
        ctx: Any, predicted: Tensor, target: Tensor, background: float, ignore: Tensor | None, region: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(predicted, target, ignore, region)
        ctx.background = background
        dtype = torch.promote_types(predicted.dtype, torch.float32)
        losses = torch.empty(predicted.shape[:2], dtype=dtype, device=predicted.device)
        for rows, error, weight in _weighted_errors(predicted, target, background, ignore, region):
            losses[rows] = error.square_().mul_(weight).sum(dim=(2, 3))
        return losses / math.prod(predicted.shape[2:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        predicted, target, ignore, region = ctx.saved_tensors
        scale = gradient[..., None, None] * (2 / math.prod(predicted.shape[2:]))
        result = torch.empty_like(predicted)
        for rows, error, weight in _weighted_errors(predicted, target, ctx.background, ignore, region):
            piece = error.mul_(weight).mul_(scale[rows])
            result[rows] = piece.to(predicted.dtype)  # a copy that casts and changes the layout at once takes longer
        return result, None, None, None, None


def _weighted_errors(
    predicted: Tensor, target: Tensor, background: float, ignore: Tensor | None, region: Tensor | None
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """For some rows at a time, predicted − target in fresh contiguous memory, and M, which broadcasts to it."""
    dtype = torch.promote_types(predicted.dtype, torch.float32)
    if ignore is None:
        inside = torch.ones(len(predicted), 1, 1, 1, device=predicted.device)
    else:
        inside = (ignore[:, None] == 0).float()
    outside = inside * background
    for rows in _pieces(predicted):
        aim, weight = target[rows], inside[rows]
        if background != 1:
            weight = torch.where(aim > 0 if region is None else region[rows, None], weight, outside[rows])
        yield rows, predicted[rows].to(dtype).contiguous() - aim, weight


def _pieces(maps: Tensor) -> Iterator[slice]:
    """Rows of a batch: one at a time on a CPU, for whose cache many are too large; all of them on a GPU."""
    step = max(1, len(maps)) if maps.is_cuda else 1
    return (slice(start, start + step) for start in range(0, len(maps), step))
