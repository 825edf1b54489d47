"""Heatmaps from a backbone's own stages, for intermediate supervision (specs 5.9)."""

from collections.abc import Sequence

from torch import Tensor, nn

from models.heads.heatmap_layer import heatmap_layer
from models.upsampling import BilinearUpsampling


class StageHeatmaps(nn.Module):
    """Maps of consecutive stages, each (B, channels[i], h/2ⁱ, w/2ⁱ) → heatmaps (B, K, h, w) of each.

    A 1x1 convolution per stage, then bilinear upsampling to the first one's size.
    """

    def __init__(self, channels: Sequence[int], num_keypoints: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(heatmap_layer(inputs, num_keypoints) for inputs in channels)
        self.upsampling = nn.ModuleList(
            BilinearUpsampling(2**stage) if stage else nn.Identity() for stage in range(len(channels))
        )

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        stages = zip(self.layers, self.upsampling, maps, strict=True)
        return tuple(upsampling(layer(features)) for layer, upsampling, features in stages)
