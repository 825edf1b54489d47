"""Poses of one image with the heat of each keypoint, and the naive score that follows from it (specs 3.6)."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ScoredPoses:
    """N poses.

    Attributes:
        keypoints: (N, K, 2), px of the scale-1 network input.
        heat: (N, K), the keypoint heatmaps' values.
        center_scores: (N,), the centre map's values.
    """

    keypoints: Tensor
    heat: Tensor
    center_scores: Tensor

    @property
    def keypoint_scores(self) -> Tensor:
        """(N, K): heat times centre score."""
        return self.heat * self.center_scores[:, None]

    @property
    def scores(self) -> Tensor:
        """(N,): the naive score, centre score times mean heat."""
        return self.keypoint_scores.mean(1)
