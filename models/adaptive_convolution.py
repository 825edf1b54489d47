"""The adaptive convolution of the bottom-up paper (specs 3.1): 3x3 taps whose places follow a 2x2 matrix per pixel."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from models.grid_sampled_convolution import grid_sampled_convolution

_TAPS = 9


class AdaptiveConvolution(nn.Module):
    """`adaptive_convolution` with a weight of its own, without a bias."""

    def __init__(self, inputs: int, outputs: int, dilation: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.dilation = dilation
        bound = (inputs * _TAPS) ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x: Tensor, transforms: Tensor) -> Tensor:
        return adaptive_convolution(x, transforms, self.weight, self.dilation)


def adaptive_convolution(x: Tensor, transforms: Tensor, weight: Tensor, dilation: int = 1) -> Tensor:
    """y(q) = Σ_i W_i x(q + d·g_i + T(q)·g_i − g_i), g_i being the nine places (y, x) of a 3x3 kernel, row by row.

    Samples are bilinear, and zero outside the map. Where T is the identity this is the ordinary convolution. Memory
    beyond the operands is a few times that of x, in backward too: each tap is sampled and multiplied by itself, and
    sampled once more for the gradients.

    Args:
        x: (B, C, h, w). transforms: T (B, 4, h, w), row by row; it acts on (y, x). weight: (O, C, 3, 3). dilation: d.
    Returns:
        (B, O, h, w), channels last in memory. Places are float32 or better, whatever x and the transforms are.
    """
    if torch.compiler.is_exporting():
        return grid_sampled_convolution(x, transforms, weight, dilation)
    device = x.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        x, weight = x.to(dtype), weight.to(dtype)
    result: Tensor = _Convolution.apply(x, transforms, weight, dilation)
    return result


class _Places(NamedTuple):
    """Where the taps sample: (9, N) each, one for each tap and pixel.

    Attributes:
        corners: (9, N, 4) int32, rows of `_table`: the pixels around a place, the lower y and lower x first.
        y, x: from the first corner, px, in [0, 1].
        moves_y, moves_x: 1 where the place can move without leaving the map, else 0.
    """

    corners: Tensor
    y: Tensor
    x: Tensor
    moves_y: Tensor
    moves_x: Tensor

    def weights(self) -> Tensor:
        """(9, N, 4): of the corners in a sample."""
        y, x = self.y, self.x
        return torch.stack(((1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x), dim=-1)

    def weights_by_y(self) -> Tensor:
        """(9, N, 4): how the weights grow with the place's y."""
        right = self.moves_y * self.x
        left = self.moves_y - right
        return torch.stack((-left, -right, left, right), dim=-1)

    def weights_by_x(self) -> Tensor:
        low = self.moves_x * self.y
        high = self.moves_x - low
        return torch.stack((-high, high, -low, low), dim=-1)


class _Convolution(torch.autograd.Function):
    """A sample is a weighted sum of four rows of a table, hence an `embedding_bag`, which needs no copy of the rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, transforms: Tensor, weight: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(x, transforms, weight)
        ctx.dilation = dilation
        places, table, kernel = _places(transforms, dilation), _table(x), _by_tap(weight)
        weights = places.weights().to(x.dtype)
        total = _sampled(table, places.corners[0], weights[0]) @ kernel[0].t()
        for tap in range(1, _TAPS):
            total.addmm_(_sampled(table, places.corners[tap], weights[tap]), kernel[tap].t())
        batch, _, height, width = x.shape
        return total.view(batch, height, width, -1).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, transforms, weight = ctx.saved_tensors
        places, table, kernel = _places(transforms, ctx.dilation), _table(x), _by_tap(weight)
        weights, by_y, by_x = (w.to(x.dtype) for w in (places.weights(), places.weights_by_y(), places.weights_by_x()))
        gradient = gradient.permute(0, 2, 3, 1).reshape(-1, weight.shape[0])
        of_table = torch.zeros_like(table)
        of_kernel, of_y, of_x = [], [], []
        for tap in range(_TAPS):
            corners = places.corners[tap]
            of_kernel.append(gradient.t() @ _sampled(table, corners, weights[tap]))
            of_sample = gradient @ kernel[tap]
            of_table += _spread(of_sample, corners, weights[tap], len(table))
            of_y.append(torch.linalg.vecdot(of_sample, _sampled(table, corners, by_y[tap])))
            of_x.append(torch.linalg.vecdot(of_sample, _sampled(table, corners, by_x[tap])))
        of_transforms = _of_transforms(torch.stack(of_y), torch.stack(of_x))
        return (
            _of_map(of_table, x),
            of_transforms.view(4, len(x), *x.shape[2:]).transpose(0, 1).to(transforms.dtype),
            torch.stack(of_kernel, dim=2).view(weight.shape),
            None,
        )


def _places(transforms: Tensor, dilation: int) -> _Places:
    transforms = transforms.to(torch.promote_types(transforms.dtype, torch.float32))
    batch, _, height, width = transforms.shape
    t_yy, t_yx, t_xy, t_xx = transforms.unbind(dim=1)
    tap_y, tap_x = (tap.view(-1, 1, 1, 1) for tap in _taps(transforms))
    rows, columns = (torch.arange(side, device=transforms.device) for side in (height, width))
    # d·g − g is whole; T·g is not.
    low_y, y, moves_y = _split((rows[:, None] + (dilation - 1) * tap_y) + t_yy * tap_y + t_yx * tap_x, height)
    low_x, x, moves_x = _split((columns + (dilation - 1) * tap_x) + t_xy * tap_y + t_xx * tap_x, width)
    images = torch.arange(batch, device=transforms.device, dtype=torch.int32)[:, None, None]
    stride = width + 2
    first = (images * (height + 2) + low_y + 1) * stride + low_x + 1
    corners = torch.stack((first, first + 1, first + stride, first + stride + 1), dim=-1)
    return _Places(corners.flatten(1, 3), *(part.flatten(1) for part in (y, x, moves_y, moves_x)))


def _taps(like: Tensor) -> tuple[Tensor, Tensor]:
    """y and x (9,) of the kernel's places. Nothing is brought from the host."""
    taps = torch.arange(_TAPS, device=like.device)
    return (taps // 3 - 1).to(like.dtype), (taps % 3 - 1).to(like.dtype)


def _split(place: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Places along one axis, px → the pixel below, at least −1 and at most size − 1; the rest in [0, 1]; and where both
    follow the place. A place that is no number stays one in the rest only: a gradient that explodes shall show in the
    loss, not end the process."""
    low = place.floor().clamp(-1, size - 1).nan_to_num(0)
    moves = ((place >= -1) & (place < size)).to(place.dtype)
    return low.to(torch.int32), (place - low).clamp(0, 1), moves


def _by_tap(weight: Tensor) -> Tensor:
    """(O, C, 3, 3) → (9, O, C)."""
    return weight.flatten(2).permute(2, 0, 1).contiguous()


def _table(x: Tensor) -> Tensor:
    """(B, C, h, w) → (B·(h + 2)·(w + 2), C): pixels as rows, with a border of zeros."""
    return F.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _of_map(table: Tensor, like: Tensor) -> Tensor:
    """What `_table` was made from, its border left out."""
    batch, channels, height, width = like.shape
    return table.view(batch, height + 2, width + 2, channels)[:, 1:-1, 1:-1].permute(0, 3, 1, 2)


def _sampled(table: Tensor, corners: Tensor, weights: Tensor) -> Tensor:
    """Sums (N, C) of rows of a table (R, C) under the indices and weights (N, 4)."""
    return F.embedding_bag(corners, table, per_sample_weights=weights, mode="sum")


def _spread(samples: Tensor, corners: Tensor, weights: Tensor, rows: int) -> Tensor:
    """The transpose of `_sampled`: samples (N, C) → a table (rows, C), each row the sum of what was drawn from it.

    Sorting by row makes it a bag of samples too, many times as fast on a CPU as adding row by row, and deterministic.
    """
    drawn_from, order = corners.flatten().sort()
    counts = torch.zeros(rows, dtype=torch.int32, device=corners.device)
    counts.index_add_(0, drawn_from, torch.ones_like(drawn_from))
    starts = counts.cumsum(0, dtype=torch.int32) - counts
    drawn = (order >> 2).to(torch.int32)
    return F.embedding_bag(drawn, samples, starts, per_sample_weights=weights.flatten()[order], mode="sum")


def _of_transforms(of_y: Tensor, of_x: Tensor) -> Tensor:
    """Gradients (9, N) of the places → (4, N) of the transforms."""
    tap_y, tap_x = (tap[:, None] for tap in _taps(of_y))
    return torch.stack([(of_place * tap).sum(0) for of_place in (of_y, of_x) for tap in (tap_y, tap_x)])
