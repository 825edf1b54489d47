"""What one output of a network is, so that its target, loss and decoding follow from it."""

from dataclasses import dataclass

from pose.part_hierarchy import Segments


@dataclass(frozen=True)
class OutputMap:
    """One output (B, C, H/stride, W/stride) of a network. C = K, one channel per keypoint, unless `parts` is given.

    Attributes:
        name: for logs, e.g. "heatmaps".
        stride: crop px per heatmap px.
        sigma_scale: the target's sigma in this output's px, relative to the recipe's sigma.
        loss_weight: of this output in the total loss; an output of weight 0 gets no target.
        hardest: online hard keypoint mining: only this many keypoints per instance count, those with the largest loss.
        empty_unless_visible: a keypoint that is hidden or not labelled gets an empty map as its target, and every
            keypoint counts (CPN's GlobalNet).
        peak: a target's largest value; decoded scores are divided by it.
        parts: one entry per channel, each a set of segments between two keypoints; a keypoint is a segment from itself
            to itself. The target is the Gaussian drawn along all of them (DLCM), from pixel to pixel
            whatever the encoding.
    """

    name: str
    stride: float
    sigma_scale: float = 1.0
    loss_weight: float = 1.0
    hardest: int | None = None
    empty_unless_visible: bool = False
    peak: float = 1.0
    parts: tuple[Segments, ...] | None = None
