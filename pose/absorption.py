"""Cues + heatmaps → poses: every regressed keypoint moves to the nearest peak of its heatmap (specs 3.5).

Heatmaps are those of one image (K, h, w), averaged over scales and mirror, at the size of the scale-1 network input.
"""

import torch
from torch import Tensor

from pose.candidates import Candidates, find_candidates, values_at
from pose.pose_cues import PoseCues
from pose.scored_poses import ScoredPoses


def keypoint_candidates(heatmaps: Tensor, count: int = 30, threshold: float = 0.01) -> Candidates:
    """What the keypoints may move to: the highest peaks of heatmaps (K, h, w), in windows of 5 x 5 px."""
    return find_candidates(heatmaps[None], count, 5, threshold)


def absorb(cues: PoseCues, heatmaps: Tensor, candidates: Candidates, max_distance: float = 75.0) -> ScoredPoses:
    """Every keypoint of every cue takes the nearest candidate of its type that is closer than `max_distance`, input px.

    Several cues may take the same one. Without one a keypoint stays where it was regressed, and its heat is the
    heatmap's there, bilinear, the edge's outside. (The public code reads it with x and y swapped, and lets peaks
    below the threshold attract keypoints and makes their heat 0.)
    """
    regressed, positions = cues.keypoints, candidates.positions[0].float()
    distances = (regressed[:, :, None] - positions).square().sum(-1).sqrt()
    distances = torch.where(candidates.valid[0], distances, torch.inf)
    distance, nearest = distances.min(2)
    kinds = torch.arange(nearest.shape[1], device=nearest.device)
    near = distance < max_distance
    keypoints = torch.where(near[..., None], positions[kinds, nearest], regressed)
    heat = torch.where(near, candidates.scores[0][kinds, nearest], _heat_at(heatmaps, regressed))
    return ScoredPoses(keypoints, heat, cues.center_scores)


def without_absorption(cues: PoseCues, heatmaps: Tensor) -> ScoredPoses:
    """The cues themselves, for what regression is worth alone (specs 3.7). Their heat is bilinear, 0 outside."""
    height, width = heatmaps.shape[1:]
    x, y = cues.keypoints.unbind(-1)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return ScoredPoses(cues.keypoints, _heat_at(heatmaps, cues.keypoints) * inside, cues.center_scores)


def _heat_at(heatmaps: Tensor, keypoints: Tensor) -> Tensor:
    """(N, K) values of heatmaps (K, h, w) at keypoints (N, K, 2)."""
    return values_at(heatmaps[None], keypoints.transpose(0, 1)[None])[0].T
