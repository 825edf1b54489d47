"""The persons of a split by the picture that they are in, for networks that look at whole pictures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.mixed_samples import mapped_keypoints
from pose.crop import Floats
from pose.skeleton_mapping import keypoint_sources
from pose.skeletons import Skeleton
from sharding.dataset import ShardedDataset

# CrowdPose's evaluator (specs 0.5): about the share of its box that a person covers. It stands in for the area that
# OKS divides by, and keeps areas comparable with COCO's, which are those of masks.
_AREA_PER_BOX_AREA = 0.53


@dataclass(frozen=True)
class Persons:
    """M persons of some pictures, picture by picture. Image px.

    Attributes:
        picture: (M,) place of the picture among those that were asked for, ascending.
        instance_ids: (M,). keypoints: (M, K, 3) with visibility. box_xywh: (M, 4), all with an area.
        areas: (M,) px², what the annotation says; 0.53 of the box's where it says nothing.
    """

    picture: NDArray[np.int64]
    instance_ids: NDArray[np.int64]
    keypoints: Floats
    box_xywh: Floats
    areas: Floats


class SplitPersons:
    """The persons of one split, by picture."""

    def __init__(self, dataset: ShardedDataset, skeleton: Skeleton) -> None:
        names = ("instance_id", "keypoints", "box_xywh", "area")
        self.dataset, self.sources = dataset, keypoint_sources(dataset.skeleton, skeleton)
        self._columns = {name: dataset.instance_column(name) for name in names}
        # One shard at a time: the labels of a large split need not be in memory together.
        labelled = np.concatenate([(part[:, :, 2] > 0).any(axis=1) for part in self._columns["keypoints"].parts])
        labelled &= dataset.instance_column("iscrowd").all() == 0
        self._rows = np.flatnonzero(labelled | dataset.croppable)
        self._image_rows = dataset.instance_images[self._rows]
        self.labelled_images = np.unique(dataset.instance_images[labelled])

    def image_row_of(self, instance_id: int) -> int | None:
        """The picture that shows somebody of that id, None if nobody does."""
        found = np.flatnonzero(self._columns["instance_id"].take(self._rows) == instance_id)
        return int(self._image_rows[found[0]]) if len(found) else None

    def of_pictures(self, image_rows: NDArray[np.int64]) -> Persons:
        start, end = (np.searchsorted(self._image_rows, image_rows, side=side) for side in ("left", "right"))
        counts = end - start
        rows = self._rows[np.arange(counts.sum()) + np.repeat(start - (np.cumsum(counts) - counts), counts)]
        ids, keypoints, box_xywh, areas = (column.take(rows) for column in self._columns.values())
        box_xywh = _with_area(box_xywh, keypoints)
        areas = np.where(areas > 0, areas, _AREA_PER_BOX_AREA * box_xywh[:, 2] * box_xywh[:, 3])
        picture = np.repeat(np.arange(len(image_rows)), counts)
        return Persons(picture, ids, mapped_keypoints(keypoints, self.sources), box_xywh, areas)


def _with_area(box_xywh: Floats, keypoints: Floats) -> Floats:
    """The boxes (M, 4), and where one has no area that of the labelled keypoints, of at least one pixel."""
    flat = ~(box_xywh[:, 2:] > 0).all(axis=1)
    if not flat.any():
        return box_xywh
    points, labelled = keypoints[flat, :, :2], keypoints[flat, :, 2:] > 0
    low = np.where(labelled, points, np.inf).min(axis=1)
    high = np.where(labelled, points, -np.inf).max(axis=1)
    box_xywh = box_xywh.copy()
    box_xywh[flat] = np.concatenate([low, np.maximum(high - low, 1)], axis=1)
    return box_xywh
