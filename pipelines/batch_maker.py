"""One global step → the inputs of its graph and everything about the batch but the pixels."""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.augmentation import Augmentation, augment
from pipelines.dali_graph import GraphInput
from pipelines.plan import Plan, Shuffle
from pipelines.reader import PictureReader
from pipelines.samples import Instances, TopDownSamples
from pose.crop import CropConvention, Floats, crop_matrices, invert_affine, transform_points


@dataclass(frozen=True)
class TopDownBatch:
    """B crops and what is known of them. Rows that only fill up an epoch's last batch have `valid` False.

    Attributes:
        crops: (B, 3, H, W) uint8 RGB, channels-last memory, on the loader's device.
        keypoints: (B, K, 2) float32, crop px. visibility: (B, K) uint8, 0 not labelled, 1 hidden, 2 visible.
        image_to_crop: (B, 2, 3) float64.
        instance_ids, image_ids: (B,) int64; instance id −1 for a detected box.
        box_scores: (B,) float64. box_areas: (B,) float64, image px² that the crop shows.
        valid: (B,) bool.
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


@dataclass(frozen=True)
class LoaderSettings:
    """How samples become batches. `batch_size` counts all ranks together; `padding` enlarges boxes (specs 0.3)."""

    crop_size: tuple[int, int]
    batch_size: int
    seed: int = 0
    shuffle: Shuffle = "image"
    convention: CropConvention = "hrnet"
    padding: float = 1.25
    augmentation: Augmentation = field(default_factory=Augmentation)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    threads: int = 2
    prefetch: int = 2
    epochs: int | None = None
    """How many epochs to read ahead into; None: without end."""
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if self.batch_size % self.world_size:
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of the {self.world_size} ranks")
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank must lie in [0, {self.world_size}), got {self.rank}")
        for name in ("threads", "prefetch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


class BatchMaker:
    """Makes the batches of a plan, each by its step alone: nothing is remembered from one to the next."""

    def __init__(self, samples: TopDownSamples, settings: LoaderSettings) -> None:
        self.samples = samples
        self.settings = settings
        self.plan = Plan(samples.image_rows, settings.batch_size, settings.seed, settings.shuffle)
        self._reader = PictureReader(samples.dataset)
        self._image_ids = samples.dataset.image_column("image_id")

    def make(self, step: int) -> tuple[GraphInput, TopDownBatch]:
        """This rank's share of a global batch, all but the pixels (`crops` is empty)."""
        settings = self.settings
        epoch, planned = self.plan.batch(step)
        share = settings.batch_size // settings.world_size
        planned = planned[settings.rank * share : (settings.rank + 1) * share]
        valid = planned >= 0
        # Filling rows repeat a real sample, so that the graph needs no special case; nothing counts them.
        samples = np.where(valid, planned, planned[0] if valid[0] else 0)
        instances = self.samples.take(samples, settings.crop_size, settings.padding)
        # Detected boxes have no instance id; they are never augmented, but need a number all the same.
        ids = np.where(instances.instance_ids < 0, samples, instances.instance_ids)
        image_to_crop, keypoints, visibility, areas = self._augment(instances, epoch, ids)
        rows, picture_of_instance = np.unique(instances.image_rows, return_inverse=True)
        graph_input = GraphInput(self._reader.read(rows), picture_of_instance, invert_affine(image_to_crop))
        batch = TopDownBatch(
            crops=torch.empty(0),
            keypoints=torch.from_numpy(keypoints.astype(np.float32)),
            visibility=torch.from_numpy((visibility * valid[:, None]).astype(np.uint8)),
            image_to_crop=torch.from_numpy(image_to_crop),
            instance_ids=torch.from_numpy(instances.instance_ids),
            image_ids=torch.from_numpy(self._image_ids.take(instances.image_rows)),
            box_scores=torch.from_numpy(instances.box_scores),
            box_areas=torch.from_numpy(areas),
            valid=torch.from_numpy(valid),
        )
        return graph_input, batch

    def _augment(
        self, instances: Instances, epoch: int, ids: NDArray[np.int64]
    ) -> tuple[Floats, Floats, Floats, Floats]:
        """image_to_crop (B, 2, 3), keypoints (B, K, 2) in crop px, visibility (B, K), image px² shown (B,)."""
        settings, skeleton = self.settings, self.samples.dataset.skeleton
        regions = augment(
            settings.augmentation,
            skeleton,
            settings.crop_size,
            instances.center,
            instances.extent,
            instances.keypoints,
            draw=(settings.seed, epoch, ids),
        )
        image_to_crop = crop_matrices(
            regions.center, regions.extent, settings.crop_size, settings.convention, regions.rotation, regions.mirror
        )
        keypoints = transform_points(image_to_crop, instances.keypoints[:, :, :2])
        keypoints, visibility = _swap_sides(
            keypoints, instances.keypoints[:, :, 2], regions.mirror, skeleton.flip_indices
        )
        return image_to_crop, keypoints, visibility, regions.extent.prod(axis=1)


def _swap_sides(
    keypoints: NDArray[np.float64],
    visibility: NDArray[np.float64],
    mirror: NDArray[np.bool_],
    flip_indices: tuple[int, ...],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """In a mirrored picture the left wrist is a right wrist."""
    flip = list(flip_indices)
    keypoints = np.where(mirror[:, None, None], keypoints[:, flip], keypoints)
    return keypoints, np.where(mirror[:, None], visibility[:, flip], visibility)
