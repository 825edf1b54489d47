"""SimpleBaseline's head (Xiao, Wu & Wei, ECCV 2018): transposed convolutions, then one 1x1 convolution to heatmaps."""

from itertools import pairwise

from torch import Tensor, nn

from models.heads.heatmap_layer import heatmap_layer


def deconvolution(inputs: int, outputs: int) -> list[nn.Module]:
    """(B, inputs, h, w) → (B, outputs, 2h, 2w): transposed convolution 4x4, stride 2, norm, ReLU (specs 0.4)."""
    layer = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
    nn.init.normal_(layer.weight, std=0.001)
    return [layer, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


class DeconvolutionHead(nn.Module):
    """(B, C, h, w) → heatmaps (B, K, h·2ⁿ, w·2ⁿ) and the features (B, channels[-1], …) that they were made from, for
    n = len(channels) transposed convolutions."""

    def __init__(self, inputs: int, num_keypoints: int, channels: tuple[int, ...] = (256, 256, 256)) -> None:
        super().__init__()
        widths = (inputs, *channels)
        self.deconv_layers = nn.Sequential(*(layer for pair in pairwise(widths) for layer in deconvolution(*pair)))
        self.channels = widths[-1]
        self.final_layer = heatmap_layer(self.channels, num_keypoints)
        self.upsampling = 2 ** len(channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.deconv_layers(x)
        return self.final_layer(features), features
