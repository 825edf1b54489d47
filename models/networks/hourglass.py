"""Stacked hourglass (Newell et al., ECCV 2016) as pytorch-pose builds it, with that code's tensor names.

Each hourglass sees the image's features and what the one before it made of them; each answers with heatmaps.
"""

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from models.crop_size import require_multiple
from models.output_map import OutputMap


class StackedHourglass(nn.Module):
    """Heatmaps at stride 4 from every stack, all supervised, for crops whose height and width are multiples of
    4·2^depth px (64 for the published depth).

    Args:
        stacks: how many hourglasses follow each other; published networks have 2, 4 or 8.
        channels: of all maps between the stem and the heatmaps; a multiple of 4.
        depth: how often an hourglass halves its maps.
    Raises:
        ValueError: a number that is not whole and above 0, or `channels` that 4 does not divide.
    """

    published_names: tuple[tuple[str, str], ...] = ()
    backbone = None

    def __init__(self, num_keypoints: int, stacks: int, channels: int = 256, depth: int = 4) -> None:
        super().__init__()
        _check(stacks, channels, depth)
        between = range(stacks - 1)
        self.conv1 = nn.Conv2d(3, channels // 4, 7, stride=2, padding=3)
        self.bn1 = nn.BatchNorm2d(channels // 4)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _residual(channels // 4, channels // 2)
        self.layer2 = _residual(channels // 2, channels)
        self.layer3 = _residual(channels, channels)
        self.hg = nn.ModuleList(Hourglass(channels, depth) for _ in range(stacks))
        self.res = nn.ModuleList(_residual(channels, channels) for _ in range(stacks))
        self.fc = nn.ModuleList(_conv_norm_relu(channels) for _ in range(stacks))
        self.score = nn.ModuleList(nn.Conv2d(channels, num_keypoints, 1) for _ in range(stacks))
        self.fc_ = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in between)
        self.score_ = nn.ModuleList(nn.Conv2d(num_keypoints, channels, 1) for _ in between)
        self.feature_channels = channels
        self.outputs = tuple(OutputMap(f"heatmaps_{stack}", stride=4) for stack in range(1, stacks + 1))
        self._divisor = 4 * 2**depth

    def forward(self, crops: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        require_multiple(crops, self._divisor)
        x = self._stem(crops)
        features = self._features(0, x)
        maps = [self.score[0](features)]
        for stack in range(1, len(self.hg)):
            x = x + self.fc_[stack - 1](features) + self.score_[stack - 1](maps[-1])
            features = self._features(stack, x)
            maps.append(self.score[stack](features))
        return tuple(maps), features

    def _stem(self, crops: Tensor) -> Tensor:
        x = self.layer1(self.relu(self.bn1(self.conv1(crops))))
        return self.layer3(self.layer2(F.max_pool2d(x, 2)))

    def _features(self, stack: int, x: Tensor) -> Tensor:
        return self.fc[stack](self.res[stack](self.hg[stack](x)))


class Hourglass(nn.Module):
    """(B, channels, h, w) → the same shape: halved `depth` times, doubled again, with a residual block at each
    resolution on the way down, across and up. `depth` halvings must leave whole sizes."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        # Innermost level first, as in the public code: across, down, up, and at the bottom one block more.
        self.hg = nn.ModuleList(
            nn.ModuleList(_residual(channels, channels) for _ in range(4 if level == 0 else 3))
            for level in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        levels = [cast(nn.ModuleList, level) for level in self.hg]
        across = []
        for level in reversed(levels):
            across.append(level[0](x))
            x = level[1](F.max_pool2d(x, 2))
        x = levels[0][3](x)
        for level in levels:
            x = across.pop().add_(F.interpolate(level[2](x), scale_factor=2, mode="nearest"))
        return x


class PreactivationBottleneck(nn.Module):
    """(B, inputs, h, w) → (B, outputs, h, w): 1x1, 3x3, 1x1 convolutions of half the outputs, each after norm and ReLU,
    and a shortcut, which is a bare convolution where the widths differ."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        middle = outputs // 2
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, middle, 1)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, middle, 3, padding=1)
        self.bn3 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, outputs, 1)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None if inputs == outputs else nn.Sequential(nn.Conv2d(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.conv1(self.relu(self.bn1(x)))
        x = self.conv2(self.relu(self.bn2(x)))
        return self.conv3(self.relu(self.bn3(x))).add_(shortcut)


def _residual(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(PreactivationBottleneck(inputs, outputs))


def _conv_norm_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


def _check(stacks: int, channels: int, depth: int) -> None:
    if not all(isinstance(value, int) and value > 0 for value in (stacks, channels, depth)):
        raise ValueError(
            f"stacks, channels and depth must be whole numbers above 0, got {stacks!r}, {channels!r} and {depth!r}"
        )
    if channels % 4:
        raise ValueError(f"channels must be a multiple of 4, got {channels!r}")
