"""The adaptive convolution in operators that exchange formats have."""

import torch
import torch.nn.functional as F
from torch import Tensor

_PLACES = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]


def grid_sampled_convolution(x: Tensor, transforms: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """What `models.adaptive_convolution` computes, and takes, with one sampling for all nine taps: ten times the memory
    of x."""
    batch, channels, height, width = x.shape
    taps = torch.tensor(_PLACES, dtype=x.dtype, device=x.device)
    still = torch.zeros_like(taps)
    whole = (dilation - 1) * taps
    # T·g + d·g − g of all taps is a 1x1 convolution of the transforms: (B, 9, h, w), px.
    down = F.conv2d(transforms, torch.cat([taps, still], dim=1)[:, :, None, None], whole[:, 0])
    right = F.conv2d(transforms, torch.cat([still, taps], dim=1)[:, :, None, None], whole[:, 1])
    rows, columns = torch.arange(height, device=x.device)[:, None], torch.arange(width, device=x.device)
    # From −1 at one edge of the map to 1 at the other.
    places = torch.stack([((right + columns) * 2 + 1) / width - 1, ((down + rows) * 2 + 1) / height - 1], dim=-1)
    samples = F.grid_sample(x, places.flatten(1, 2), mode="bilinear", padding_mode="zeros", align_corners=False)
    by_tap = samples.reshape(batch, channels * len(_PLACES), height, width)
    return F.conv2d(by_tap, weight.flatten(1)[..., None, None])
