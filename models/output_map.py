"""What one output of a network is, so that its target, loss and decoding follow from it."""

from dataclasses import dataclass
from typing import Literal

from pose.part_hierarchy import Segments

MapKind = Literal["heatmaps", "tags", "center", "offsets"]


@dataclass(frozen=True)
class OutputMap:
    """One output (B, C, H/stride, W/stride) of a network. C = K, one channel per keypoint, unless `kind` or `parts` say
    otherwise.

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
        kind: bottom-up networks tell persons apart by more than heatmaps. "tags" hold one number per keypoint, alike
            for keypoints of one person (associative embedding). "center" is one channel, a heatmap of persons' centres;
            "offsets" are 2K channels, keypoint − position in this output's px, x and y of each keypoint in turn.
        averaged: where the last output says so too, bottom-up testing averages these heatmaps with its; several of the
            same stride count with their maximum.
        background_scale: bottom-up heatmap losses weigh what is no keypoint by the recipe's background weight times
            this, unless the recipe weighs it fully.
    """

    name: str
    stride: float
    sigma_scale: float = 1.0
    loss_weight: float = 1.0
    hardest: int | None = None
    empty_unless_visible: bool = False
    peak: float = 1.0
    parts: tuple[Segments, ...] | None = None
    kind: MapKind = "heatmaps"
    averaged: bool = False
    background_scale: float = 1.0
