"""AP and AR of OKS matchings, vectorised, and the official metrics computed with them: the diagnosis asks dozens.

`evaluate_coco` and `evaluate_crowdpose` ask the official tools; tests hold both equal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.coco import COCO_METRICS
from evaluation.crowdpose import CROWDPOSE_METRICS
from evaluation.fast_oks_arrays import (
    AnnotatedPersons,
    DetectedPersons,
    annotated_persons,
    category_id_of,
    detected_persons,
    image_ids_of,
)
from evaluation.fast_oks_pairs import Pairs, official_sigmas, oks_pairs
from evaluation.matching import NOBODY, match
from pose.skeletons import COCO_17, CROWDPOSE_14

OKS_THRESHOLDS = np.linspace(0.5, 0.95, 10)
AREA_RANGES = {"all": (0.0, 1e5**2), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e5**2)}
"""px²; both ends belong to the range. The COCO keypoint benchmark has no small one."""
_RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, eq=False)
class Curves:
    """precision (T, 101) at the recalls 0, 0.01, … 1, and the highest recall (T,), at each OKS threshold."""

    precision: np.ndarray
    recall: np.ndarray


def curves(
    persons: AnnotatedPersons,
    detections: DetectedPersons,
    pairs: Pairs,
    ignored: np.ndarray | None = None,
    area: str = "all",
) -> Curves | None:
    """Precision over recall; None where no person counts.

    Args:
        ignored: (G,) bool, persons that shall not count besides those that never do.
        area: persons outside that range do not count, nor do unmatched detections whose tight box is outside it.
    """
    low, high = AREA_RANGES[area]
    outside = (persons.areas < low) | (persons.areas > high)
    ignored = persons.ignored | outside if ignored is None else persons.ignored | outside | ignored
    if ignored.all():
        return None
    taken = match(persons, detections, pairs, OKS_THRESHOLDS, ignored)
    hit = taken != NOBODY
    sizes = detections.areas
    uncounted = np.where(hit, ignored[taken], (sizes < low) | (sizes > high)) if len(ignored) else ~hit
    return precision_and_recall(detections.scores, hit, uncounted, int((~ignored).sum()))


def average_precision(found: Curves | None) -> float | None:
    """The mean over thresholds and recalls in [0, 1]; None where undefined."""
    return None if found is None else float(found.precision.ravel().mean())


def average_recall(found: Curves | None) -> float | None:
    """The mean over thresholds in [0, 1]; None where undefined."""
    return None if found is None else float(found.recall.mean())


def fast_coco(ground_truth: dict[str, Any], results: Sequence[dict[str, Any]]) -> dict[str, float]:
    """What `evaluate_coco` gives, without pycocotools. Raises BadFileError for what is not in the layout."""
    persons = annotated_persons(ground_truth, COCO_17, "coco")
    detections = detected_persons(
        results, image_ids_of(ground_truth), COCO_17, category_id=category_id_of(ground_truth)
    )
    pairs = oks_pairs(persons, detections, official_sigmas(COCO_17))
    by_area = {area: curves(persons, detections, pairs, area=area) for area in ("all", "medium", "large")}
    everybody, some = by_area.pop("all"), by_area.values()
    values = [*_three(everybody, "precision"), *map(average_precision, some)]
    values += [*_three(everybody, "recall"), *map(average_recall, some)]
    return {name: -1.0 if value is None else value for name, value in zip(COCO_METRICS, values, strict=True)}


def fast_crowdpose(ground_truth: dict[str, Any], results: Sequence[dict[str, Any]]) -> dict[str, float]:
    """What `evaluate_crowdpose` gives, without xtcocotools. Raises BadFileError for what is not in the layout."""
    persons = annotated_persons(ground_truth, CROWDPOSE_14, "crowdpose")
    image_ids = image_ids_of(ground_truth)
    detections = detected_persons(results, image_ids, CROWDPOSE_14, category_id=category_id_of(ground_truth))
    pairs = oks_pairs(persons, detections, official_sigmas(CROWDPOSE_14))
    found = curves(persons, detections, pairs)
    values = [*_three(found, "precision"), *_three(found, "recall")]
    for level in crowd_levels(ground_truth, image_ids).values():
        value = average_precision(curves_of_images(persons, detections, level, official_sigmas(CROWDPOSE_14)))
        values.append(None if value is None else round(value, 4))
    return {name: -1.0 if value is None else value for name, value in zip(CROWDPOSE_METRICS, values, strict=True)}


def crowd_levels(ground_truth: dict[str, Any], image_ids: Sequence[Any]) -> dict[str, np.ndarray]:
    """Which images (I,) bool are easy, medium and hard by their crowdIndex; those without one are in none."""
    index = {image["id"]: image.get("crowdIndex") for image in ground_truth["images"]}
    values = np.array([np.nan if index[image_id] is None else index[image_id] for image_id in image_ids], np.float64)
    return {"easy": values < 0.2, "medium": (values >= 0.2) & (values < 0.8), "hard": values >= 0.8}


def curves_of_images(
    persons: AnnotatedPersons, detections: DetectedPersons, images: np.ndarray, oks_sigmas: np.ndarray
) -> Curves | None:
    """`curves` of some images (I,) bool alone."""
    some, theirs = persons.select(images[persons.images]), detections.select(images[detections.images])
    return curves(some, theirs, oks_pairs(some, theirs, oks_sigmas))


def _three(found: Curves | None, what: str) -> list[float | None]:
    """The mean over all thresholds, at 0.5 and at 0.75."""
    if found is None:
        return [None] * 3
    values = getattr(found, what)
    return [float(values.ravel().mean()), float(values[0].mean()), float(values[5].mean())]


def precision_and_recall(scores: np.ndarray, hit: np.ndarray, uncounted: np.ndarray, num_persons: int) -> Curves:
    """Of scores (D,), and which detections (T, D) bool are right and which do not count, at each threshold.

    Of equal scores the earlier detection ranks first. At least one person counts.
    """
    order = np.argsort(-scores, kind="stable")
    right = (hit & ~uncounted)[:, order].cumsum(axis=1).astype(np.float64)
    wrong = (~hit & ~uncounted)[:, order].cumsum(axis=1).astype(np.float64)
    recall = right / num_persons
    precision = right / (wrong + right + np.spacing(1))
    # Precision at a recall is the best at this recall or above; beyond the last recall it is 0.
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    best = np.concatenate([best, np.zeros((len(best), 1))], axis=1)
    sampled = [level[np.searchsorted(reached, _RECALLS)] for level, reached in zip(best, recall, strict=True)]
    highest = recall[:, -1] if len(order) else np.zeros(len(hit))
    return Curves(np.array(sampled), highest)
