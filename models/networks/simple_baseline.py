"""SimpleBaseline (Xiao, Wu & Wei, ECCV 2018): a ResNet, transposed convolutions, one 1x1 convolution (specs 0.4)."""

from collections.abc import Sequence

from torch import Tensor, nn

from models.backbones.resnet import RESNETS
from models.crop_size import require_multiple
from models.heads.deconvolution import DeconvolutionHead
from models.output_map import OutputMap


class SimpleBaseline(nn.Module):
    """Heatmaps at stride 4 with four ResNet stages and three transposed convolutions; others change the stride.

    Args:
        resnet: "resnet18" … "resnet152".
        width: channels of the ResNet's first stage. blocks: how many each of its stages has; those of `resnet` if not
            given. Fewer than four stages leave a finer map.
        deconv_channels: outputs of each transposed convolution.
    Raises:
        ValueError: a width or number of blocks that is not whole and above 0, or not one to four stages.
    """

    published_names = (("backbone.", ""), ("head.", ""))

    def __init__(
        self,
        num_keypoints: int,
        resnet: str,
        width: int = 64,
        blocks: Sequence[int] | None = None,
        deconv_channels: tuple[int, ...] = (256, 256, 256),
    ) -> None:
        super().__init__()
        if not all(isinstance(value, int) and value > 0 for value in deconv_channels):
            raise ValueError(f"deconv_channels must be whole numbers above 0, got {deconv_channels!r}")
        self.backbone = RESNETS[resnet](width, blocks)
        self.head = DeconvolutionHead(self.backbone.channels, num_keypoints, tuple(deconv_channels))
        self.feature_channels = self.head.channels
        self.outputs = (OutputMap("heatmaps", stride=self.backbone.stride / self.head.upsampling),)

    def forward(self, crops: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        require_multiple(crops, self.backbone.stride)
        heatmaps, features = self.head(self.backbone(crops)[-1])
        return (heatmaps,), features
