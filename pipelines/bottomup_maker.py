"""A share of pictures → the inputs of the graph, and everything about a bottom-up batch but the pixels."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.bottomup_augmentation import augment_pictures
from pipelines.bottomup_batch import BottomUpBatch, BottomUpSettings
from pipelines.bottomup_samples import BottomUpSamples, Persons
from pipelines.crowd_masks import CrowdMasks
from pipelines.dali_graph import CropGraph, GraphInput
from pipelines.epoch_samples import Part
from pipelines.pictures import PictureIndex
from pipelines.share import Share
from pipelines.topdown_batch import swap_sides
from pose.crop import Floats, crop_matrices, invert_affine, transform_points


class BottomUpMaker:
    """Makes bottom-up batches, each by its share alone."""

    def __init__(self, samples: BottomUpSamples, settings: BottomUpSettings) -> None:
        self.samples, self.settings = samples, settings
        self.index = PictureIndex(samples.datasets)
        self.image_rows = samples.image_rows
        self.parts: Sequence[Part] = samples.parts
        self._crowds = CrowdMasks(self.index)

    def build_graph(self, source: Callable[[], GraphInput], prefetch: int) -> CropGraph:
        settings = self.settings
        slots = settings.batch_size // settings.world_size
        return CropGraph(
            source, slots, settings.crop_size, settings.device, settings.threads, prefetch, with_masks=True
        )

    def make(self, share: Share) -> tuple[GraphInput, BottomUpBatch]:
        """The graph's inputs, and the batch without its crops and without what to ignore."""
        rows = share.image_rows[share.picture_of_sample]
        image_ids = self.index.image_ids(rows)
        image_to_crop, mirror = self._augment(rows, image_ids, share.passes)
        masks, mask_of_picture = self._crowds.of_pictures(share.image_rows)
        graph_input = GraphInput(
            share.pictures,
            share.picture_of_sample,
            invert_affine(image_to_crop),
            picture_sizes=share.picture_sizes,
            masks=masks,
            mask_of_instance=mask_of_picture[share.picture_of_sample],
        )
        real = np.flatnonzero(share.valid)
        persons = self.samples.persons(rows[real])
        batch = BottomUpBatch(
            crops=torch.empty(0),
            ignore=torch.empty(0),
            image_to_crop=torch.from_numpy(image_to_crop),
            image_ids=torch.from_numpy(image_ids),
            picture_sizes=torch.from_numpy(self.index.picture_sizes(rows).astype(np.int64)),
            valid=torch.from_numpy(share.valid),
            annotated=torch.from_numpy(self.samples.annotated(rows)),
            **self._shown(persons, real[persons.picture], image_to_crop, mirror),
        )
        return graph_input, batch

    def _augment(
        self, rows: NDArray[np.int64], image_ids: NDArray[np.int64], passes: NDArray[np.int64]
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """image_to_crop (B, 2, 3), and which pictures (B,) are mirrored."""
        settings = self.settings
        draw = (settings.seed, passes, image_ids)
        regions = augment_pictures(settings.augmentation, self.index.picture_sizes(rows), settings.fit, draw)
        image_to_crop = crop_matrices(
            regions.center, regions.extent, settings.crop_size, settings.convention, regions.rotation, regions.mirror
        )
        return image_to_crop, regions.mirror

    def _shown(
        self, persons: Persons, person_image: NDArray[np.int64], image_to_crop: Floats, mirror: NDArray[np.bool_]
    ) -> dict[str, Tensor]:
        """The fields of a batch that describe its persons."""
        matrices = image_to_crop[person_image]
        keypoints, visibility = swap_sides(
            transform_points(matrices, persons.keypoints[:, :, :2]),
            persons.keypoints[:, :, 2],
            mirror[person_image],
            self.samples.skeleton.flip_indices,
        )
        fields = {
            "person_image": person_image,
            "instance_ids": persons.instance_ids,
            "keypoints": keypoints.astype(np.float32),
            "visibility": visibility.astype(np.uint8),
            "box_corners": transform_points(matrices, _corners(persons.box_xywh)).astype(np.float32),
            "areas": persons.areas * np.abs(np.linalg.det(matrices[:, :, :2])),
        }
        return {name: torch.from_numpy(values) for name, values in fields.items()}


def _corners(box_xywh: Floats) -> Floats:
    """(M, 4, 2), around each box."""
    around = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    return box_xywh[:, None, :2] + around * box_xywh[:, None, 2:]
