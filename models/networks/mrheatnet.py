"""MRHeatNet1 and MRHeatNet2 (Tran et al., ICPR 2020): heatmaps of three resolutions are summed (specs 4.2)."""

from collections.abc import Sequence

from torch import Tensor, nn

from models.backbones.resnet import RESNETS
from models.crop_size import require_multiple
from models.heads.deconvolution import deconvolution
from models.heads.heatmap_layer import heatmap_layer
from models.output_map import OutputMap


class MRHeatNet(nn.Module):
    """Heatmaps at stride 4, with those at strides 16 and 8 upsampled by transposed convolutions and added.

    Args:
        resnet: "resnet18" … "resnet152".
        variant: 1: the heatmaps at stride 16 join those at stride 8, and the sum joins those at stride 4; 2: both join
            those at stride 4, each on a path of its own.
        width: channels of the ResNet's first stage. blocks: how many each of its stages has, if not as `resnet`.
        deconv_channels: outputs of each of the three transposed convolutions.
    Raises:
        ValueError: not such a variant, a width that is not a whole number above 0, or not three of them.
    """

    published_names = (("backbone.", ""),)

    def __init__(
        self,
        num_keypoints: int,
        resnet: str,
        variant: int,
        width: int = 64,
        blocks: Sequence[int] | None = None,
        deconv_channels: tuple[int, int, int] = (256, 256, 256),
    ) -> None:
        super().__init__()
        _check(variant, blocks, deconv_channels)
        at_16, at_8, at_4 = deconv_channels
        self.backbone = RESNETS[resnet](width, blocks)
        self.deconv1 = nn.Sequential(*deconvolution(self.backbone.channels, at_16))
        self.deconv2 = nn.Sequential(*deconvolution(at_16, at_8))
        self.deconv3 = nn.Sequential(*deconvolution(at_8, at_4))
        self.s_conv1 = _side_heatmaps(at_16, num_keypoints)
        self.s_deconv1 = nn.Sequential(*deconvolution(num_keypoints, num_keypoints))
        self.s_deconv12 = _linear_upsampling(num_keypoints) if variant == 2 else None
        self.s_conv2 = _side_heatmaps(at_8, num_keypoints)
        self.s_deconv2 = _linear_upsampling(num_keypoints)
        self.final_layer = heatmap_layer(at_4, num_keypoints)
        self.feature_channels = at_4
        self.outputs = (OutputMap("heatmaps", stride=4),)

    def forward(self, crops: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        require_multiple(crops, self.backbone.stride)
        at_16 = self.deconv1(self.backbone(crops)[-1])
        at_8 = self.deconv2(at_16)
        features = self.deconv3(at_8)
        coarse = self.s_deconv1(self.s_conv1(at_16))
        middle = self.s_conv2(at_8)
        heatmaps = self.final_layer(features)
        if self.s_deconv12 is None:
            middle = middle + coarse
        else:
            heatmaps.add_(self.s_deconv12(coarse))
        return (heatmaps.add_(self.s_deconv2(middle)),), features


def _check(variant: int, blocks: Sequence[int] | None, deconv_channels: tuple[int, ...]) -> None:
    if variant not in (1, 2):
        raise ValueError(f"variant must be 1 or 2, got {variant!r}")
    if blocks is not None and len(blocks) != 4:
        raise ValueError(f"blocks must be four numbers, one for each stage, got {blocks!r}")
    if not all(isinstance(value, int) and value > 0 for value in deconv_channels):
        raise ValueError(f"deconv_channels must be whole numbers above 0, got {deconv_channels!r}")
    if len(deconv_channels) != 3:
        raise ValueError(f"deconv_channels must be three numbers, got {deconv_channels!r}")


def _side_heatmaps(inputs: int, num_keypoints: int) -> nn.Sequential:
    """(B, inputs, h, w) → heatmaps (B, K, h, w): 1x1 convolution, norm, ReLU."""
    return nn.Sequential(heatmap_layer(inputs, num_keypoints), nn.BatchNorm2d(num_keypoints), nn.ReLU(inplace=True))


def _linear_upsampling(num_keypoints: int) -> nn.ConvTranspose2d:
    """(B, K, h, w) → (B, K, 2h, 2w), without norm and ReLU: it ends in the sum."""
    layer = nn.ConvTranspose2d(num_keypoints, num_keypoints, 4, stride=2, padding=1, bias=False)
    nn.init.normal_(layer.weight, std=0.001)
    return layer
