"""EFAFNet (Xu, Zou & Lin): SimpleBaseline with four additions, each of which can be left out (specs 5)."""

from typing import Literal

from torch import Tensor, nn

from models.backbones.fasm import Fasm
from models.backbones.feature_selection import Arrangement
from models.backbones.resnet import BLOCKS_PER_STAGE, ResNet
from models.crop_size import require_multiple
from models.heads.deconvolution import DeconvolutionHead
from models.heads.dense_upsampling import DenseUpsamplingHead
from models.heads.feature_fusion import FeatureFusion
from models.heads.stage_heatmaps import StageHeatmaps
from models.output_map import OutputMap

_SUPERVISED = ("conv2", "conv3", "conv4")


class EFAFNet(nn.Module):
    """Heatmaps at stride 4. The defaults are the paper's full model; without fam, fsm, ffm, duc and hardest it is
    SimpleBaseline, tensor names included.

    Features: with the deconvolutions their last map; with `duc` the map in front of it, rearranged to stride 4 with
    width / 2 channels (32 for the published width).

    Args:
        resnet: "resnet50", "resnet101" or "resnet152".
        fam, fsm, fasm_place, base_width, scales, fam_first_sum, reduction, lss_relu: of the bottlenecks, see `Fasm`.
        ffm: feature fusion of Conv2 and Conv5, and outputs for intermediate supervision from Conv2, Conv3 and Conv4 in
            front of the decoded one.
        duc: dense upsampling instead of the deconvolutions.
        hardest: only this many keypoints per instance count in the decoded output's loss; None, or at least K: all.
        width: channels of the ResNet's first stage; even with `duc`.
        blocks: bottlenecks per stage, instead of those of `resnet`.
        deconv_channels: outputs of the three transposed convolutions; unused with `duc`.
    Raises:
        ValueError: a number that is not whole and above 0, not four stages or three deconvolutions, what `Fasm` and
            `DenseUpsamplingHead` refuse.

    Attributes:
        new_tensors, dropped_tensors: regular expressions, searched in names relative to the backbone: its tensors that
            ImageNet weights need not have, and theirs that it may leave over. What both match may have another shape.
    """

    published_names = (("backbone.", ""), ("head.", ""))

    def __init__(
        self,
        num_keypoints: int,
        resnet: str,
        *,
        fam: bool = True,
        fsm: Arrangement | None = "parallel",
        ffm: bool = True,
        duc: bool = True,
        hardest: int | None = 8,
        fasm_place: Literal["bottleneck", "convolution"] = "bottleneck",
        base_width: int = 26,
        scales: int = 4,
        fam_first_sum: bool = True,
        reduction: int | None = None,
        lss_relu: bool = True,
        width: int = 64,
        blocks: tuple[int, int, int, int] | None = None,
        deconv_channels: tuple[int, int, int] = (256, 256, 256),
    ) -> None:
        super().__init__()
        blocks = BLOCKS_PER_STAGE[resnet] if blocks is None else blocks
        _check(width, hardest, blocks, deconv_channels)
        fasm = Fasm(fam, fsm, fasm_place, base_width, scales, fam_first_sum, reduction, lss_relu)
        self.new_tensors, self.dropped_tensors = fasm.new_tensors, fasm.dropped_tensors
        self.backbone = ResNet(fasm, tuple(blocks), width)
        channels = self.backbone.stage_channels
        self.ffm = FeatureFusion(channels[0], channels[-1]) if ffm else None
        self.head: DenseUpsamplingHead | DeconvolutionHead
        if duc:
            self.head = DenseUpsamplingHead(channels[-1], num_keypoints)
        else:
            self.head = DeconvolutionHead(channels[-1], num_keypoints, tuple(deconv_channels))
        self.supervision = StageHeatmaps(channels[:-1], num_keypoints) if ffm else None
        self.feature_channels = self.head.channels
        decoded = OutputMap("heatmaps", stride=4, hardest=hardest if hardest and hardest < num_keypoints else None)
        self.outputs = (*(OutputMap(f"heatmaps_{stage}", stride=4) for stage in _SUPERVISED if ffm), decoded)

    def forward(self, crops: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        require_multiple(crops, self.backbone.stride)
        *stages, coarsest = self.backbone(crops)
        if self.ffm is None or self.supervision is None:
            heatmaps, features = self.head(coarsest)
            return (heatmaps,), features
        heatmaps, features = self.head(self.ffm(stages[0], coarsest))
        return (*self.supervision(stages), heatmaps), features


def _check(width: int, hardest: int | None, blocks: tuple[int, ...], deconv_channels: tuple[int, ...]) -> None:
    for name, values, count in (
        ("width", (width,), 1),
        ("hardest", () if hardest is None else (hardest,), None),
        ("blocks", blocks, 4),
        ("deconv_channels", deconv_channels, 3),
    ):
        if not all(isinstance(value, int) and value > 0 for value in values):
            raise ValueError(f"{name} must be whole numbers above 0, got {values!r}")
        if count is not None and len(values) != count:
            raise ValueError(f"{name} must be {count} numbers, got {values!r}")
