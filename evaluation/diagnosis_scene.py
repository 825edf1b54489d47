"""One benchmark's persons and detections as arrays, and the AP they give: what a diagnosis corrects piece by piece."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from evaluation.fast_oks_arrays import (
    AnnotatedPersons,
    DetectedPersons,
    annotated_persons,
    category_id_of,
    detected_persons,
    image_ids_of,
)
from evaluation.fast_oks_pairs import Pairs, official_sigmas, oks_pairs
from evaluation.fast_oks_score import Curves, average_precision, curves
from pose.skeletons import Skeleton


@dataclass(frozen=True, eq=False)
class Scene:
    """G annotated persons, D detections (at most 20 per image) and the skeleton that both follow."""

    persons: AnnotatedPersons
    detections: DetectedPersons
    skeleton: Skeleton

    @cached_property
    def pairs(self) -> Pairs:
        return oks_pairs(self.persons, self.detections, official_sigmas(self.skeleton))

    def curves(self, ignored: np.ndarray | None = None, area: str = "all") -> Curves | None:
        return curves(self.persons, self.detections, self.pairs, ignored, area)

    def ap(self) -> float | None:
        """The benchmark's AP in [0, 1]; None where nobody annotated counts."""
        return average_precision(self.curves())

    def with_keypoints(self, keypoints: np.ndarray) -> "Scene":
        """The same with other keypoints (D, K, 2) px of the detections."""
        return replace(self, detections=replace(self.detections, keypoints=keypoints))


def read_scene(
    ground_truth: dict[str, Any],
    results: Sequence[dict[str, Any]],
    skeleton: Skeleton,
    kind: str,
    sources: tuple[str, str],
) -> Scene:
    """Raises BadFileError naming the source, the row and the key of what is not in the layout."""
    persons = annotated_persons(ground_truth, skeleton, kind, sources[0])
    image_ids, category_id = image_ids_of(ground_truth, sources[0]), category_id_of(ground_truth, sources[0])
    return Scene(persons, detected_persons(results, image_ids, skeleton, sources[1], category_id), skeleton)
