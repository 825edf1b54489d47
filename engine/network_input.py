"""What a network is fed: crops as normalised floats."""

from functools import lru_cache

import torch
from torch import Tensor

from engine.config import DataConfig

# ImageNet's channel statistics on the 0 … 255 scale, RGB; the released "bgr" configurations use the same numbers.
_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)


def network_input(data: DataConfig, crops: Tensor, channel_gains: Tensor | None = None) -> Tensor:
    """uint8 RGB crops (B, 3, H, W) → normalised floats in the recipe's channel order, in the same memory layout.

    Args:
        channel_gains: (B, 3), what red, green and blue are multiplied by first; what exceeds 255 is cut off there.
    """
    if data.channel_order == "bgr":
        crops = crops.flip(1)
        channel_gains = None if channel_gains is None else channel_gains.flip(1)
    pixels = crops.float() if channel_gains is None else apply_gains(crops, channel_gains)
    if data.normalisation == "unit":
        return pixels.div_(255)
    mean, std = _channel_statistics(crops.device)
    return pixels.sub_(mean).div_(std)  # in place: on a CPU, writing fresh memory is most of the cost


def apply_gains(crops: Tensor, channel_gains: Tensor) -> Tensor:
    """uint8 crops (B, 3, H, W) times a number for each channel, (B, 3), as floats from 0 to 255."""
    return crops.float().mul_(channel_gains.to(crops.device, non_blocking=True)[:, :, None, None]).clamp_(max=255)


@lru_cache
def _channel_statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, (1, 3, 1, 1) each; moved to a device once, as it makes the host wait."""
    mean, std = torch.tensor((_MEAN, _STD)).view(2, 1, 3, 1, 1).to(device)
    return mean, std
