"""Keypoints of one skeleton in the places of another, so that datasets can be mixed."""

from pose.skeletons import Skeleton

MISSING = -1

# The same spot of the body under the names of MPII and CrowdPose.
_SAME_SPOT = {"head_top": "head", "upper_neck": "neck"}


def keypoint_sources(source: Skeleton, target: Skeleton) -> tuple[int, ...]:
    """For each keypoint of `target` the index of the same keypoint in `source`, −1 where it has none.

    Keypoints are the same if their names are, or if they are names of one spot: MPII's head_top and upper_neck are
    CrowdPose's head and neck.

    Raises:
        ValueError: the two have no keypoint in common.
    """
    known = {_SAME_SPOT.get(name, name): index for index, name in enumerate(source.keypoint_names)}
    sources = tuple(known.get(_SAME_SPOT.get(name, name), MISSING) for name in target.keypoint_names)
    if set(sources) == {MISSING}:
        raise ValueError(f"{source.name} and {target.name} have no keypoint in common")
    return sources
