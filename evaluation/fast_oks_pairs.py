"""Similarities of every detection with every annotated person of its image, to the last bit as the official tools."""

from dataclasses import dataclass, replace

import numpy as np
from pycocotools.cocoeval import Params

from evaluation.fast_oks_arrays import AnnotatedPersons, DetectedPersons
from pose.skeletons import COCO_17, Skeleton


@dataclass(frozen=True, eq=False)
class Pairs:
    """P pairs of a detection and an annotated person of one image, by detection, then by person.

    detection (P,), person (P,): positions in the two sets; oks (P,).
    """

    detection: np.ndarray
    person: np.ndarray
    oks: np.ndarray

    def with_oks(self, oks: np.ndarray) -> "Pairs":
        return replace(self, oks=oks)


def official_sigmas(skeleton: Skeleton) -> np.ndarray:
    """The skeleton's OKS sigmas (K,). COCO's come from pycocotools, where some differ from ours in the last bit."""
    own = skeleton.oks_sigmas
    return Params(iouType="keypoints").kpt_oks_sigmas if own == COCO_17.oks_sigmas else np.array(own)


def pair_up(persons: AnnotatedPersons, detections: DetectedPersons) -> tuple[np.ndarray, np.ndarray]:
    """Positions (P,) of the detections and (P,) of the persons that share an image."""
    first = np.searchsorted(persons.images, detections.images, side="left")
    count = np.searchsorted(persons.images, detections.images, side="right") - first
    detection = np.repeat(np.arange(len(detections)), count)
    within = np.arange(len(detection)) - np.repeat(np.cumsum(count) - count, count)
    return detection, np.repeat(first, count) + within


def oks_pairs(persons: AnnotatedPersons, detections: DetectedPersons, oks_sigmas: np.ndarray) -> Pairs:
    """All pairs with their OKS. Persons without labelled keypoints are compared by their boxes, as officially."""
    detection, person = pair_up(persons, detections)
    similarity = keypoint_similarity(persons, detections, detection, person, oks_sigmas)
    oks = mean_over_labelled(similarity, persons.labelled[person])
    unlabelled = np.flatnonzero((persons.labelled.sum(axis=1) == 0)[person])
    oks[unlabelled] = box_similarity(persons, detections, detection[unlabelled], person[unlabelled], oks_sigmas)
    return Pairs(detection, person, oks)


def keypoint_similarity(
    persons: AnnotatedPersons,
    detections: DetectedPersons,
    detection: np.ndarray,
    person: np.ndarray,
    oks_sigmas: np.ndarray,
    keypoints: np.ndarray | None = None,
) -> np.ndarray:
    """exp(−d²/(2 s² k²)) (P, K) of each keypoint of the pairs, whether it is labelled or not.

    `keypoints` (G, K, 2), px, stand in for the persons' own.
    """
    annotated = persons.keypoints if keypoints is None else keypoints
    return _similarity(detections.keypoints[detection] - annotated[person], persons.areas[person], oks_sigmas)


def mean_over_labelled(similarity: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Mean (P,) of similarity (P, K) over the labelled; 0 where none is."""
    mean, counts = np.zeros(len(similarity)), labelled.sum(axis=1)
    for count in np.unique(counts[counts > 0]).tolist():
        # Adding zeros for the others would change the order of the sum, and with it the last bit.
        rows = np.flatnonzero(counts == count)
        packed = similarity[rows][labelled[rows]].reshape(len(rows), count)
        mean[rows] = packed.sum(axis=1) / count
    return mean


def box_similarity(
    persons: AnnotatedPersons,
    detections: DetectedPersons,
    detection: np.ndarray,
    person: np.ndarray,
    oks_sigmas: np.ndarray,
) -> np.ndarray:
    """Mean similarity (P,) of the distances to the persons' boxes, enlarged by their size on every side."""
    boxes, points = persons.boxes_xywh[person], detections.keypoints[detection]
    low = (boxes[:, :2] - boxes[:, 2:])[:, None]
    high = (boxes[:, :2] + boxes[:, 2:] * 2)[:, None]
    outside = np.maximum(0, low - points) + np.maximum(0, points - high)
    return _similarity(outside, persons.areas[person], oks_sigmas).sum(axis=1) / points.shape[1]


def _similarity(differences: np.ndarray, areas: np.ndarray, oks_sigmas: np.ndarray) -> np.ndarray:
    """(P, K) of differences (P, K, 2) px and areas (P,) px². The order of the operations is the official tools'."""
    variances = (np.asarray(oks_sigmas, np.float64) * 2) ** 2
    with np.errstate(over="ignore"):
        squared = differences[..., 0] ** 2 + differences[..., 1] ** 2
        return np.exp(-(squared / variances / (areas + np.spacing(1))[:, None] / 2))
