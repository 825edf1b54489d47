"""MRFeaNet1 and MRFeaNet2 (Tran et al., ICPR 2020): heatmaps from the mean of all ResNet stages' maps (specs 4.3)."""

from collections.abc import Sequence

from torch import Tensor, nn

from models.backbones.resnet import RESNETS
from models.crop_size import require_multiple
from models.heads.deconvolution import deconvolution
from models.heads.heatmap_layer import heatmap_layer
from models.output_map import OutputMap


class MRFeaNet(nn.Module):
    """Heatmaps at stride 4 for crops whose height and width are multiples of 32 px.

    Transposed convolutions bring the maps of stages 2 to 4 to the size and channels of the first stage's (256 for
    published networks); one 1x1 convolution follows on the mean of the four maps. The paper's text says sum; the public
    code, whose checkpoints load, divides by 4 (specs 4.7).

    Args:
        resnet: "resnet18" … "resnet152".
        variant: of the transposed convolutions, 1: each has as many outputs as the first stage; 2: as many as the stage
            of its size.
        width: channels of the ResNet's first stage. blocks: how many each of its stages has, if not as `resnet`.
    Raises:
        ValueError: not such a variant, or a width that is not a whole number above 0.
    """

    published_names = (("backbone.", ""),)

    def __init__(
        self, num_keypoints: int, resnet: str, variant: int, width: int = 64, blocks: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        if variant not in (1, 2):
            raise ValueError(f"variant must be 1 or 2, got {variant!r}")
        if blocks is not None and len(blocks) != 4:
            raise ValueError(f"blocks must be four numbers, one for each stage, got {blocks!r}")
        self.backbone = RESNETS[resnet](width, blocks)
        channels: tuple[int, ...] = self.backbone.stage_channels
        outputs = channels[:-1] if variant == 2 else channels[:1] * 3  # at strides 4, 8 and 16
        # In the order in which the public code makes them: its state dictionaries have it.
        self.deconv11 = nn.Sequential(*deconvolution(channels[3], outputs[2]))
        self.deconv12 = nn.Sequential(*deconvolution(outputs[2], outputs[1]))
        self.deconv21 = nn.Sequential(*deconvolution(channels[2], outputs[1]))
        self.deconv13 = nn.Sequential(*deconvolution(outputs[1], outputs[0]))
        self.deconv22 = nn.Sequential(*deconvolution(outputs[1], outputs[0]))
        self.deconv3 = nn.Sequential(*deconvolution(channels[1], outputs[0]))
        self.final_layer = heatmap_layer(outputs[0], num_keypoints)
        self.feature_channels = outputs[0]
        self.outputs = (OutputMap("heatmaps", stride=4),)

    def forward(self, crops: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        require_multiple(crops, self.backbone.stride)
        x1, x2, x3, x4 = self.backbone(crops)
        features = x1 + self.deconv3(x2)
        features.add_(self.deconv22(self.deconv21(x3)))
        features.add_(self.deconv13(self.deconv12(self.deconv11(x4))))
        features.mul_(0.25)
        return (self.final_layer(features),), features
