"""ResNet (He et al., CVPR 2016) without its classifier, with torchvision's tensor names.

The stride of a bottleneck sits on its 3x3 convolution, as in torchvision and in the public SimpleBaseline checkpoints.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor, nn


class Block(Protocol):
    """What a stage is made of: a class or a function that builds (B, inputs, H, W) → (B, expansion·width, H/stride, …).

    `downsample` makes the shortcut of a stage's first block; it is None where the shortcut is the input itself.
    """

    @property
    def expansion(self) -> int: ...

    def __call__(self, inputs: int, width: int, stride: int, downsample: nn.Module | None) -> nn.Module: ...


def _conv3x3(inputs: int, outputs: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: (B, C_in, H, W) → (B, width, H/stride, W/stride)."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = _conv3x3(inputs, width, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, 1)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions and a shortcut: (B, C_in, H, W) → (B, 4·width, H/stride, W/stride)."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet(nn.Module):
    """(B, 3, H, W) → the feature map of each stage, at strides 4, 8, … `stride`, the last one with `channels`.

    Published networks have a first stage of `width` 64 and four stages, hence stride 32; small ones may have less.

    Attributes:
        stage_channels: of each stage's feature map.
    Raises:
        ValueError: a width or number of blocks that is not whole and above 0, or not one to four stages.
    """

    def __init__(self, block: Block, blocks_per_stage: tuple[int, ...], width: int = 64) -> None:
        super().__init__()
        if not all(isinstance(value, int) and value > 0 for value in (width, *blocks_per_stage)):
            raise ValueError(f"width and blocks must be whole numbers above 0, got {width!r}, {blocks_per_stage!r}")
        if not 1 <= len(blocks_per_stage) <= 4:
            raise ValueError(f"blocks must be one to four numbers, one for each stage, got {blocks_per_stage!r}")
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs = width
        self.stage_channels = tuple(width * 2**stage * block.expansion for stage in range(len(blocks_per_stage)))
        for stage, blocks in enumerate(blocks_per_stage):
            outputs = width * 2**stage
            self.add_module(f"layer{stage + 1}", _stage(block, inputs, outputs, blocks, stride=1 if stage == 0 else 2))
            inputs = outputs * block.expansion
        self.channels = inputs
        self.stride = 2 ** (len(blocks_per_stage) + 1)
        self._stages = [f"layer{stage + 1}" for stage in range(len(blocks_per_stage))]
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            # A ResNet's own convolutions have no bias; what else a block holds has started itself.
            if isinstance(module, nn.Conv2d) and module.bias is None:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        features = []
        for stage in self._stages:
            x = getattr(self, stage)(x)
            features.append(x)
        return tuple(features)


def _stage(block: Block, inputs: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    outputs = width * block.expansion
    downsample = None
    if stride != 1 or inputs != outputs:
        downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))
    first = block(inputs, width, stride, downsample)
    return nn.Sequential(first, *(block(outputs, width, 1, None) for _ in range(blocks - 1)))


BLOCKS_PER_STAGE = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}


def _resnet(name: str) -> Callable[..., ResNet]:
    def build(width: int = 64, blocks: Sequence[int] | None = None) -> ResNet:
        block = BasicBlock if name in ("resnet18", "resnet34") else Bottleneck
        return ResNet(block, tuple(BLOCKS_PER_STAGE[name] if blocks is None else blocks), width)

    return build


RESNETS: dict[str, Callable[..., ResNet]] = {name: _resnet(name) for name in BLOCKS_PER_STAGE}
