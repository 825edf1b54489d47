"""Maps in another size; two habits of the field disagree on what stands where."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Resizing = Literal["aligned", "half_pixel"]


def resize(maps: Tensor, size: Sequence[int], resizing: Resizing) -> Tensor:
    """Maps (B, C, h, w) in another size (H, W), bilinearly.

    "aligned": px i lies at px i·H/h of the result, and what lies beyond the last one repeats it. "half_pixel": the
    outer edges of the maps agree.
    """
    height, width = maps.shape[2:]
    if tuple(size) == (height, width):
        return maps
    if resizing == "half_pixel":
        return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)
    times_y, times_x = size[0] // height, size[1] // width
    if (height * times_y, width * times_x) == tuple(size):
        inner = (size[0] - times_y + 1, size[1] - times_x + 1)
        inside = F.interpolate(maps, size=inner, mode="bilinear", align_corners=True)
        return F.pad(inside, (0, times_x - 1, 0, times_y - 1), mode="replicate")
    return _lerp(_lerp(maps, size[0], 2), size[1], 3)


def _lerp(maps: Tensor, length: int, dim: int) -> Tensor:
    """Maps stretched or shrunk along one dimension, px i to px i·length/old length."""
    old = maps.shape[dim]
    places = (torch.arange(length, device=maps.device, dtype=maps.dtype) * (old / length)).clamp(max=old - 1)
    low = places.floor().long()
    high = (low + 1).clamp(max=old - 1)
    share = (places - low).view([-1 if axis == dim else 1 for axis in range(maps.dim())])
    return torch.lerp(maps.index_select(dim, low), maps.index_select(dim, high), share)
