"""Stacked hourglass for associative embedding (Newell et al., NeurIPS 2017), with the public code's tensor names.

It has no norms, wider maps at every halving, and one convolution where the hourglass for single persons has a block.
"""

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from models.crop_size import require_multiple
from models.output_map import OutputMap


class AEHourglass(nn.Module):
    """Tags and heatmaps at stride 4 from every stack, all supervised, for images whose height and width are multiples
    of 4·2^depth px (64 for the published depth).

    A stack answers with 4K channels: heatmaps, tags, and as many again that only the next stack looks at.

    Args:
        stacks: how many hourglasses follow each other; the published network has 4.
        channels: of the maps at stride 4; a multiple of 4.
        increase: by how much the channels grow at every halving.
        depth: how often an hourglass halves its maps.
    Raises:
        ValueError: a number that is not whole and above 0 (`increase` may be 0), or `channels` that 4 does not divide.
    """

    published_names: tuple[tuple[str, str], ...] = ()
    backbone = None

    def __init__(
        self, num_keypoints: int, stacks: int = 4, channels: int = 256, increase: int = 128, depth: int = 4
    ) -> None:
        super().__init__()
        _check(stacks, channels, increase, depth)
        between = range(stacks - 1)
        maps = 4 * num_keypoints
        self.pre = _stem(channels)
        self.features = nn.ModuleList(
            nn.Sequential(Hourglass(channels, increase, depth), _conv(channels, channels), _conv(channels, channels))
            for _ in range(stacks)
        )
        self.outs = nn.ModuleList(_linear(channels, maps) for _ in range(stacks))
        self.merge_features = nn.ModuleList(_named(conv=_linear(channels, channels)) for _ in between)
        self.merge_preds = nn.ModuleList(_named(conv=_linear(maps, channels)) for _ in between)
        self.num_keypoints = num_keypoints
        self.feature_channels = channels
        # The public loss is the mean over the stacks.
        self.outputs = tuple(output for stack in range(1, stacks + 1) for output in _outputs(stack, 1 / stacks))
        self._divisor = 4 * 2**depth

    def forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        require_multiple(images, self._divisor)
        x = self.pre(images)
        features = self.features[0](x)
        answers = [self.outs[0](features)]
        for stack in range(1, len(self.features)):
            x = x + self.merge_preds[stack - 1](answers[-1]) + self.merge_features[stack - 1](features)
            features = self.features[stack](x)
            answers.append(self.outs[stack](features))
        k = self.num_keypoints
        return tuple(maps for answer in answers for maps in (answer[:, k : 2 * k], answer[:, :k])), features


class Hourglass(nn.Module):
    """(B, channels, h, w) → the same shape: the sum of a convolution and, through `depth` halvings and doublings, of
    convolutions that have `increase` more channels at each. The halvings must leave whole sizes."""

    def __init__(self, channels: int, increase: int, depth: int) -> None:
        super().__init__()
        wider = channels + increase
        self.up1 = _conv(channels, channels)
        self.low1 = _conv(channels, wider)
        self.low2 = Hourglass(wider, increase, depth - 1) if depth > 1 else _conv(wider, wider)
        self.low3 = _conv(wider, channels)

    def forward(self, x: Tensor) -> Tensor:
        below = self.low3(self.low2(self.low1(F.max_pool2d(x, 2))))
        return F.interpolate(below, scale_factor=2, mode="nearest").add_(self.up1(x))


def _stem(channels: int) -> nn.Sequential:
    """Images (B, 3, H, W) → (B, channels, H/4, W/4)."""
    quarter, half = channels // 4, channels // 2
    return nn.Sequential(
        _conv(3, quarter, 7, stride=2),
        _conv(quarter, half),
        nn.MaxPool2d(2),
        _conv(half, half),
        _conv(half, channels),
    )


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)
    return _named(conv=layer, relu=nn.ReLU(inplace=True))


def _linear(inputs: int, outputs: int) -> nn.Sequential:
    return _named(conv=nn.Conv2d(inputs, outputs, 1))


def _named(**modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(modules))


def _outputs(stack: int, weight: float) -> tuple[OutputMap, OutputMap]:
    tags = OutputMap(f"tags_{stack}", stride=4, loss_weight=weight, kind="tags")
    return tags, OutputMap(f"heatmaps_{stack}", stride=4, loss_weight=weight)


def _check(stacks: int, channels: int, increase: int, depth: int) -> None:
    if not all(isinstance(value, int) and value > 0 for value in (stacks, channels, depth)):
        raise ValueError(
            f"stacks, channels and depth must be whole numbers above 0, got {stacks!r}, {channels!r} and {depth!r}"
        )
    if channels % 4:
        raise ValueError(f"channels must be a multiple of 4, got {channels!r}")
    if not isinstance(increase, int) or increase < 0:
        raise ValueError(f"increase must be a whole number from 0 up, got {increase!r}")
