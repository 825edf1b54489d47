"""What a scoring network sees of a pose: its sticks' vectors and lengths, and its keypoints' heat (specs 3.6).

The order is the public code's, so that its scoring networks for COCO can be used.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pose.errors import UserError
from pose.skeletons import COCO_17, CROWDPOSE_14, Skeleton

Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Sticks:
    """What is measured on a pose.

    Attributes:
        pairs: a stick's vector is its first keypoint minus its second.
        torso: the two sticks whose mean length is the unit.
    """

    pairs: Pairs
    torso: Pairs

    def num_features(self, num_keypoints: int) -> int:
        return 3 * len(self.pairs) + num_keypoints


class NoSticksError(UserError, ValueError):
    """A skeleton whose poses no scoring network can measure."""


def sticks_of(skeleton: Skeleton) -> Sticks:
    """The skeleton's limbs, for COCO in the public order, and its torso sides from shoulder to hip.

    Raises NoSticksError for a skeleton without limbs, shoulders or hips.
    """
    torso = [f"{side}_{end}" for side in ("left", "right") for end in ("shoulder", "hip")]
    missing = [name for name in torso if name not in skeleton.keypoint_names] + ([] if skeleton.limbs else ["limbs"])
    if missing:
        raise NoSticksError(
            f"poses of {skeleton.name} cannot be ranked by a scoring network, which measures limbs in units of the "
            f"torso: it has no {', '.join(missing)}; set bottomup.grouping.scoring=naive"
        )
    # On CrowdPose the order of `limbs` is the public one already.
    pairs = tuple(sorted((min(limb), max(limb)) for limb in skeleton.limbs)) if skeleton == COCO_17 else skeleton.limbs
    sides = ("left", "right")
    return Sticks(pairs, tuple((skeleton.index(f"{side}_shoulder"), skeleton.index(f"{side}_hip")) for side in sides))


def public_sticks_of(skeleton: Skeleton) -> Sticks:
    """What public scoring networks were trained on: on CrowdPose the unit is the mean of a left thigh and a left shin.

    Raises ValueError for a skeleton without public scoring networks.
    """
    if skeleton not in (COCO_17, CROWDPOSE_14):
        raise ValueError(f"public scoring networks know coco_17 and crowdpose_14, not {skeleton.name}")
    sticks = sticks_of(skeleton)
    return sticks if skeleton == COCO_17 else Sticks(sticks.pairs, ((6, 8), (8, 10)))


def pose_features(keypoints: Tensor, heat: Tensor, sticks: Sticks) -> Tensor:
    """Features (N, 3S + K): S vectors (x, y of each in turn), S lengths, K heat values.

    `keypoints` (N, K, 2), px of the original picture. `heat` (N, K): heat times centre score, as the public code takes
    it. Vectors and lengths are in units of the torso, which is at least 1 px.
    """
    first, second = _columns(sticks.pairs)
    vectors = keypoints[:, first] - keypoints[:, second]
    top, bottom = _columns(sticks.torso)
    unit = _lengths(keypoints[:, top] - keypoints[:, bottom]).mean(1, keepdim=True).clamp(min=1)
    return torch.cat([vectors.flatten(1) / unit, _lengths(vectors) / unit, heat], dim=1)


def _columns(pairs: Sequence[tuple[int, int]]) -> tuple[list[int], list[int]]:
    return [first for first, _ in pairs], [second for _, second in pairs]


def _lengths(vectors: Tensor) -> Tensor:
    return vectors.square().sum(-1).sqrt()
