"""What is wrong with each keypoint of a matched detection (Ronchi & Perona, ICCV 2017)."""

import numpy as np

from evaluation.fast_oks_arrays import AnnotatedPersons, DetectedPersons
from evaluation.fast_oks_pairs import keypoint_similarity, official_sigmas, pair_up
from pose.skeletons import Skeleton

ERROR_TYPES = ("good", "jitter", "inversion", "swap", "miss")
GOOD, JITTER, INVERSION, SWAP, MISS = range(5)
NOT_LABELLED = -1
MATCHING_OKS = 0.1
GOOD_ABOVE, NEAR_FROM = 0.85, 0.5


def keypoint_errors(
    persons: AnnotatedPersons, detections: DetectedPersons, taken: np.ndarray, skeleton: Skeleton
) -> tuple[np.ndarray, np.ndarray]:
    """Error types (D, K) int8, indices into ERROR_TYPES, and similarities (D, K) of each keypoint to its own truth.

    `taken` (D,): the person that each detection is matched to, NOBODY where none. Rows of unmatched detections, and
    keypoints that their person does not label, are NOT_LABELLED with similarity nan.

    A keypoint more similar to its own truth than 0.85 is good. Otherwise what it is most similar to decides, of at
    least 0.5: its own truth, jitter; the mirrored keypoint of the same person, inversion; the keypoint or the mirrored
    one of anybody else annotated in the image, swap. Less than 0.5 to all of these: miss. Of equals the own truth goes
    first, then the same keypoint of others, then the mirrored one of the person, as in the authors' code. There a
    keypoint above 0.85 that is still nearer to something else is an error as well; here it is good, since it costs no
    more than any good one.
    """
    detection, person = pair_up(persons, detections)
    is_own = person == taken[detection]
    sigmas, flip = official_sigmas(skeleton), np.array(skeleton.flip_indices)
    same = keypoint_similarity(persons, detections, detection, person, sigmas)
    same = np.where(persons.labelled[person], same, -1.0)
    mirrored = keypoint_similarity(persons, detections, detection, person, sigmas, persons.keypoints[:, flip])
    mirrored = np.where(persons.labelled[:, flip][person], mirrored, -1.0)

    def best(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        return _highest(values[chosen], detection[chosen], len(detections))

    own, inverted = best(same, is_own), best(mirrored, is_own)
    nearest = np.stack([own, best(same, ~is_own), inverted, best(mirrored, ~is_own)])
    errors = np.array([JITTER, SWAP, INVERSION, SWAP], np.int8)[nearest.argmax(axis=0)]
    errors[nearest.max(axis=0) < NEAR_FROM] = MISS
    errors[own > GOOD_ABOVE] = GOOD
    counted = own >= 0
    return np.where(counted, errors, np.int8(NOT_LABELLED)), np.where(counted, own, np.nan)


def _highest(values: np.ndarray, owner: np.ndarray, count: int) -> np.ndarray:
    """The highest values (count, K) of the rows (P, K) of each owner (P,), ascending; -1 where it has none."""
    highest = np.full((count, values.shape[1]), -1.0)
    if len(owner):
        starts = np.flatnonzero(np.diff(owner, prepend=-1))
        highest[owner[starts]] = np.maximum.reduceat(values, starts, axis=0)
    return highest
