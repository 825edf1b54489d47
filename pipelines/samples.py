"""What a top-down network looks at: one sample per person box, annotated or detected."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.epoch_samples import Part
from pose.crop import Floats, box_to_center_extent, mpii_center_extent
from pose.skeletons import Skeleton
from sharding.dataset import Column, ShardedDataset

NO_INSTANCE = -1


@dataclass(frozen=True)
class Instances:
    """N samples taken out of a split. Image px; extents are (height, width) of the image region a crop shows."""

    image_rows: NDArray[np.int64]
    instance_ids: NDArray[np.int64]
    box_scores: Floats
    center: Floats
    extent: Floats
    keypoints: Floats


class PersonSamples(Protocol):
    """N persons of one or several splits.

    Attributes:
        datasets: the splits; image rows are numbered through them. parts: how many samples each has, and its weight.
        image_rows: (N,), ascending, the images that they lie in. skeleton: of their keypoints.
    """

    datasets: Sequence[ShardedDataset]
    parts: Sequence[Part]
    image_rows: NDArray[np.int64]
    skeleton: Skeleton

    def __len__(self) -> int: ...

    def take(self, samples: NDArray[np.int64], crop_size: tuple[int, int], padding: float) -> Instances: ...

    def find(self, instance_id: int) -> int | None:
        """The sample of an instance, None if it is not among them."""


class TopDownSamples:
    """The person boxes of a split, sorted by image. `image_rows` (N,) are the images that they lie in."""

    def __init__(
        self,
        dataset: ShardedDataset,
        image_rows: NDArray[np.int64],
        instance_ids: NDArray[np.int64],
        box_scores: Floats,
        columns: dict[str, Column],
        rows: NDArray[np.int64],
    ) -> None:
        self.dataset = dataset
        self.datasets: Sequence[ShardedDataset] = [dataset]
        self.parts: Sequence[Part] = [Part(len(image_rows))]
        self.skeleton = dataset.skeleton
        self.image_rows = image_rows
        self._instance_ids = instance_ids
        self._box_scores = box_scores
        self._columns = columns
        self._rows = rows

    def __len__(self) -> int:
        return len(self.image_rows)

    def take(self, samples: NDArray[np.int64], crop_size: tuple[int, int], padding: float) -> Instances:
        """The given samples; the region of each follows its benchmark's protocol (specs 0.3, "Box to crop")."""
        rows = self._rows[samples]
        if "scale" in self._columns:
            center, extent = mpii_center_extent(self._columns["center"].take(rows), self._columns["scale"].take(rows))
        else:
            center, extent = box_to_center_extent(self._columns["box_xywh"].take(rows), crop_size, padding)
        if "keypoints" in self._columns:
            keypoints = self._columns["keypoints"].take(rows)
        else:
            keypoints = np.zeros((len(samples), self.skeleton.num_keypoints, 3))
        return Instances(
            self.image_rows[samples],
            self._instance_ids[samples],
            self._box_scores[samples],
            center,
            extent,
            keypoints,
        )

    def select(self, some: slice | NDArray[np.int64]) -> "TopDownSamples":
        """Some of them, in their order."""
        return TopDownSamples(
            self.dataset,
            self.image_rows[some],
            self._instance_ids[some],
            self._box_scores[some],
            self._columns,
            self._rows[some],
        )

    def find(self, instance_id: int) -> int | None:
        """The sample of an instance, None if it is not among them."""
        found = np.flatnonzero(self._instance_ids == instance_id)
        return int(found[0]) if len(found) else None


def annotated_samples(dataset: ShardedDataset, labelled_only: bool = True) -> TopDownSamples:
    """Every instance that has labelled keypoints and a box with an area, and is no crowd; its box score is 1.

    Without `labelled_only` keypoints are not asked for: the persons of a test set have none.
    """
    rows = np.flatnonzero(dataset.trainable if labelled_only else dataset.croppable)
    names = ["box_xywh", "keypoints"] + (["center", "scale"] if dataset.manifest.dataset == "mpii" else [])
    return TopDownSamples(
        dataset,
        dataset.instance_images[rows],
        dataset.instance_column("instance_id").all()[rows],
        np.ones(len(rows)),
        {name: dataset.instance_column(name) for name in names},
        rows,
    )


def detected_samples(dataset: ShardedDataset, detections: Sequence[dict[str, Any]]) -> TopDownSamples:
    """Detector boxes in the layout of COCO results: `image_id`, `bbox` (x, y, width, height), `score`.

    Boxes of other categories than the split's (1: person), boxes without an area, and boxes in images that the split
    does not have (conversion may have refused them) are left out.

    Raises:
        ValueError: a row lacks a field, or a box or score is not finite, or a score is below 0.
    """
    try:
        category_id = dataset.manifest.category.id
        detections = [row for row in detections if row.get("category_id", category_id) == category_id]
        kept = [row for row in detections if not min(row["bbox"][2:]) <= 0]
        image_ids = np.array([row["image_id"] for row in kept], dtype=np.int64)
        boxes = np.array([row["bbox"] for row in kept], dtype=np.float64).reshape(len(kept), 4)
        scores = np.array([row["score"] for row in kept], dtype=np.float64)
        if not (np.isfinite(scores) & (scores >= 0)).all():
            raise ValueError(f"a score is not a number from 0 up: {scores[~(scores >= 0) | np.isinf(scores)][0]}")
        if not np.isfinite(boxes).all():
            raise ValueError(f"a box is not finite: {boxes[~np.isfinite(boxes).all(axis=1)][0].tolist()}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"detections must be a list of {{image_id, bbox [x, y, w, h], score}}: {error!r}") from error
    known = np.isin(image_ids, dataset.image_column("image_id").all())
    image_ids, boxes, scores = image_ids[known], boxes[known], scores[known]
    image_rows = dataset.image_rows(image_ids)
    order = np.argsort(image_rows, kind="stable")
    count = len(order)
    columns = {"box_xywh": Column([boxes[order]])}
    no_instance = np.full(count, NO_INSTANCE, dtype=np.int64)
    return TopDownSamples(dataset, image_rows[order], no_instance, scores[order], columns, np.arange(count))
