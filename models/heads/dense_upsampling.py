"""EFAFNet's head, DUC (Xu, Zou & Lin): one convolution, its channels rearranged to finer heatmaps (specs 5.5, 5.9)."""

import torch.nn.functional as F
from torch import Tensor, nn


class DenseUpsamplingHead(nn.Module):
    """(B, C, h, w) → heatmaps (B, K, h·upsampling, w·upsampling) and features of that size.

    A 3x3 convolution C → K·upsampling², without norm; upsampling² channels each become a square of pixels. It works on
    the coarse map, so there is none of the heatmaps' size in front of it: as features for plug-ins, the map itself is
    rearranged in the same way, to `channels` = C / upsampling².

    Raises:
        ValueError: upsampling² does not divide C.
    """

    def __init__(self, inputs: int, num_keypoints: int, upsampling: int = 8) -> None:
        super().__init__()
        square = upsampling**2
        if inputs % square:
            raise ValueError(f"dense upsampling by {upsampling} needs a multiple of {square} channels, got {inputs}")
        self.conv = nn.Conv2d(inputs, num_keypoints * square, 3, padding=1)
        nn.init.normal_(self.conv.weight, std=0.001)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]
        self.channels = inputs // square
        self.upsampling = upsampling

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return F.pixel_shuffle(self.conv(x), self.upsampling), F.pixel_shuffle(x, self.upsampling)
