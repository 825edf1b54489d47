"""Residual blocks of the bottom-up paper's heads (specs 3.1): with convolutions that adapt, or ordinary ones.

Tensor names are those of the public code.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.adaptive_convolution import AdaptiveConvolution

_PLACES = ((-1, -1, -1, 0, 0, 0, 1, 1, 1), (-1, 0, 1, -1, 0, 1, -1, 0, 1))


class AdaptiveBlock(nn.Module):
    """Two adaptive convolutions and a shortcut: (B, C, h, w) → the same size.

    Both transforms come from the block's input. They start at 0, so that all taps of a convolution without dilation
    sample the centre.
    """

    tied = ("transform_matrix_conv1", "stn_conv1", "transform_matrix_conv2", "stn_conv2")

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        # The taps' y and x: what every convolution has, but public files hold it.
        self.register_buffer("regular_matrix", torch.tensor(_PLACES, dtype=torch.float32))
        self.transform_matrix_conv1 = _transform(channels)
        self.stn_conv1 = AdaptiveConvolution(channels, channels, dilation)
        self.bn1 = nn.BatchNorm2d(channels)
        self.transform_matrix_conv2 = _transform(channels)
        self.stn_conv2 = AdaptiveConvolution(channels, channels, dilation)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.stn_conv1(x, self.transform_matrix_conv1(x))))
        y = self.bn2(self.stn_conv2(y, self.transform_matrix_conv2(x)))
        return self.relu(y + x)


class DilatedBlock(nn.Module):
    """The same with ordinary convolutions."""

    tied = ("conv1", "conv2")

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = _dilated(channels, dilation)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _dilated(channels, dilation)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + x)


def tied_blocks(adaptive: bool, channels: int, dilations: Sequence[int]) -> list[nn.Module]:
    """A block for each dilation. They share the weights of their convolutions, but no bias and no norm."""
    blocks = [(AdaptiveBlock if adaptive else DilatedBlock)(channels, dilation) for dilation in dilations]
    for block in blocks[1:]:
        for name in block.tied:
            block.get_submodule(name).weight = blocks[0].get_submodule(name).weight
    return list(blocks)


def _transform(channels: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels, 4, 3, padding=1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _dilated(channels: int, dilation: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False)
    nn.init.normal_(layer.weight, std=0.001)
    return layer
