"""DLCM (Tang, Yu & Wu, ECCV 2018): hourglasses that go up a hierarchy of body parts and down again (base-nets)."""

import torch
from torch import Tensor, nn

from models.crop_size import require_multiple
from models.networks.hourglass import Hourglass, PreactivationBottleneck
from models.output_map import OutputMap
from pose.part_hierarchy import PartHierarchy, find_hierarchy

_LEVELS = (1, 2, 3, 2, 1)
_BOTTOM_UP = 3


class DLCM(nn.Module):
    """Five stages at levels 1, 2, 3, 2, 1 of the hierarchy, each with maps of its level's parts at stride 4, for crops
    whose height and width are multiples of 4·2^depth px (64 for the published depth).

    Args:
        hierarchy: "mpii", "coco", "crowdpose" or "lsp" (`pose.part_hierarchy`); None takes the first that fits.
        channels: of the features, a multiple of 4, and at least 2 more than a level has maps.
        depth: how often an hourglass halves its maps.
    Raises:
        ValueError: a hierarchy that is unknown or has another number of keypoints; a value that an option cannot take.
    """

    published_names: tuple[tuple[str, str], ...] = ()
    backbone = None

    def __init__(self, num_keypoints: int, hierarchy: str | None = None, channels: int = 256, depth: int = 4) -> None:
        super().__init__()
        parts = find_hierarchy(num_keypoints, hierarchy)
        num_maps = [len(parts.levels[level - 1]) for level in _LEVELS]
        if not isinstance(channels, int) or channels % 4 or channels < max(num_maps) + 2:
            raise ValueError(f"channels must be a multiple of 4 and at least {max(num_maps) + 2}, got {channels!r}")
        if not isinstance(depth, int) or depth < 1:
            raise ValueError(f"depth must be a whole number above 0, got {depth!r}")
        self.stem = _stem(channels)
        self.stages = nn.ModuleList(Stage(channels, maps, depth) for maps in num_maps)
        self.reductions = nn.ModuleList(
            PreactivationBottleneck(channels, channels - maps) for maps in num_maps[_BOTTOM_UP:]
        )
        self.links = nn.ModuleList(Link(channels, maps) for maps in num_maps[:-1])
        self.feature_channels = channels
        self.outputs = _outputs(parts)
        self._divisor = 4 * 2**depth

    def forward(self, crops: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        require_multiple(crops, self._divisor)
        x = self.stem(crops)
        maps: list[Tensor] = []
        for number, stage in enumerate(self.stages):
            if number >= _BOTTOM_UP:
                same_level = maps[len(_LEVELS) - 1 - number]
                x = torch.cat([same_level, self.reductions[number - _BOTTOM_UP](x)], dim=1)
            stage_maps, features = stage(x)
            maps.append(stage_maps)
            if number < len(self.links):
                x = self.links[number](x, features, stage_maps)
        return tuple(maps), features


def _outputs(hierarchy: PartHierarchy) -> tuple[OutputMap, ...]:
    names = ("up_1", "up_2", "up_3", "down_2", "heatmaps")
    return tuple(
        OutputMap(name, stride=4, parts=None if level == 1 else hierarchy.levels[level - 1])
        for name, level in zip(names, _LEVELS, strict=True)
    )


def _stem(channels: int) -> nn.Sequential:
    """(B, 3, H, W) → (B, channels, H/4, W/4)."""
    quarter, half = channels // 4, channels // 2
    return nn.Sequential(
        *_conv_norm_relu(3, quarter, 3),
        nn.MaxPool2d(2),
        *_conv_norm_relu(quarter, quarter, 3),
        *_conv_norm_relu(quarter, quarter, 3),
        PreactivationBottleneck(quarter, half),
        nn.MaxPool2d(2),
        PreactivationBottleneck(half, half),
        PreactivationBottleneck(half, channels),
    )


def _conv_norm_relu(inputs: int, outputs: int, kernel: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    return conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)


class Stage(nn.Module):
    """(B, channels, h, w) → maps (B, num_maps, h, w), and the features (B, channels, h, w) they are made from."""

    def __init__(self, channels: int, num_maps: int, depth: int) -> None:
        super().__init__()
        self.features = nn.Sequential(Hourglass(channels, depth), *_conv_norm_relu(channels, channels, 1))
        self.predict = nn.Conv2d(channels, num_maps, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(x)
        return self.predict(features), features


class Link(nn.Module):
    """What the next stage reads: the last one's input (B, channels, h, w) plus its features and maps, mapped to it."""

    def __init__(self, channels: int, num_maps: int) -> None:
        super().__init__()
        self.from_features = nn.Conv2d(channels, channels, 1)
        self.from_maps = nn.Conv2d(num_maps, channels, 1)

    def forward(self, x: Tensor, features: Tensor, maps: Tensor) -> Tensor:
        return x + self.from_features(features) + self.from_maps(maps)
