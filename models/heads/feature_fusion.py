"""EFAFNet's feature fusion, FFM (Xu, Zou & Lin): the finest and the coarsest map inform each other (specs 5.4, 5.9).

The paper is loose here; the layers are those that specs 5.9 decides on.
"""

import torch
from torch import Tensor, nn

from models.upsampling import BilinearUpsampling

_HALVINGS = 3  # from stride 4 to stride 32


class FeatureFusion(nn.Module):
    """Conv2 (B, low, 8h, 8w) and Conv5 (B, high, h, w) → the fused map (B, high, h, w).

    1. Semantic embedding: a 3x3 convolution of Conv5, upsampled bilinearly, multiplies Conv2.
    2. Three 3x3 convolutions of stride 2, each with norm and ReLU, bring the product to Conv5's size.
    3. A 1x1 convolution with norm and ReLU joins it with Conv5.
    """

    def __init__(self, low: int, high: int) -> None:
        super().__init__()
        self.embedding = nn.Conv2d(high, low, 3, padding=1)
        self.upsampling = BilinearUpsampling(2**_HALVINGS)
        self.down = nn.Sequential(*(layer for _ in range(_HALVINGS) for layer in _halving(low)))
        self.fuse = nn.Sequential(
            nn.Conv2d(high + low, high, 1, bias=False), nn.BatchNorm2d(high), nn.ReLU(inplace=True)
        )

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        embedded = low * self.upsampling(self.embedding(high))
        return self.fuse(torch.cat([high, self.down(embedded)], dim=1))


def _halving(channels: int) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
