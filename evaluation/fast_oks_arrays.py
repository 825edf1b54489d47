"""Annotated and detected persons of COCO-layout dicts as arrays, checked, in the order of the official evaluators."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from evaluation.coco_layout import PERSON, category_of
from evaluation.fast_oks_columns import BadFileError, ids_of, numbers_of
from pose.skeletons import Skeleton

MAX_DETECTIONS = 20
CROWDPOSE_AREA = 0.53


@dataclass(frozen=True, eq=False)
class AnnotatedPersons:
    """G annotated persons, image by image in the order of the sorted image ids, within an image as in the file.

    - rows (G,) in ground_truth["annotations"]; images (G,) indices into image_ids
    - keypoints (G, K, 2) px of the whole image; visibility (G, K); boxes_xywh (G, 4) px
    - areas (G,) px² as the benchmark defines them
    - ignored (G,) and crowd (G,) bool, as the official evaluators set them
    """

    rows: np.ndarray
    images: np.ndarray
    keypoints: np.ndarray
    visibility: np.ndarray
    boxes_xywh: np.ndarray
    areas: np.ndarray
    ignored: np.ndarray
    crowd: np.ndarray

    @cached_property
    def labelled(self) -> np.ndarray:
        """(G, K) bool."""
        return self.visibility > 0

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, index: np.ndarray) -> "AnnotatedPersons":
        """The persons that a mask (G,) or ascending positions name."""
        return AnnotatedPersons(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


@dataclass(frozen=True, eq=False)
class DetectedPersons:
    """D detections, image by image, best score first, equal scores as in the file, at most 20 per image.

    rows (D,) in the results; images (D,) indices into image_ids; keypoints (D, K, 2) px of the whole image; scores (D,)
    """

    rows: np.ndarray
    images: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def areas(self) -> np.ndarray:
        """(D,) px² of the tight box around all keypoints, as the official tools have it."""
        x, y = self.keypoints[..., 0], self.keypoints[..., 1]
        return (x.max(axis=1) - x.min(axis=1)) * (y.max(axis=1) - y.min(axis=1))

    def select(self, index: np.ndarray) -> "DetectedPersons":
        """The detections that a mask (D,) or ascending positions name."""
        return DetectedPersons(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def ranked(self) -> "DetectedPersons":
        """In the order that the class promises, without those beyond 20 per image."""
        order = np.lexsort((-self.scores, self.images))  # stable
        rank = _rank_within(self.images[order])
        return self.select(order[rank < MAX_DETECTIONS])


def image_ids_of(ground_truth: dict[str, Any], source: str = "ground truth") -> list[Any]:
    """The sorted ids of all images. Raises BadFileError as `ids_of` does."""
    return sorted(set(ids_of(_list(ground_truth, "images", source), "id", "images", source)))


def category_id_of(ground_truth: dict[str, Any], source: str = "ground truth") -> int:
    """The number of the category that is scored, as `category_of` has it; 1 where no category is listed.

    Raises BadFileError if it cannot be told.
    """
    if not ground_truth.get("categories"):
        return PERSON
    try:
        return int(category_of(ground_truth)["id"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadFileError(f"{source}: 'categories' do not tell which one is scored: {error}") from error


def annotated_persons(
    ground_truth: dict[str, Any], skeleton: Skeleton, kind: str, source: str = "ground truth"
) -> AnnotatedPersons:
    """The persons of a ground truth; `kind` "crowdpose" takes 0.53 x box width x box height for the area.

    Annotations of other categories, or of images that are not listed, are left out, as the official tools do.
    Raises BadFileError naming `source`, the entry and the key.
    """
    annotations = _list(ground_truth, "annotations", source)
    known = {image_id: number for number, image_id in enumerate(image_ids_of(ground_truth, source))}
    categories = ids_of(annotations, "category_id", "annotations", source)
    owners = ids_of(annotations, "image_id", "annotations", source)
    scored = category_id_of(ground_truth, source)
    rows = [row for row, owner in enumerate(owners) if categories[row] == scored and owner in known]
    rows.sort(key=lambda row: known[owners[row]])

    def numbers(key: str, length: int, default: float | None = None) -> np.ndarray:
        return numbers_of(annotations, rows, key, length, "annotations", source, default)

    keypoints = numbers("keypoints", 3 * skeleton.num_keypoints).reshape(len(rows), skeleton.num_keypoints, 3)
    boxes, crowd = numbers("bbox", 4), numbers("iscrowd", 1, default=0)[:, 0] != 0
    areas = boxes[:, 3] * boxes[:, 2] * CROWDPOSE_AREA if kind == "crowdpose" else numbers("area", 1)[:, 0]
    if (areas < 0).any():
        raise BadFileError(f"{source}: annotations[{rows[int(np.argmax(areas < 0))]}] has a negative area")
    return AnnotatedPersons(
        rows=np.array(rows, np.int64),
        images=np.array([known[owners[row]] for row in rows], np.int64),
        keypoints=keypoints[..., :2],
        visibility=keypoints[..., 2],
        boxes_xywh=boxes,
        areas=areas,
        ignored=crowd | (numbers("num_keypoints", 1)[:, 0] == 0),
        crowd=crowd,
    )


def detected_persons(
    results: Sequence[dict[str, Any]],
    image_ids: Sequence[Any],
    skeleton: Skeleton,
    source: str = "results",
    category_id: int = PERSON,
) -> DetectedPersons:
    """The detections of that category in a results list.

    Raises BadFileError naming `source`, the row and the key; or where there are results, and none of that category.
    """
    known = {image_id: number for number, image_id in enumerate(image_ids)}
    owners = ids_of(results, "image_id", "", source)
    categories = ids_of(results, "category_id", "", source)
    for row, owner in enumerate(owners):
        if owner not in known:
            unknown = len(set(owners) - set(known))
            raise BadFileError(
                f"{source}: row {row} names image_id {owner!r}, which the ground truth does not hold, as do {unknown} "
                "ids in all; are these the annotations of the same split, and are both ids numbers?"
            )
    rows = [row for row, category in enumerate(categories) if category == category_id]
    if results and not rows:
        raise BadFileError(
            f"{source}: results are of category {categories[0]!r}, category {category_id} is scored: none would count"
        )
    keypoints = numbers_of(results, rows, "keypoints", 3 * skeleton.num_keypoints, "", source)
    keypoints = keypoints.reshape(len(rows), skeleton.num_keypoints, 3)
    return DetectedPersons(
        rows=np.array(rows, np.int64),
        images=np.array([known[owners[row]] for row in rows], np.int64),
        keypoints=keypoints[..., :2],
        scores=numbers_of(results, rows, "score", 1, "", source)[:, 0],
    ).ranked()


def _list(content: dict[str, Any], key: str, source: str) -> list[dict[str, Any]]:
    if not isinstance(content, dict) or not isinstance(content.get(key), list):
        raise BadFileError(f"{source}: expected a COCO-layout object with a list '{key}'")
    return content[key]


def _rank_within(images: np.ndarray) -> np.ndarray:
    """(D,) 0, 1, 2, … anew for each run of equal values."""
    starts = np.flatnonzero(np.r_[True, images[1:] != images[:-1]]) if len(images) else np.zeros(0, np.int64)
    lengths = np.diff(np.r_[starts, len(images)])
    return np.arange(len(images)) - np.repeat(starts, lengths)
