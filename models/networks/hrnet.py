"""HRNet for heatmaps (Sun et al., CVPR 2019): one 1x1 convolution on the finest branch (specs 0.4)."""

from collections.abc import Sequence

from torch import Tensor, nn

from models.backbones.hrnet import HRNet
from models.heads.heatmap_layer import heatmap_layer
from models.output_map import OutputMap


class HRNetPose(nn.Module):
    """Heatmaps at stride 4, for crops whose height and width are multiples of 32 px.

    Args:
        width: channels of the finest branch, hence of the features; published networks have 32 or 48.
        stem, modules, blocks: what `HRNet` takes; the defaults are the published ones.
    Raises:
        ValueError: what `HRNet` refuses.
    """

    published_names = (("backbone.", ""),)

    def __init__(
        self, num_keypoints: int, width: int, stem: int = 64, modules: Sequence[int] = (1, 4, 3), blocks: int = 4
    ) -> None:
        super().__init__()
        self.backbone = HRNet(width, stem, modules, blocks)
        self.final_layer = heatmap_layer(width, num_keypoints)
        self.feature_channels = width
        self.outputs = (OutputMap("heatmaps", stride=self.backbone.strides[0]),)

    def forward(self, crops: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        (features,) = self.backbone(crops)
        return (self.final_layer(features),), features
