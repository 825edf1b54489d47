"""Other ways to compute the adaptive convolution (models/adaptive_convolution.py), with PyTorch's own gradients."""

import torch
import torch.nn.functional as F
from torch import Tensor


def by_grid_sample(x: Tensor, transforms: Tensor, weight: Tensor) -> Tensor:
    """All taps in one call, then a 1x1 convolution."""
    batch, channels, height, width = x.shape
    y, z = _places(transforms)
    grid = 2 * torch.stack((z / (width - 1), y / (height - 1)), dim=-1) - 1
    samples = F.grid_sample(x, grid.flatten(1, 2), align_corners=True)
    taps = samples.view(batch, channels * 9, height, width)
    return F.conv2d(taps, weight.flatten(1)[:, :, None, None])


def by_corners(x: Tensor, transforms: Tensor, weight: Tensor) -> Tensor:
    """Four look-ups of rows for each tap and pixel, weighted and added, then a product."""
    batch, channels, height, width = x.shape
    places = _places(transforms)
    lows = [place.detach().floor() for place in places]
    rows = F.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1).reshape(-1, channels)
    first = torch.arange(batch, device=x.device).view(-1, 1, 1, 1) * (height + 2) + 1
    taps = torch.zeros((), device=x.device, dtype=x.dtype)
    for moves in ((0, 0), (0, 1), (1, 0), (1, 1)):
        shares = [1 - (place - low - move).abs() for place, low, move in zip(places, lows, moves, strict=True)]
        y, z = (
            (low + move).clamp(-1, side).long() for low, move, side in zip(lows, moves, (height, width), strict=True)
        )
        taps = taps + rows[(first + y) * (width + 2) + z + 1] * (shares[0] * shares[1])[..., None]
    taps = taps.permute(0, 2, 3, 1, 4).flatten(3)
    return (taps @ weight.permute(2, 3, 1, 0).flatten(0, 2)).permute(0, 3, 1, 2)


def _places(transforms: Tensor) -> tuple[Tensor, Tensor]:
    """y and x (B, 9, h, w) of the samples, px."""
    t_yy, t_yx, t_xy, t_xx = transforms[:, :, None].unbind(dim=1)
    taps = torch.arange(9, device=transforms.device).view(9, 1, 1)
    tap_y, tap_x = taps // 3 - 1, taps % 3 - 1
    rows, columns = (torch.arange(side, device=transforms.device) for side in transforms.shape[2:])
    return rows[:, None] + t_yy * tap_y + t_yx * tap_x, columns + t_xy * tap_y + t_xx * tap_x
