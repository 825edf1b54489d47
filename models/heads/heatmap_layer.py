"""The last layer of most networks: a 1x1 convolution to heatmaps that starts near zero."""

from torch import nn


def heatmap_layer(inputs: int, num_keypoints: int) -> nn.Conv2d:
    """(B, inputs, h, w) → (B, K, h, w), started as SimpleBaseline's: weights N(0, 0.001), biases 0 (specs 0.4)."""
    layer = nn.Conv2d(inputs, num_keypoints, 1)
    nn.init.normal_(layer.weight, std=0.001)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer
