"""CPN (Chen et al., CVPR 2018): a pyramid over a ResNet, refined from all its levels; the PyTorch port's facts."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.backbones.resnet import RESNETS, Bottleneck
from models.output_map import OutputMap

_LEVELS = 4


class CPN(nn.Module):
    """Five heatmaps at stride 4: GlobalNet's from the stages of stride 32, 16, 8 and 4, then RefineNet's.

    Where 32 does not divide a side of the crop, the pyramid's levels are resized to one another all the same.

    Args:
        resnet: "resnet18" … "resnet152".
        width: channels of the ResNet's first stage. blocks: how many each of its stages has, if not as `resnet`.
        channels: of the pyramid and of the features, an even number.
        hardest: RefineNet's loss counts only this many keypoints per instance, at most all; None counts all.
        kernels: sizes of the blur whose Gaussian the targets are, px, with the sigma that OpenCV's formula gives it: of
            GlobalNet's four maps in their order, the last also of RefineNet's. 15, 11, 9, 7 belong to crops of 256x192,
            and 23, 17, 13, 9 to 384x288. The recipe's sigma must be RefineNet's: 1.4 px for a kernel of 7, 1.7 px for
            one of 9.
        peak: the targets' largest value.
    Raises:
        ValueError: a value that an option cannot take.
    """

    published_names = (("backbone.", "resnet."),)

    def __init__(
        self,
        num_keypoints: int,
        resnet: str,
        width: int = 64,
        blocks: Sequence[int] | None = None,
        channels: int = 256,
        hardest: int | None = 8,
        kernels: tuple[int, ...] = (15, 11, 9, 7),
        peak: float = 255.0,
    ) -> None:
        super().__init__()
        _check_options(resnet, blocks, channels, hardest, kernels, peak)
        self.backbone = RESNETS[resnet](width, blocks)
        self.global_net = GlobalNet(self.backbone.stage_channels[::-1], channels, num_keypoints)
        self.refine_net = RefineNet(channels, num_keypoints)
        self.feature_channels = channels
        sigmas = [kernel_sigma(kernel) / kernel_sigma(kernels[-1]) for kernel in kernels]
        # The published refinement loss lacks the factor ½ of JointsMSE, hence its weight of 2.
        hardest = None if hardest is None else min(hardest, num_keypoints)
        self.outputs = (
            *(
                OutputMap(f"global_{stride}", stride=4, sigma_scale=sigma, empty_unless_visible=True, peak=peak)
                for stride, sigma in zip((32, 16, 8, 4), sigmas, strict=True)
            ),
            OutputMap("heatmaps", stride=4, loss_weight=2, hardest=hardest, peak=peak),
        )

    def forward(self, crops: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        stages = self.backbone(crops)[::-1]
        levels, global_maps = self.global_net(stages)
        heatmaps, features = self.refine_net(levels)
        return (*global_maps, heatmaps), features


def kernel_sigma(kernel: int) -> float:
    """The sigma, px, that OpenCV's formula gives a Gaussian blur of `kernel` px."""
    return 0.3 * ((kernel - 1) / 2 - 1) + 0.8


class GlobalNet(nn.Module):
    """ResNet stages, coarsest first → pyramid levels (B, channels, h, w) of the same sizes, and a heatmap from each."""

    def __init__(self, stage_channels: tuple[int, ...], channels: int, num_keypoints: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inputs, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
            for inputs in stage_channels
        )
        self.upsamples = nn.ModuleList(Upsample(channels) for _ in stage_channels[1:])
        self.predict = nn.ModuleList(Head(channels, num_keypoints) for _ in stage_channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, stages: tuple[Tensor, ...]) -> tuple[list[Tensor], list[Tensor]]:
        levels = [self.laterals[0](stages[0])]
        for stage, lateral, upsample in zip(stages[1:], self.laterals[1:], self.upsamples, strict=True):
            levels.append(lateral(stage) + upsample(levels[-1], stage.shape[2:]))
        size = stages[-1].shape[2:]
        return levels, [head(level, size) for head, level in zip(self.predict, levels, strict=True)]


class Upsample(nn.ModuleList):
    """A level at another size, through a 1x1 convolution. Its layers are numbered as in the public code."""

    def __init__(self, channels: int) -> None:
        resizing = nn.Identity()  # has no tensors, only a number
        super().__init__([resizing, nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels)])

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        _, conv, norm = self
        return norm(conv(_resized(x, size)))


class Head(nn.ModuleList):
    """Heatmaps from a level, normalised after they have been resized. Its layers are numbered as in the public code."""

    def __init__(self, channels: int, num_keypoints: int) -> None:
        resizing = nn.Identity()  # has no tensors, only a number
        super().__init__(
            [
                nn.Conv2d(channels, channels, 1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
                nn.Conv2d(channels, num_keypoints, 3, padding=1, bias=False),
                resizing,
                nn.BatchNorm2d(num_keypoints),
            ]
        )

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        reduce, reduce_norm, relu, predict, _, norm = self
        return norm(_resized(predict(relu(reduce_norm(reduce(x)))), size))


class RefineNet(nn.Module):
    """Pyramid levels, coarsest first → heatmaps, and the features (B, channels, h, w) they are made from."""

    def __init__(self, channels: int, num_keypoints: int) -> None:
        super().__init__()
        self.cascade = nn.ModuleList(
            nn.Sequential(*(RefineBottleneck(channels, channels) for _ in range(blocks)))
            for blocks in reversed(range(_LEVELS))
        )
        self.final_predict = nn.Sequential(
            RefineBottleneck(_LEVELS * channels, channels),
            nn.Conv2d(channels, num_keypoints, 3, padding=1, bias=False),
            nn.BatchNorm2d(num_keypoints),
        )

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        size = levels[-1].shape[2:]
        refined = [_resized(blocks(level), size) for blocks, level in zip(self.cascade, levels, strict=True)]
        bottleneck, predict, norm = self.final_predict
        features = bottleneck(torch.cat(refined, dim=1))
        return norm(predict(features)), features


class RefineBottleneck(Bottleneck):
    """A ResNet bottleneck that widens twofold, and projects its shortcut even if nothing changes its shape."""

    expansion = 2

    def __init__(self, inputs: int, outputs: int) -> None:
        projection = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        super().__init__(inputs, outputs // self.expansion, stride=1, downsample=projection)


def _resized(x: Tensor, size: torch.Size) -> Tensor:
    return x if x.shape[2:] == size else F.interpolate(x, size=size, mode="bilinear", align_corners=True)


def _check_options(
    resnet: str,
    blocks: Sequence[int] | None,
    channels: int,
    hardest: int | None,
    kernels: tuple[int, ...],
    peak: float,
) -> None:
    if resnet not in RESNETS:
        raise ValueError(f"resnet must be one of {', '.join(RESNETS)}, got {resnet!r}")
    if blocks is not None and len(blocks) != _LEVELS:
        raise ValueError(f"blocks must be four numbers, one for each stage, got {blocks!r}")
    if not isinstance(channels, int) or channels < 2 or channels % 2:
        raise ValueError(f"channels must be an even number above 0, got {channels!r}")
    if hardest is not None and (not isinstance(hardest, int) or hardest < 1):
        raise ValueError(f"hardest must be a whole number above 0 or None, got {hardest!r}")
    if len(kernels) != _LEVELS or not all(isinstance(k, int) and k >= 3 and k % 2 for k in kernels):
        raise ValueError(f"kernels must be four odd numbers from 3, got {kernels!r}")
    if not peak > 0:
        raise ValueError(f"peak must be above 0, got {peak!r}")
