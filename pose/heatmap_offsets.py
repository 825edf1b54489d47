"""Where between pixels a heatmap's peak lies, seen from its largest pixel."""

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

Decoding = Literal["argmax", "quarter", "dark"]

_PUBLISHED_KERNELS = {1.0: 3, 2.0: 11, 3.0: 11}  # DARK's configurations at 128x96, 256x192, 384x288


def blur_kernel_size(sigma: float) -> int:
    """Side, px, of the kernel that DARK blurs a map with whose target has this sigma (specs 2.5).

    The published one, else the odd size k for which OpenCV's sigma, 0.3 ((k − 1) / 2 − 1) + 0.8, is nearest to this; 3
    up to sigma 1.
    """
    nearest = 2 * round((sigma - 0.5) / 0.3) + 1
    return _PUBLISHED_KERNELS.get(sigma, nearest if sigma > 1 else 3)


def _no_offset(heatmaps: Tensor, integer: Tensor, sigma: float) -> Tensor:
    return torch.zeros(integer.shape, device=heatmaps.device)


def _quarter_offset(heatmaps: Tensor, integer: Tensor, sigma: float) -> Tensor:
    """0.25 px towards the larger neighbour in x and y, only where 1 < x < W − 1 and 1 < y < H − 1 (public code)."""
    near, _ = _neighbourhood(heatmaps, integer, 1)
    gradient = torch.stack([near[..., 1, 2] - near[..., 1, 0], near[..., 2, 1] - near[..., 0, 1]], dim=-1)
    return 0.25 * gradient.sign() * _inside(heatmaps, integer, low=2, high=2)


def _dark_offset(heatmaps: Tensor, integer: Tensor, sigma: float) -> Tensor:
    """One Newton step from the argmax on the log of the blurred map (Zhang et al., CVPR 2020, eqs. 4–9)."""
    blurred = _blurred_neighbourhood(heatmaps, integer, radius=2, kernel_size=blur_kernel_size(sigma))
    peak = _neighbourhood(heatmaps, integer, 0)[0].flatten(2)
    scale = peak[..., 0] / blurred.flatten(2).amax(2).clamp(min=1e-10)
    n = torch.log((blurred * scale[..., None, None]).clamp(min=1e-10))
    dx, dy = 0.5 * (n[..., 2, 3] - n[..., 2, 1]), 0.5 * (n[..., 3, 2] - n[..., 1, 2])
    dxx = 0.25 * (n[..., 2, 4] - 2 * n[..., 2, 2] + n[..., 2, 0])
    dyy = 0.25 * (n[..., 4, 2] - 2 * n[..., 2, 2] + n[..., 0, 2])
    dxy = 0.25 * (n[..., 3, 3] - n[..., 1, 3] - n[..., 3, 1] + n[..., 1, 1])
    determinant = dxx * dyy - dxy**2
    solvable = (determinant != 0)[..., None] & _inside(heatmaps, integer, low=2, high=3)
    determinant = torch.where(determinant == 0, 1.0, determinant)
    step = -torch.stack([dyy * dx - dxy * dy, dxx * dy - dxy * dx], dim=-1) / determinant[..., None]
    return torch.where(solvable, step, 0.0)


OFFSETS: dict[Decoding, Callable[[Tensor, Tensor, float], Tensor]] = {
    "argmax": _no_offset,
    "quarter": _quarter_offset,
    "dark": _dark_offset,
}
"""(heatmaps (B, K, H, W), their largest pixels (B, K, 2), the target's sigma) → (B, K, 2), heatmap px."""


def _blurred_neighbourhood(heatmaps: Tensor, integer: Tensor, radius: int, kernel_size: int) -> Tensor:
    """(B, K, 2r+1, 2r+1) around integer positions, of the maps blurred by the kernel that OpenCV derives from its size.

    Zeros outside. Only what the step looks at is blurred, so the map is rescaled by the maximum of this neighbourhood
    instead of the whole map's; that shifts a logarithm, whose derivatives stay the same.
    """
    values, inside = _neighbourhood(heatmaps, integer, radius + kernel_size // 2)
    band = _band(kernel_size, 2 * radius + 1, heatmaps.device)
    rows = torch.where(inside, values, 0.0) @ band  # blurred along x
    return (rows.mT.contiguous() @ band).mT


@lru_cache
def _band(kernel_size: int, size: int, device: torch.device) -> Tensor:
    """(kernel_size + size − 1, size): what a row is multiplied by to blur `size` values of it."""
    # OpenCV's formula for the width holds for 11 only; for 3 it takes (1, 2, 1) / 4 from a table.
    kernel = torch.from_numpy(cv2.getGaussianKernel(kernel_size, 0)).float().flatten()
    return torch.stack([F.pad(kernel, (row, size - 1 - row)) for row in range(size)], dim=1).to(device)


def _neighbourhood(maps: Tensor, integer: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Values (B, K, 2r+1, 2r+1), rows first, around integer positions (B, K, 2), and which of them lie in the map;
    those outside are the edge's."""
    steps = torch.arange(-radius, radius + 1, device=maps.device)
    height, width = maps.shape[2:]
    x, y = integer[..., 0, None] + steps, integer[..., 1, None] + steps
    near_x, near_y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    index = near_y[..., :, None] * width + near_x[..., None, :]
    values = maps.flatten(2).gather(2, index.flatten(2)).view(index.shape)
    return values, (y == near_y)[..., :, None] & (x == near_x)[..., None, :]


def _inside(maps: Tensor, integer: Tensor, low: int, high: int) -> Tensor:
    """(B, K, 1): low ≤ x ≤ W − high and likewise for y."""
    height, width = maps.shape[2:]
    x, y = integer.unbind(-1)
    return ((x >= low) & (x <= width - high) & (y >= low) & (y <= height - high))[..., None]
