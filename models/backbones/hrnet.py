"""HRNet (Sun et al., CVPR 2019) without its head: branches at strides 4, 8, 16 and 32 that exchange their maps.

Tensor names are those of the public code; their numbers have gaps where a map passes unchanged.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from models.backbones.resnet import BasicBlock, Bottleneck
from models.crop_size import require_multiple

_STRIDES = (4, 8, 16, 32)

Maps = tuple[Tensor, ...]


class HRNet(nn.Module):
    """(B, 3, H, W) → one map per resolution, finest first: (B, width·2ⁱ, H/stride, W/stride) at strides 4, 8, 16, 32.

    Args:
        width: channels at stride 4; published networks have 32 or 48.
        stem: channels of the two convolutions in front.
        modules: how often the two, then three, then four branches exchange their maps.
        blocks: residual blocks of `layer1`, and of each branch before an exchange.
        resolutions: how many maps are returned, and made by the last exchange.
    Raises:
        ValueError: a number that is not whole and above 0, not three `modules`, more than four `resolutions`.

    Attributes:
        map_channels, strides: of the returned maps.
    """

    def __init__(
        self, width: int, stem: int = 64, modules: Sequence[int] = (1, 4, 3), blocks: int = 4, resolutions: int = 1
    ) -> None:
        super().__init__()
        _check(width, stem, modules, blocks, resolutions)
        widths = tuple(width * 2**branch for branch in range(4))
        self.map_channels, self.strides = widths[:resolutions], _STRIDES[:resolutions]
        self.conv1 = _conv(3, stem, 3, stride=2)
        self.bn1 = nn.BatchNorm2d(stem)
        self.conv2 = _conv(stem, stem, 3, stride=2)
        self.bn2 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _bottlenecks(stem, blocks)
        outputs = stem * Bottleneck.expansion
        finest, coarser = _conv_norm_relu(outputs, widths[0]), _conv_norm_relu(outputs, widths[1], stride=2)
        self.transition1 = nn.ModuleList([finest, nn.Sequential(coarser)])
        self.stage2 = _stage(widths[:2], modules[0], blocks)
        self.transition2 = _transition(widths[:3])
        self.stage3 = _stage(widths[:3], modules[1], blocks)
        self.transition3 = _transition(widths)
        self.stage4 = _stage(widths, modules[2], blocks, resolutions)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.001)

    def forward(self, x: Tensor) -> Maps:
        require_multiple(x, _STRIDES[-1])
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.layer1(x)
        maps: Maps = self.stage2(tuple(branch(x) for branch in self.transition1))
        maps = self.stage3((*maps, self.transition2[-1](maps[-1])))
        return self.stage4((*maps, self.transition3[-1](maps[-1])))


class HighResolutionModule(nn.Module):
    """Maps (B, widths[i], h/2ⁱ, w/2ⁱ) → the finest `resolutions` of them, each a sum over all branches.

    Every map passes residual blocks, then reaches every other: coarser ones through 3x3 convolutions of stride 2, finer
    ones through a 1x1 convolution and nearest upsampling.
    """

    def __init__(self, widths: Sequence[int], blocks: int, resolutions: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width, width, 1, None) for _ in range(blocks))) for width in widths
        )
        self.fuse_layers = nn.ModuleList(
            _Sum(_resampling(widths, source, target) for source in range(len(widths))) for target in range(resolutions)
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, maps: Maps) -> Maps:
        maps = tuple(branch(x) for branch, x in zip(self.branches, maps, strict=True))
        return tuple(self.relu(layers(maps)) for layers in self.fuse_layers)


class _Sum(nn.ModuleList):
    """The sum of a map from each branch, each through its own layer. The result shares memory with none of them."""

    def forward(self, maps: Maps) -> Tensor:
        total = self[0](maps[0]) + self[1](maps[1])
        for source in range(2, len(maps)):
            total += self[source](maps[source])
        return total


def _stage(widths: Sequence[int], modules: int, blocks: int, resolutions: int | None = None) -> nn.Sequential:
    made = [len(widths)] * (modules - 1) + [resolutions or len(widths)]
    return nn.Sequential(*(HighResolutionModule(widths, blocks, number) for number in made))


def _transition(widths: Sequence[int]) -> nn.ModuleList:
    """The last branch starts from the one before it; the others go on as they are."""
    start = nn.Sequential(_conv_norm_relu(widths[-2], widths[-1], stride=2))
    return nn.ModuleList([*(nn.Identity() for _ in widths[:-1]), start])


def _resampling(widths: Sequence[int], source: int, target: int) -> nn.Module:
    if source == target:
        return nn.Identity()
    if source > target:
        upsampling = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
        return nn.Sequential(_conv(widths[source], widths[target], 1), nn.BatchNorm2d(widths[target]), upsampling)
    halvings = [_conv_norm_relu(widths[source], widths[source], stride=2) for _ in range(target - source - 1)]
    last = nn.Sequential(_conv(widths[source], widths[target], 3, stride=2), nn.BatchNorm2d(widths[target]))
    return nn.Sequential(*halvings, last)


def _bottlenecks(stem: int, blocks: int) -> nn.Sequential:
    outputs = stem * Bottleneck.expansion
    shortcut = nn.Sequential(_conv(stem, outputs, 1), nn.BatchNorm2d(outputs))
    first = Bottleneck(stem, stem, 1, shortcut)
    return nn.Sequential(first, *(Bottleneck(outputs, stem, 1, None) for _ in range(blocks - 1)))


def _conv_norm_relu(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(_conv(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)


def _check(width: int, stem: int, modules: Sequence[int], blocks: int, resolutions: int) -> None:
    if len(modules) != 3:
        raise ValueError(f"modules must be three numbers, got {modules!r}")
    if not all(isinstance(value, int) and value > 0 for value in (width, stem, blocks, *modules)):
        raise ValueError(
            "width, stem, modules and blocks must be whole numbers above 0, got "
            f"{width!r}, {stem!r}, {modules!r} and {blocks!r}"
        )
    if resolutions not in (1, 2, 3, 4):
        raise ValueError(f"resolutions must be 1, 2, 3 or 4, got {resolutions!r}")
