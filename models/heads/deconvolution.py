"""SimpleBaseline's head (Xiao, Wu & Wei, ECCV 2018): transposed convolutions, then one 1x1 convolution to heatmaps."""

from torch import Tensor, nn


class DeconvolutionHead(nn.Module):
    """(B, C, h, w) → (B, K, h·2ⁿ, w·2ⁿ) for n = len(channels) transposed convolutions 4x4, stride 2 (specs 0.4)."""

    def __init__(self, inputs: int, num_keypoints: int, channels: tuple[int, ...] = (256, 256, 256)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for outputs in channels:
            deconvolution = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
            nn.init.normal_(deconvolution.weight, std=0.001)
            layers += [deconvolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
            inputs = outputs
        self.deconv_layers = nn.Sequential(*layers)
        self.final_layer = nn.Conv2d(inputs, num_keypoints, 1)
        nn.init.normal_(self.final_layer.weight, std=0.001)
        nn.init.zeros_(self.final_layer.bias)  # type: ignore[arg-type]
        self.upsampling = 2 ** len(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.final_layer(self.deconv_layers(x))
