"""EFAFNet's bottleneck, FASM (Xu, Zou & Lin): feature aggregation (FAM) and selection (FSM) (specs 5.2, 5.3, 5.9).

Tensor names are torchvision's, those of FAM the public Res2Net code's, so that ImageNet weights of both fit.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from models.backbones.feature_selection import ARRANGEMENTS, Arrangement, FeatureSelection

_OF_FAM = r"^layer\d+\.\d+\.(conv1|bn1|convs|bns|conv3)\."
_INSTEAD_OF_FAM = r"^layer\d+\.\d+\.(conv[123]|bn[12])\."


@dataclass(frozen=True)
class Fasm:
    """What a bottleneck of EFAFNet consists of; builds one when called, as `ResNet` wants it.

    Attributes:
        fam: FAM instead of the 3x3 convolution.
        fsm: how FSM's two parts are arranged; None: no FSM.
        place: of FSM: "bottleneck": on the branch, before the shortcut is added; "convolution": on the block's output,
            behind its ReLU (FASM-C). There "parallel" triples the map with every block of a stage: at the start values
            reach 5e3 in ResNet-50 and 1e13 in ResNet-101, CS is saturated from the middle of a stage on, and ResNet-152
            overflows float32.
        base_width: channels of one of FAM's groups in a stage of width 64; rounded down for others, at least 1.
        scales: how many groups there are.
        first_sum: the untouched group is added to what the first 3x3 convolution sees (eq. 1 for i = 2); Res2Net does
            not do so, hence ImageNet weights of Res2Net keep their meaning without it only.
        reduction: CS has C / reduction hidden channels; None: 16, in FASM-C 8.
        lss_relu: `LocationSelection`'s outer ReLU.
    Raises:
        ValueError: none of the arrangements or places, or a number that is not whole and above 0, or less than two
            groups.
    """

    expansion = 4

    fam: bool = True
    fsm: Arrangement | None = "parallel"
    place: Literal["bottleneck", "convolution"] = "bottleneck"
    base_width: int = 26
    scales: int = 4
    first_sum: bool = True
    reduction: int | None = None
    lss_relu: bool = True

    def __post_init__(self) -> None:
        _require_one_of("fsm", self.fsm, (None, *ARRANGEMENTS))
        _require_one_of("fasm_place", self.place, ("bottleneck", "convolution"))
        for name, value, least in (
            ("base_width", self.base_width, 1),
            ("scales", self.scales, 2),
            ("reduction", self.hidden_divisor, 1),
        ):
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name} must be a whole number, at least {least}, got {value!r}")

    @property
    def hidden_divisor(self) -> int:
        if self.reduction is None:
            return 16 if self.place == "bottleneck" else 8
        return self.reduction

    @property
    def new_tensors(self) -> tuple[str, ...]:
        """Patterns of tensor names that a ResNet with these blocks has and a file of ImageNet weights need not have.

        A file of Res2Net lacks FSM only. One of ResNet lacks FAM's 3x3 convolutions, and FAM's 1x1 convolutions have
        another shape in it unless base_width · scales is 64.
        """
        return (*((_OF_FAM,) if self.fam else ()), *((r"\.fsm\.",) if self.fsm else ()))

    @property
    def dropped_tensors(self) -> tuple[str, ...]:
        """Patterns of tensor names in a file of ImageNet weights that a ResNet with these blocks has no use for."""
        return (_INSTEAD_OF_FAM,) if self.fam else ()

    def group_width(self, width: int) -> int:
        """Channels of one of FAM's groups in a stage of this width."""
        return max(1, width * self.base_width // 64)

    def __call__(self, inputs: int, width: int, stride: int, downsample: nn.Module | None) -> nn.Module:
        return FasmBottleneck(inputs, width, stride, downsample, self)


class FasmBottleneck(nn.Module):
    """1x1 convolution, FAM or a 3x3 convolution, 1x1 convolution, FSM and a shortcut:
    (B, inputs, H, W) → (B, 4·width, H/stride, W/stride)."""

    def __init__(self, inputs: int, width: int, stride: int, downsample: nn.Module | None, fasm: Fasm) -> None:
        super().__init__()
        outputs = width * fasm.expansion
        group = fasm.group_width(width)
        middle = group * fasm.scales if fasm.fam else width
        self.conv1 = nn.Conv2d(inputs, middle, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(middle)
        if fasm.fam:
            self.convs = nn.ModuleList(_conv3x3(group, stride) for _ in range(fasm.scales - 1))
            self.bns = nn.ModuleList(nn.BatchNorm2d(group) for _ in range(fasm.scales - 1))
        else:
            self.conv2 = _conv3x3(width, stride)
            self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(middle, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        hidden = max(1, outputs // fasm.hidden_divisor)
        self.fsm = FeatureSelection(outputs, hidden, fasm.fsm, fasm.lss_relu) if fasm.fsm else None
        self.fasm = fasm
        # As in Res2Net, the groups of a stage's first block stay apart; the untouched one is pooled to the new size.
        self.linked = downsample is None
        self.pool = nn.Identity() if self.linked else nn.AvgPool2d(3, stride=stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self._aggregate(x) if self.fasm.fam else self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        if self.fsm is None:
            return self.relu(x + shortcut)
        if self.fasm.place == "bottleneck":
            return self.relu(self.fsm(x) + shortcut)
        return self.fsm(self.relu(x + shortcut))

    def _aggregate(self, x: Tensor) -> Tensor:
        """FAM: each group is convolved together with what came out for the one before, except the last one."""
        *groups, untouched = x.chunk(self.fasm.scales, dim=1)
        before = untouched if self.linked and self.fasm.first_sum else None
        outputs = []
        for group, conv, bn in zip(groups, self.convs, self.bns, strict=True):
            outputs.append(self.relu(bn(conv(group if before is None else group + before))))
            before = outputs[-1] if self.linked else None
        return torch.cat([*outputs, self.pool(untouched)], dim=1)


def _conv3x3(channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)


def _require_one_of(name: str, value: Any, known: tuple[Any, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}")
