"""What a bottom-up network looks at: one sample per picture of one or several splits, with all persons in it."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.epoch_samples import Part
from pipelines.picture_persons import Persons, SplitPersons
from pipelines.plan import EmptyPlanError
from pose.skeleton_mapping import MISSING
from pose.skeletons import Skeleton
from sharding.dataset import ShardedDataset

PictureChoice = Literal["labelled", "annotated", "all"]


class BottomUpSamples:
    """The pictures of several splits, one split after the other.

    Args:
        weights: how many times an epoch goes through each split. Default: once.
        skeleton: what keypoints are mapped onto; by default that of the first split.
        pictures: "labelled" takes every picture that shows somebody with labelled keypoints, "annotated" every picture
            with any annotation, be it of a crowd, as the public code does, "all" those without anybody too.
    Attributes:
        parts: how many pictures each split has, and its weight. image_rows: (N,), ascending; rows are numbered through
            the splits.
    Raises:
        EmptyPlanError: a split has no such picture.
        ValueError: a split has none of the skeleton's keypoints.
    """

    def __init__(
        self,
        datasets: Sequence[ShardedDataset],
        weights: Sequence[float] | None = None,
        skeleton: Skeleton | None = None,
        pictures: PictureChoice = "labelled",
    ) -> None:
        self.datasets, self.skeleton = list(datasets), skeleton or datasets[0].skeleton
        self._splits = [SplitPersons(dataset, self.skeleton) for dataset in datasets]
        chosen = [_chosen(split, pictures) for split in self._splits]
        self.parts = [
            Part(len(rows), weight) for rows, weight in zip(chosen, weights or [1.0] * len(chosen), strict=True)
        ]
        self._first_rows = np.cumsum([0] + [dataset.num_images for dataset in self.datasets])
        self.image_rows = np.concatenate(
            [rows + first for rows, first in zip(chosen, self._first_rows[:-1], strict=True)]
        )

    def __len__(self) -> int:
        return len(self.image_rows)

    def persons(self, image_rows: NDArray[np.int64]) -> Persons:
        """Everybody in the given pictures who is no crowd and has a box with an area or labelled keypoints."""
        split_of, found = self._split_of(image_rows), []
        for number, split in enumerate(self._splits):
            here = np.flatnonzero(split_of == number)
            own = split.of_pictures(image_rows[here] - self._first_rows[number])
            found.append(replace(own, picture=here[own.picture]))
        order = np.argsort(np.concatenate([own.picture for own in found]), kind="stable")
        return Persons(
            **{
                field.name: np.concatenate([getattr(own, field.name) for own in found])[order]
                for field in fields(Persons)
            }
        )

    def find(self, instance_id: int) -> int | None:
        """The sample of the picture that shows a person; None if none of the chosen pictures does."""
        for split, first in zip(self._splits, self._first_rows, strict=False):
            row = split.image_row_of(instance_id)
            if row is not None:
                sample = int(np.searchsorted(self.image_rows, row + first))
                return sample if sample < len(self) and self.image_rows[sample] == row + first else None
        return None

    def annotated(self, image_rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(B, K) whether the split of each picture annotates each keypoint at all."""
        known = np.array([[source != MISSING for source in split.sources] for split in self._splits])
        return known[self._split_of(image_rows)]

    def _split_of(self, image_rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self._first_rows, image_rows, side="right") - 1


def _chosen(split: SplitPersons, pictures: PictureChoice) -> NDArray[np.int64]:
    if pictures == "labelled":
        rows = split.labelled_images
    elif pictures == "annotated":
        rows = np.flatnonzero(split.dataset.instance_counts)
    elif pictures == "all":
        rows = np.arange(split.dataset.num_images)
    else:
        raise ValueError(f"pictures must be 'labelled', 'annotated' or 'all', got {pictures!r}")
    if not len(rows):
        raise EmptyPlanError(f"{split.dataset.folder.uri} has no picture to train on (pictures={pictures!r})")
    return rows
