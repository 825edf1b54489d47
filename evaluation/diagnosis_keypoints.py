"""Errors, similarity and AP of each keypoint."""

from dataclasses import dataclass

import numpy as np

from evaluation.diagnosis_faults import Faults
from evaluation.diagnosis_scene import Scene
from evaluation.diagnosis_sensitivity import error_counts, shares
from evaluation.fast_oks_score import OKS_THRESHOLDS, average_precision, precision_and_recall
from evaluation.matching import NOBODY


@dataclass(frozen=True)
class KeypointErrors:
    """One keypoint, or all.

    `ap`: of this keypoint alone, None for all of them. The whole pose settles at OKS 0.1 who is who; a detection is
    right at a threshold that the keypoint's similarity reaches; persons who do not label it do not count, nor do the
    detections matched to them; missed persons and detections that match nobody do.
    `mean_similarity`: of matched persons' labelled keypoints to their truth, exp(−d²/(2 s² k²)).
    """

    name: str
    keypoints: int
    counts: dict[str, int]
    shares: dict[str, float | None]
    mean_similarity: float | None
    ap: float | None


def errors_per_keypoint(scene: Scene, faults: Faults) -> list[KeypointErrors]:
    """One entry per keypoint of the skeleton, in its order."""
    return [
        _errors_of(name, faults.errors[:, k], faults.similarity[:, k], _keypoint_ap(scene, faults, k))
        for k, name in enumerate(scene.skeleton.keypoint_names)
    ]


def overall_errors(faults: Faults) -> KeypointErrors:
    """All keypoints in one entry without a name."""
    return _errors_of("", faults.errors, faults.similarity, None)


def _keypoint_ap(scene: Scene, faults: Faults, keypoint: int) -> float | None:
    """AP where the whole pose settles at OKS 0.1 who is who, and this keypoint's similarity what is right.

    Who does not label it does not count, nor does a detection matched to such a person.
    """
    labelled = (scene.persons.labelled[:, keypoint] & ~scene.persons.ignored).sum()
    if not labelled:
        return None
    similarity = faults.similarity[:, keypoint]
    known = ~np.isnan(similarity)
    hit = similarity >= OKS_THRESHOLDS[:, None]  # nan reaches none
    uncounted = faults.on_ignored | ((faults.matched != NOBODY) & ~known)
    return average_precision(
        precision_and_recall(scene.detections.scores, hit, np.broadcast_to(uncounted, hit.shape), int(labelled))
    )


def _errors_of(name: str, errors: np.ndarray, similarity: np.ndarray, ap: float | None) -> KeypointErrors:
    counts, known = error_counts(errors), ~np.isnan(similarity)
    mean = float(similarity[known].mean()) if known.any() else None
    return KeypointErrors(name, sum(counts.values()), counts, shares(counts), mean, ap)
