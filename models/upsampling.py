"""Bilinear upsampling that keeps every value at its place in the crop."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BilinearUpsampling(nn.Module):
    """(B, C, h, w) → (B, C, h·ratio, w·ratio): input pixel (x, y) becomes output pixel (ratio·x, ratio·y).

    So a point of the crop has the coordinates crop px / stride on both maps, as the targets assume. The usual
    interpolation would move it by (ratio − 1) / 2 px. Beyond the last input pixel its value is repeated.
    """

    def __init__(self, ratio: int) -> None:
        super().__init__()
        self.ratio = ratio

    def forward(self, maps: Tensor) -> Tensor:
        height, width = (side * self.ratio for side in maps.shape[2:])
        maps = torch.cat([maps, maps[:, :, -1:]], dim=2)
        maps = torch.cat([maps, maps[:, :, :, -1:]], dim=3)
        fine = F.interpolate(maps, (height + 1, width + 1), mode="bilinear", align_corners=True)
        return fine[:, :, :height, :width]
