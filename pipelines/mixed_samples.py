"""Persons of several splits as one: image rows numbered through, keypoints in the places of a common skeleton."""

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from pipelines.epoch_samples import Part
from pipelines.samples import Instances, TopDownSamples
from pose.skeleton_mapping import MISSING, keypoint_sources
from pose.skeletons import Skeleton
from sharding.dataset import ShardedDataset


class MixedSamples:
    """The samples of several splits, one split after the other.

    Args:
        splits: the persons of each.
        weights: how many times an epoch goes through each split.
        skeleton: what keypoints are mapped onto. Those that a split does not annotate are not labelled.
    """

    def __init__(self, splits: Sequence[TopDownSamples], weights: Sequence[float], skeleton: Skeleton) -> None:
        self.splits, self.skeleton = list(splits), skeleton
        self.datasets: Sequence[ShardedDataset] = [split.dataset for split in splits]
        self.parts: Sequence[Part] = [Part(len(split), weight) for split, weight in zip(splits, weights, strict=True)]
        self._first_samples = np.cumsum([0] + [len(split) for split in splits])
        self._first_rows = np.cumsum([0] + [dataset.num_images for dataset in self.datasets])
        self._sources = [keypoint_sources(split.skeleton, skeleton) for split in splits]
        self.image_rows = np.concatenate(
            [split.image_rows + first for split, first in zip(splits, self._first_rows[:-1], strict=True)]
        )

    def __len__(self) -> int:
        return len(self.image_rows)

    def take(self, samples: NDArray[np.int64], crop_size: tuple[int, int], padding: float) -> Instances:
        """The given samples, each with the region that its own benchmark's protocol gives it."""
        split_of = np.searchsorted(self._first_samples, samples, side="right") - 1
        places, taken = [], []
        for number in np.unique(split_of).tolist():
            here = np.flatnonzero(split_of == number)
            own = self.splits[number].take(samples[here] - self._first_samples[number], crop_size, padding)
            keypoints = mapped_keypoints(own.keypoints, self._sources[number])
            taken.append(replace(own, image_rows=own.image_rows + self._first_rows[number], keypoints=keypoints))
            places.append(here)
        back = np.argsort(np.concatenate(places), kind="stable")
        return Instances(
            **{
                field.name: np.concatenate([getattr(part, field.name) for part in taken])[back]
                for field in fields(Instances)
            }
        )

    def find(self, instance_id: int) -> int | None:
        """The sample of an instance, the first split's if several have one of this id."""
        for split, first in zip(self.splits, self._first_samples[:-1].tolist(), strict=True):
            found = split.find(instance_id)
            if found is not None:
                return found + int(first)
        return None


def mapped_keypoints(keypoints: NDArray[np.float64], sources: tuple[int, ...]) -> NDArray[np.float64]:
    """Keypoints (N, K, 3) in the places of another skeleton; (0, 0), not labelled, where there is no source."""
    mapped = keypoints[:, [max(source, 0) for source in sources]]
    return np.where((np.array(sources) == MISSING)[None, :, None], 0.0, mapped)
