"""The mean squared error of each heatmap, in pieces small enough for a processor's cache."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pose.heatmaps import SeparableMaps

_PIECE = 2**20  # values


def squared_error(predicted: Tensor, target: Tensor | SeparableMaps) -> Tensor:
    """Mean over h and w of (predicted − target)², (B, K), in single precision at least.

    Of the size of the maps nothing is kept, and only the gradient is made: on a CPU, fresh memory would cost ten times
    the arithmetic.

    Args:
        predicted: (B, K, h, w), any float type, any memory layout. target: the same size; no gradient flows into it.
    """
    if isinstance(target, SeparableMaps):
        return _SquaredError.apply(predicted, target.along_y[..., :, None], target.along_x[..., None, :])
    return _SquaredError.apply(predicted, target)


class _SquaredError(torch.autograd.Function):
    """`factors` is the target, or (B, K, h, 1) and (B, K, 1, w), whose product it is."""

    @staticmethod
    def forward(ctx: Any, predicted: Tensor, *factors: Tensor) -> Tensor:
        ctx.save_for_backward(predicted, *factors)
        norms = torch.empty(predicted.shape[:2], dtype=_precision(predicted), device=predicted.device)
        for rows in _pieces(predicted):
            norms[rows] = torch.linalg.vector_norm(_error(rows, predicted, *factors), dim=(2, 3))
        return norms.square_().div_(math.prod(predicted.shape[2:]))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        predicted, *factors = ctx.saved_tensors
        scale = gradient[..., None, None] * (2 / math.prod(predicted.shape[2:]))
        result = torch.empty_like(predicted)
        for rows in _pieces(predicted):
            piece = _error(rows, predicted, *factors).mul_(scale[rows])
            result[rows] = piece.to(predicted.dtype)  # a copy that casts and changes the layout at once takes longer
        return result, *(None for _ in factors)


def _pieces(maps: Tensor) -> Iterator[slice]:
    """Rows of a batch: a few at a time on a CPU, all of them on a GPU."""
    step = len(maps) if maps.is_cuda else _PIECE // max(1, math.prod(maps.shape[1:]))
    return (slice(start, start + max(1, step)) for start in range(0, len(maps), max(1, step)))


def _error(rows: slice, predicted: Tensor, *factors: Tensor) -> Tensor:
    """predicted − target of these rows, in fresh contiguous memory."""
    maps = predicted[rows].to(_precision(predicted)).contiguous()
    if len(factors) == 1:
        return maps - factors[0][rows]
    return torch.addcmul(maps, factors[0][rows], factors[1][rows], value=-1)


def _precision(maps: Tensor) -> torch.dtype:
    return torch.promote_types(maps.dtype, torch.float32)
