"""What the outputs of a network are to become for one batch."""

from dataclasses import dataclass, field, replace

from torch import Tensor

from models import OutputMap
from pose.heatmaps import HeatmapCodec, SeparableMaps
from pose.part_heatmaps import encode_parts

Target = tuple[Tensor | SeparableMaps, Tensor]


@dataclass(frozen=True)
class HeatmapTargets:
    """Makes each target once, however many outputs share it.

    Attributes:
        keypoints: (B, K, 2), crop px; where the visibility is 0 they may be anything. visibility: (B, K), as in COCO.
    """

    keypoints: Tensor
    visibility: Tensor
    _made: dict[OutputMap, Target] = field(default_factory=dict)

    def of(self, output: OutputMap, codec: HeatmapCodec) -> Target:
        """Target (B, C, h, w) and weights (B, C) of one output; `codec` is always the same for the same output."""
        same_target = replace(output, name="", loss_weight=1.0, hardest=None)
        if same_target not in self._made:
            self._made[same_target] = self._make(output, codec)
        return self._made[same_target]

    def _make(self, output: OutputMap, codec: HeatmapCodec) -> Target:
        shown = (self.visibility > (1 if output.empty_unless_visible else 0)).to(self.keypoints.dtype)
        target: Tensor | SeparableMaps
        if output.parts is None:
            target, weights = codec.encode_axes(self.keypoints, shown)
        else:
            places = codec.to_heatmap_px(self.keypoints)
            target, weights = encode_parts(places, shown, output.parts, codec.heatmap_size, codec.sigma)
            target = target * codec.peak
        return target, weights.new_ones(weights.shape) if output.empty_unless_visible else weights
