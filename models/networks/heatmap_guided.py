"""The bottom-up paper's networks (Sun, Geng, et al.): keypoint heatmaps guide a regression of poses (specs 3.1)."""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.backbones.hrnet import HRNet
from models.backbones.resnet import BasicBlock
from models.heads.adaptive_block import tied_blocks
from models.heads.deconvolution import deconvolution
from models.heads.heatmap_layer import heatmap_layer
from models.output_map import OutputMap

_DILATIONS = (1, 2, 3)


class HeatmapGuided(nn.Module):
    """HRNet, a head of three branches for heatmaps, and one for persons' centres and the offsets of their keypoints.

    For crops whose height and width are multiples of 32 px. All maps have stride 4. With `higher` there are the three
    branches' heatmaps instead of their mean, and heatmaps of stride 2 made from it.

    Args:
        width, stem, modules, blocks: what `HRNet` takes; the defaults are the published ones.
        head_width: channels of the heatmap head, hence of the features; as `width` if None.
        regression_width: channels of the regression head.
        guidance: the regression head sees the heatmaps, beside the backbone's maps.
        adaptive: the heads' convolutions adapt; else they are ordinary ones of the same widths and dilations.
        higher: add heatmaps of stride 2.
    Raises:
        ValueError: what `HRNet` refuses; a width of a head that is not whole and above 0.
    """

    published_names = (
        ("backbone.", ""),
        ("heatmap_reduction.", "transition_cls."),
        ("regression_reduction.", "transition_reg."),
        ("heatmap_branches.", "multi_level_layers_4x_heatmap."),
        ("regression_block.", "multi_level_layers_4x_regression.0."),
        ("upsampling.", "deconv_layers.0."),
    )

    def __init__(
        self,
        num_keypoints: int,
        width: int,
        stem: int = 64,
        modules: Sequence[int] = (1, 4, 3),
        blocks: int = 4,
        head_width: int | None = None,
        regression_width: int = 256,
        guidance: bool = True,
        adaptive: bool = True,
        higher: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = HRNet(width, stem, modules, blocks, resolutions=4)
        head_width = width if head_width is None else head_width
        _check(head_width, regression_width)
        inputs = sum(self.backbone.map_channels)
        self.guidance, self.higher = guidance, higher
        self.heatmap_reduction = _reduction(inputs, head_width)
        self.regression_reduction = _reduction(inputs + num_keypoints * guidance, regression_width)
        branches = tied_blocks(adaptive, head_width, _DILATIONS)
        self.heatmap_branches = nn.ModuleList(nn.Sequential(block) for block in branches)
        self.regression_block = nn.Sequential(*tied_blocks(adaptive, regression_width, (1,)))
        last = [heatmap_layer(head_width, num_keypoints), heatmap_layer(regression_width, 2 * num_keypoints + 1)]
        if higher:
            self.upsampling = _upsampling(head_width + num_keypoints, head_width)
            last.append(heatmap_layer(head_width, num_keypoints))
        self.final_layers = nn.ModuleList(last)
        self.feature_channels = head_width
        self.outputs = _outputs(higher)

    def forward(self, crops: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        maps = _joined(self.backbone(crops))
        reduced = self.heatmap_reduction(maps)
        branches = [branch(reduced) for branch in self.heatmap_branches]
        if not self.higher:
            # The layer is linear: of the branches' mean it makes the mean of their heatmaps.
            features = _mean(branches)
            heatmaps = self.final_layers[0](features)
            return (*self._regressed(maps, heatmaps), heatmaps), features
        of_branches = [self.final_layers[0](branch) for branch in branches]
        heatmaps = _mean(of_branches)
        features = self.upsampling(torch.cat([reduced, heatmaps], dim=1))
        return (*self._regressed(maps, heatmaps), *of_branches, self.final_layers[2](features)), features

    def _regressed(self, maps: Tensor, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        """Centres (B, 1, h, w) and offsets (B, 2K, h, w)."""
        seen = torch.cat([maps, heatmaps], dim=1) if self.guidance else maps
        regressed = self.final_layers[1](self.regression_block(self.regression_reduction(seen)))
        # Public weights give position − keypoint.
        return regressed[:, -1:], -regressed[:, :-1]


def _joined(maps: tuple[Tensor, ...]) -> Tensor:
    """All maps at the finest one's size, one after the other (B, ΣC, h, w)."""
    size = maps[0].shape[2:]
    return torch.cat([maps[0], *(F.interpolate(x, size=size, mode="bilinear") for x in maps[1:])], dim=1)


def _mean(maps: Sequence[Tensor]) -> Tensor:
    total = maps[0]
    for one in maps[1:]:
        total = total + one
    return total / len(maps)


def _outputs(higher: bool) -> tuple[OutputMap, ...]:
    regressed = (OutputMap("center", stride=4, kind="center"), OutputMap("offsets", stride=4, kind="offsets"))
    if not higher:
        return (*regressed, OutputMap("heatmaps", stride=4))
    # The public loss is the mean over the branches' channels.
    branch = OutputMap("", stride=4, loss_weight=1 / len(_DILATIONS), averaged=True)
    branches = (replace(branch, name=f"dilation_{dilation}") for dilation in _DILATIONS)
    return (*regressed, *branches, OutputMap("heatmaps", stride=2, background_scale=0.25, averaged=True))


def _reduction(inputs: int, outputs: int) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, 1, bias=False)
    nn.init.normal_(layer.weight, std=0.001)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _upsampling(inputs: int, outputs: int) -> nn.Sequential:
    block = BasicBlock(outputs, outputs, 1, None)
    for layer in (block.conv1, block.conv2):
        nn.init.normal_(layer.weight, std=0.001)
    return nn.Sequential(nn.Sequential(*deconvolution(inputs, outputs)), nn.Sequential(block))


def _check(head_width: int, regression_width: int) -> None:
    if not all(isinstance(value, int) and value > 0 for value in (head_width, regression_width)):
        raise ValueError(
            "head_width and regression_width must be whole numbers above 0, got "
            f"{head_width!r} and {regression_width!r}"
        )
