"""Poses regressed from persons' centres: the cues that keypoint candidates are grouped by (specs 3.5)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pose.candidates import find_candidates

# Poses of other scales than 1 count little: they only fill in where scale 1 found nobody (public code).
_OTHER_SCALES = 0.001


@dataclass(frozen=True)
class PoseCues:
    """N poses of one image.

    Attributes:
        keypoints: (N, K, 2), px of the scale-1 network input.
        center_scores: (N,), the centre map's values.
    """

    keypoints: Tensor
    center_scores: Tensor


@dataclass(frozen=True)
class PoseMap:
    """What one scale says of one image, mirrored image included.

    Attributes:
        center: (h, w), heatmap of persons' centres.
        poses: (2K, h, w), the pose that each position stands for, in px of this map, x and y of each keypoint in turn.
        input_px_per_px: of the scale-1 network input: 4 for a map of stride 4 at scale 1, 8 at scale 0.5.
        scale_1: whether this is scale 1.
    """

    center: Tensor
    poses: Tensor
    input_px_per_px: float
    scale_1: bool = True


def poses_from_offsets(offsets: Tensor) -> Tensor:
    """Offsets (…, 2K, h, w), keypoint − position → the keypoints themselves, in px of that map, of the same shape."""
    height, width = offsets.shape[-2:]
    x = torch.arange(width, device=offsets.device, dtype=offsets.dtype).expand(height, width)
    y = torch.arange(height, device=offsets.device, dtype=offsets.dtype)[:, None].expand(height, width)
    return offsets + torch.stack([x, y]).repeat(offsets.shape[-3] // 2, 1, 1)


def find_cues(maps: Sequence[PoseMap], count: int = 30, threshold: float = 0.01) -> PoseCues:
    """The poses at the `count` highest peaks above `threshold` of each scale's centre map, scale after scale.

    The centre scores of scales other than 1 are multiplied such that their highest is 0.001 of scale 1's highest, and
    the threshold by 0.001. Duplicates within and between scales are still there: see `pose.pose_nms`.
    """
    if sum(one.scale_1 for one in maps) != 1:
        raise ValueError(f"expected one map of scale 1; got {[one.scale_1 for one in maps]}")
    highest = next(one for one in maps if one.scale_1).center.max()
    found = [_cues(one, highest, count, threshold) for one in maps]
    return PoseCues(torch.cat([cues.keypoints for cues in found]), torch.cat([cues.center_scores for cues in found]))


def cues_from_annotations(keypoints: Tensor, visibility: Tensor) -> PoseCues:
    """Annotated poses as cues, all with centre score 1: what the heatmaps are worth without regression (specs 3.7).

    A keypoint that is not labelled starts from the mean of the person's labelled ones. Persons without any are left
    out. `keypoints` (M, K, 2), scale-1 input px; `visibility` (M, K).
    """
    labelled = visibility > 0
    annotated = labelled.any(1)
    keypoints, labelled = keypoints[annotated].float(), labelled[annotated, :, None]
    mean = torch.where(labelled, keypoints, 0.0).sum(1, keepdim=True) / labelled.sum(1, keepdim=True)
    return PoseCues(torch.where(labelled, keypoints, mean), keypoints.new_ones(len(keypoints)))


def peak_window(height: int, width: int) -> int:
    """Side, px, of the window in which a centre must be the highest: as in the public code it grows with the map."""
    side = (height + width) / 2
    return 3 if side <= 200 else 5 if side <= 300 else 7


def _cues(one: PoseMap, highest: Tensor, count: int, threshold: float) -> PoseCues:
    center = one.center.float()
    if not one.scale_1:
        center = center * (_OTHER_SCALES * highest / center.max().clamp(min=torch.finfo(center.dtype).tiny))
        threshold = threshold * _OTHER_SCALES
    peaks = find_candidates(center[None, None], count, peak_window(*center.shape), threshold)
    valid = peaks.valid[0, 0]
    x, y = peaks.positions[0, 0][valid].unbind(-1)
    keypoints = one.poses[:, y, x].float().T.unflatten(1, (-1, 2))
    return PoseCues(keypoints * one.input_px_per_px, peaks.scores[0, 0][valid])
