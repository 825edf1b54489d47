"""Small ground truths in COCO layout and predictions made from them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from evaluation.predictions import Predictions


def _person(number: int, image_id: int, keypoints: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    visibility = rng.choice([0, 1, 2], size=len(keypoints), p=[0.3, 0.2, 0.5])
    visibility[:2] = 2
    low, high = keypoints.min(axis=0), keypoints.max(axis=0)
    width, height = (high - low).tolist()
    labelled = np.where(visibility[:, None] > 0, keypoints, 0)
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [*low.tolist(), width, height],
        "area": 0.6 * width * height,
        "num_keypoints": int((visibility > 0).sum()),
        "keypoints": np.column_stack([labelled, visibility]).reshape(-1).tolist(),
    }


@pytest.fixture
def make_truth() -> Callable[..., dict[str, Any]]:
    """make_truth(num_keypoints, crowd_indices=…, persons=…, first_id=…): one image per crowdIndex."""

    def make(
        num_keypoints: int, crowd_indices: tuple[float, ...] = (0.0, 0.5, 0.9), persons: int = 3, first_id: int = 1
    ) -> dict[str, Any]:
        rng = np.random.default_rng(7)
        images, annotations = [], []
        for image_id, crowd_index in enumerate(crowd_indices, start=10):
            images.append({"id": image_id, "file_name": f"{image_id}.jpg", "crowdIndex": crowd_index})
            for person in range(persons):
                # Persons of 60 px (medium) and 150 px (large), far enough apart not to be confused.
                size = 60 if person % 2 else 150
                keypoints = rng.uniform([300 * person, 40], [300 * person + size, 40 + size], (num_keypoints, 2))
                annotations.append(_person(first_id + len(annotations), image_id, keypoints, rng))
        return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}

    return make


@pytest.fixture
def predict() -> Callable[..., Predictions]:
    """predict(truth, noise=…): the annotated keypoints plus Gaussian noise in px, with distinct random scores."""

    def make(truth: dict[str, Any], noise: float = 0.0) -> Predictions:
        rng = np.random.default_rng(3)
        persons = truth["annotations"]
        keypoints = np.array([p["keypoints"] for p in persons], float).reshape(len(persons), -1, 3)[..., :2]
        return Predictions(
            image_ids=np.array([p["image_id"] for p in persons]),
            instance_ids=np.array([p["id"] for p in persons]),
            keypoints=keypoints + rng.normal(0, noise, keypoints.shape) if noise else keypoints,
            keypoint_scores=rng.uniform(0.3, 1, keypoints.shape[:2]),
            box_scores=rng.uniform(0.5, 1, len(persons)),
            box_areas=np.array([1.5 * p["bbox"][2] * p["bbox"][3] for p in persons]),
        )

    return make


@pytest.fixture
def mpii_truth() -> dict[str, Any]:
    """Four persons in two images: two with a head box, one with neck and head top only, one with neither."""
    rng = np.random.default_rng(11)
    annotations = []
    for number, head_size in enumerate((40.0, 55.0, None, None)):
        keypoints = np.column_stack([rng.uniform(0, 200, (16, 2)), np.full(16, 2)])
        if number == 3:
            keypoints[8, 2] = 0
        person = {"id": 500 + number, "image_id": 1 + number // 2, "category_id": 1, "head_size": head_size}
        annotations.append(person | {"keypoints": keypoints.reshape(-1).tolist()})
    images = [{"id": 1, "file_name": "one.jpg"}, {"id": 2, "file_name": "two.jpg"}]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}


@pytest.fixture
def mpii_predictions(mpii_truth: dict[str, Any]) -> Predictions:
    """The annotated keypoints of `mpii_truth`, in reverse order."""
    persons = mpii_truth["annotations"][::-1]
    keypoints = np.array([p["keypoints"] for p in persons]).reshape(-1, 16, 3)[..., :2]
    return Predictions(
        image_ids=np.array([p["image_id"] for p in persons]),
        instance_ids=np.array([p["id"] for p in persons]),
        keypoints=keypoints,
        keypoint_scores=np.linspace(0.1, 0.9, keypoints[..., 0].size).reshape(-1, 16),
        box_scores=np.ones(len(persons)),
        box_areas=np.full(len(persons), 1e4),
    )
