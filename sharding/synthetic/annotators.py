"""Which persons of a scene an annotator would have labelled, the same for every layout."""

import numpy as np

from pose.skeletons import Skeleton
from sharding.synthetic.truth import Scene, SyntheticPerson

Array = np.ndarray
MIN_VISIBLE_PIXELS = 150


def annotated_persons(scene: Scene) -> list[SyntheticPerson]:
    """Persons of whom enough is seen to be noticed."""
    return [person for person in scene.persons if person.area >= MIN_VISIBLE_PIXELS]


def labelled_keypoints(person: SyntheticPerson, skeleton: Skeleton) -> Array:
    """(K, 3): x, y (image px), visibility. All zeros if no keypoint can be seen: nothing guides a guess then."""
    keypoints = person.keypoints_of(skeleton)
    return keypoints if (keypoints[:, 2] == 2).any() else np.zeros_like(keypoints)


def flat_keypoints(keypoints: Array) -> list[float]:
    """(K, 3) to the list of 3K numbers of COCO's files: at most two decimals, whole numbers without any."""
    return [int(value) if value == int(value) else round(float(value), 2) for value in keypoints.ravel()]
