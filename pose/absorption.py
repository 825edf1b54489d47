"""Cues + heatmaps → poses: every regressed keypoint moves to the nearest peak of its heatmap (specs 3.5).

Heatmaps are those of one image (K, h, w), averaged over scales and mirror, at the size of the scale-1 network input.
"""

import torch
from torch import Tensor

from pose.candidates import Candidates, values_at
from pose.pose_cues import PoseCues
from pose.scored_poses import ScoredPoses


def absorb(cues: PoseCues, heatmaps: Tensor, candidates: Candidates, max_distance: float = 75.0) -> ScoredPoses:
    """Every keypoint of every cue takes the nearest candidate of its type that is closer than `max_distance`, input px.

    Several cues may take the same one. Without one a keypoint stays where it was regressed, and its heat is the
    heatmap's there, bilinear, the edge's outside. (The public code reads it with x and y swapped, and lets peaks
    below the threshold attract keypoints and makes their heat 0.)
    """
    near, positions, heat = _nearest(cues.keypoints, candidates, max_distance)
    keypoints = torch.where(near[..., None], positions, cues.keypoints)
    return ScoredPoses(keypoints, torch.where(near, heat, _heat_at(heatmaps, cues.keypoints)), cues.center_scores)


def absorbed_alone(cues: PoseCues, candidates: Candidates, max_distance: float = 75.0) -> ScoredPoses:
    """What the heatmaps are worth without regression (specs 3.7): as `absorb`, for annotated poses as cues.

    Nothing of the annotation may show: a keypoint that absorbs nothing stands at the mean of the pose's that do, with
    heat 0, and poses that absorb nothing at all are left out.
    """
    near, positions, heat = _nearest(cues.keypoints, candidates, max_distance)
    found = near.any(1)
    near, positions, heat = near[found], positions[found], heat[found]
    mean = (positions * near[..., None]).sum(1, keepdim=True) / near.sum(1)[:, None, None]
    return ScoredPoses(torch.where(near[..., None], positions, mean), heat * near, cues.center_scores[found])


def _nearest(keypoints: Tensor, candidates: Candidates, max_distance: float) -> tuple[Tensor, Tensor, Tensor]:
    """Of each keypoint (N, K, 2): whether a candidate is near enough (N, K), the nearest (N, K, 2), its heat (N, K)."""
    positions = candidates.positions[0].float()
    distances = (keypoints[:, :, None] - positions).square().sum(-1).sqrt()
    distances = torch.where(candidates.valid[0], distances, torch.inf)
    distance, nearest = distances.min(2)
    kinds = torch.arange(nearest.shape[1], device=nearest.device)
    return distance < max_distance, positions[kinds, nearest], candidates.scores[0][kinds, nearest]


def without_absorption(cues: PoseCues, heatmaps: Tensor) -> ScoredPoses:
    """The cues themselves, for what regression is worth alone (specs 3.7). Their heat is bilinear, 0 outside."""
    height, width = heatmaps.shape[1:]
    x, y = cues.keypoints.unbind(-1)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return ScoredPoses(cues.keypoints, _heat_at(heatmaps, cues.keypoints) * inside, cues.center_scores)


def _heat_at(heatmaps: Tensor, keypoints: Tensor) -> Tensor:
    """(N, K) values of heatmaps (K, h, w) at keypoints (N, K, 2)."""
    return values_at(heatmaps[None], keypoints.transpose(0, 1)[None])[0].T
