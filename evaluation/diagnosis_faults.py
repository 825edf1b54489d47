"""Who is matched to whom, who is left over, and what is wrong with the keypoints of the matched."""

from dataclasses import dataclass

import numpy as np

from evaluation.diagnosis_errors import MATCHING_OKS, keypoint_errors
from evaluation.diagnosis_scene import Scene
from evaluation.matching import NOBODY, match


@dataclass(frozen=True, eq=False)
class Faults:
    """What there is to correct in a scene.

    - matched (D,): the person who counts and whom each detection takes at OKS 0.1, NOBODY where none
    - errors (D, K), similarity (D, K) of the keypoints of matched detections, as `keypoint_errors` gives them
    - duplicate, background, on_ignored (D,) bool: the other detections, near somebody, near nobody, on annotations that
      do not count
    - missed (G,) bool: persons who count and whom no detection takes
    """

    matched: np.ndarray
    errors: np.ndarray
    similarity: np.ndarray
    duplicate: np.ndarray
    background: np.ndarray
    on_ignored: np.ndarray
    missed: np.ndarray


def find_faults(scene: Scene) -> Faults:
    """Match at OKS 0.1, and judge every keypoint."""
    taken = match(scene.persons, scene.detections, scene.pairs, np.array([MATCHING_OKS]))[0]
    on_ignored = (taken != NOBODY) & np.append(scene.persons.ignored, False)[taken]
    matched = np.where(on_ignored, NOBODY, taken)
    errors, similarity = keypoint_errors(scene.persons, scene.detections, matched, scene.skeleton)
    near = np.zeros(len(scene.detections), bool)
    near[scene.pairs.detection[scene.pairs.oks >= MATCHING_OKS]] = True
    free = taken == NOBODY
    missed = ~scene.persons.ignored
    missed[matched[matched != NOBODY]] = False
    return Faults(matched, errors, similarity, free & near, free & ~near, on_ignored, missed)
