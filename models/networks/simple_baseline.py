"""SimpleBaseline (Xiao, Wu & Wei, ECCV 2018): a ResNet, transposed convolutions, one 1x1 convolution (specs 0.4)."""

from torch import Tensor, nn

from models.backbones.resnet import RESNETS
from models.heads.deconvolution import DeconvolutionHead
from models.output_map import OutputMap


class SimpleBaseline(nn.Module):
    """Heatmaps at stride 4 with four ResNet stages and three transposed convolutions; others change the stride.

    Args:
        resnet: "resnet18" … "resnet152".
        width: channels of the ResNet's first stage. stages: how many of its four stages there are.
        deconv_channels: outputs of each transposed convolution.
    Raises:
        ValueError: a width that is not a whole number above 0, or no such number of stages.
    """

    published_names = (("backbone.", ""), ("head.", ""))

    def __init__(
        self,
        num_keypoints: int,
        resnet: str,
        width: int = 64,
        stages: int = 4,
        deconv_channels: tuple[int, ...] = (256, 256, 256),
    ) -> None:
        super().__init__()
        widths = (width, *deconv_channels)
        if not all(isinstance(value, int) and value > 0 for value in widths):
            raise ValueError(
                f"width and deconv_channels must be whole numbers above 0, got {width!r}, {deconv_channels!r}"
            )
        if stages not in (1, 2, 3, 4):
            raise ValueError(f"stages must be 1, 2, 3 or 4, got {stages!r}")
        self.backbone = RESNETS[resnet](width, stages)
        self.head = DeconvolutionHead(self.backbone.channels, num_keypoints, tuple(deconv_channels))
        self.feature_channels = self.head.channels
        self.outputs = (OutputMap("heatmaps", stride=self.backbone.stride / self.head.upsampling),)

    def forward(self, crops: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        heatmaps, features = self.head(self.backbone(crops)[-1])
        return (heatmaps,), features
