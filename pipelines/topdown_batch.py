"""Top-down batches: the persons of a share → the inputs of the graph and everything about the batch but the pixels."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.augmentation import Augmentation, augment, channel_gains
from pipelines.dali_graph import CropGraph, GraphInput
from pipelines.pictures import PictureIndex
from pipelines.samples import Instances, PersonSamples
from pipelines.settings import LoaderSettings
from pipelines.share import Share
from pose.crop import CropConvention, Floats, crop_matrices, invert_affine, transform_points


@dataclass(frozen=True)
class TopDownSettings(LoaderSettings):
    """How persons become crops. `padding` enlarges boxes (specs 0.3)."""

    convention: CropConvention = "hrnet"
    padding: float = 1.25
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True)
class TopDownBatch:
    """B crops and what is known of them. Rows that only fill up a batch have `valid` False.

    Attributes:
        crops: (B, 3, H, W) uint8 RGB, channels-last memory, on the loader's device.
        keypoints: (B, K, 2) float32, crop px. visibility: (B, K) uint8, 0 not labelled, 1 hidden, 2 visible.
        image_to_crop: (B, 2, 3) float64.
        instance_ids, image_ids: (B,) int64; instance id −1 for a detected box.
        box_scores: (B,) float64. box_areas: (B,) float64, image px² that the crop shows.
        valid: (B,) bool.
        channel_gains: (B, 3) float32, what the crops' red, green and blue are still to be multiplied by; None if they
            are as they should be.
    """

    crops: Tensor
    keypoints: Tensor
    visibility: Tensor
    image_to_crop: Tensor
    instance_ids: Tensor
    image_ids: Tensor
    box_scores: Tensor
    box_areas: Tensor
    valid: Tensor
    channel_gains: Tensor | None = None

    def without(self, rows: NDArray[np.bool_]) -> Self:
        """The batch with more rows (B,) that count for nothing."""
        kept = torch.from_numpy(~rows)
        return replace(self, valid=self.valid & kept, visibility=self.visibility * kept[:, None])

    def complete(self, outputs: Tensor) -> Self:
        """The batch with its crops."""
        return replace(self, crops=outputs)


class TopDownMaker:
    """Makes top-down batches, each by its share alone."""

    def __init__(self, samples: PersonSamples, settings: TopDownSettings) -> None:
        self.samples, self.settings = samples, settings
        self.index = PictureIndex(samples.datasets)
        self.image_rows, self.parts = samples.image_rows, samples.parts

    def build_graph(self, source: Callable[[], GraphInput], prefetch: int) -> CropGraph:
        settings = self.settings
        slots = settings.batch_size // settings.world_size
        return CropGraph(source, slots, settings.crop_size, settings.device, settings.threads, prefetch)

    def make(self, share: Share) -> tuple[GraphInput, TopDownBatch]:
        """The graph's inputs, and the batch without its crops."""
        instances = self.samples.take(share.samples, self.settings.crop_size, self.settings.padding)
        # Detected boxes have no instance id; they are never augmented, but need a number all the same.
        ids = np.where(instances.instance_ids < 0, share.samples, instances.instance_ids)
        image_to_crop, keypoints, visibility, areas = self._augment(instances, share.passes, ids)
        gains = channel_gains(self.settings.augmentation, (self.settings.seed, share.passes, ids))
        graph_input = GraphInput(
            share.pictures, share.picture_of_sample, invert_affine(image_to_crop), picture_sizes=share.picture_sizes
        )
        batch = TopDownBatch(
            crops=torch.empty(0),
            keypoints=torch.from_numpy(keypoints.astype(np.float32)),
            visibility=torch.from_numpy((visibility * share.valid[:, None]).astype(np.uint8)),
            image_to_crop=torch.from_numpy(image_to_crop),
            instance_ids=torch.from_numpy(instances.instance_ids),
            image_ids=torch.from_numpy(self.index.image_ids(instances.image_rows)),
            box_scores=torch.from_numpy(instances.box_scores),
            box_areas=torch.from_numpy(areas),
            valid=torch.from_numpy(share.valid),
            channel_gains=None if gains is None else torch.from_numpy(gains),
        )
        return graph_input, batch

    def _augment(
        self, instances: Instances, passes: NDArray[np.int64], ids: NDArray[np.int64]
    ) -> tuple[Floats, Floats, Floats, Floats]:
        """image_to_crop (B, 2, 3), keypoints (B, K, 2) in crop px, visibility (B, K), image px² shown (B,)."""
        settings, skeleton = self.settings, self.samples.skeleton
        regions = augment(
            settings.augmentation,
            skeleton,
            settings.crop_size,
            instances.center,
            instances.extent,
            instances.keypoints,
            draw=(settings.seed, passes, ids),
        )
        image_to_crop = crop_matrices(
            regions.center, regions.extent, settings.crop_size, settings.convention, regions.rotation, regions.mirror
        )
        keypoints = transform_points(image_to_crop, instances.keypoints[:, :, :2])
        keypoints, visibility = swap_sides(
            keypoints, instances.keypoints[:, :, 2], regions.mirror, skeleton.flip_indices
        )
        return image_to_crop, keypoints, visibility, regions.extent.prod(axis=1)


def swap_sides(
    keypoints: NDArray[np.float64],
    visibility: NDArray[np.float64],
    mirror: NDArray[np.bool_],
    flip_indices: tuple[int, ...],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """In a mirrored picture the left wrist is a right wrist."""
    flip = list(flip_indices)
    keypoints = np.where(mirror[:, None, None], keypoints[:, flip], keypoints)
    return keypoints, np.where(mirror[:, None], visibility[:, flip], visibility)
