"""HigherHRNet (Cheng et al., CVPR 2020): heatmaps and tags from HRNet's finest branch, then heatmaps twice as fine."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.backbones.hrnet import HRNet
from models.backbones.resnet import BasicBlock
from models.heads.deconvolution import deconvolution
from models.heads.heatmap_layer import heatmap_layer
from models.output_map import OutputMap


class HigherHRNet(nn.Module):
    """Heatmaps at strides 4 and 2 and tags at stride 4, for images whose height and width are multiples of 32 px.

    The finer heatmaps are made from the features together with all that was made of them at stride 4. The features
    are those at stride 2.

    Args:
        width: channels of the finest branch, hence of the features; published networks have 32 or 48.
        stem, modules, blocks: what `HRNet` takes; the defaults are the published ones.
        deconv_blocks: residual blocks at stride 2.
    Raises:
        ValueError: what `HRNet` refuses, or `deconv_blocks` that are not whole or below 0.
    """

    published_names = (("backbone.", ""),)

    def __init__(
        self,
        num_keypoints: int,
        width: int,
        stem: int = 64,
        modules: Sequence[int] = (1, 4, 3),
        blocks: int = 4,
        deconv_blocks: int = 4,
    ) -> None:
        super().__init__()
        if not isinstance(deconv_blocks, int) or deconv_blocks < 0:
            raise ValueError(f"deconv_blocks must be a whole number from 0 up, got {deconv_blocks!r}")
        self.backbone = HRNet(width, stem, modules, blocks)
        both = 2 * num_keypoints
        self.final_layers = nn.ModuleList([heatmap_layer(width, both), heatmap_layer(width, num_keypoints)])
        self.deconv_layers = nn.ModuleList([_finer(width + both, width, deconv_blocks)])
        self.num_keypoints = num_keypoints
        self.feature_channels = width
        self.outputs = (
            OutputMap("heatmaps_quarter", stride=4, averaged=True),
            OutputMap("tags", stride=4, kind="tags"),
            OutputMap("heatmaps", stride=2, averaged=True),
        )

    def forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        (coarse,) = self.backbone(images)
        maps = self.final_layers[0](coarse)
        features = self.deconv_layers[0](torch.cat([coarse, maps], dim=1))
        heatmaps, tags = maps[:, : self.num_keypoints], maps[:, self.num_keypoints :]
        return (heatmaps, tags, self.final_layers[1](features)), features


def _finer(inputs: int, width: int, blocks: int) -> nn.Sequential:
    """(B, inputs, h, w) → (B, width, 2h, 2w), started as the public code does."""
    residual = [nn.Sequential(BasicBlock(width, width, 1, None)) for _ in range(blocks)]
    for module in nn.Sequential(*residual).modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.001)
    return nn.Sequential(nn.Sequential(*deconvolution(inputs, width)), *residual)
