"""What a bottom-up batch holds, and how pictures become crops."""

from dataclasses import dataclass, field, replace
from typing import Self, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.bottomup_augmentation import BottomUpAugmentation, Fit
from pipelines.settings import LoaderSettings
from pose.crop import CropConvention


@dataclass(frozen=True)
class BottomUpSettings(LoaderSettings):
    """How pictures become square crops; `batch_size` counts pictures.

    Attributes:
        fit: the side of a picture that a crop's side shows at scale 1. "short" cuts the long side off, as the public
            code does in training; "long" shows all of it, with black beside it.
    """

    convention: CropConvention = "hrnet"
    fit: Fit = "short"
    augmentation: BottomUpAugmentation = field(default_factory=BottomUpAugmentation)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.crop_size[0] != self.crop_size[1]:
            raise ValueError(f"bottom-up crops are square, got crop_size {self.crop_size}")
        if self.fit not in get_args(Fit):
            raise ValueError(f"fit must be one of {get_args(Fit)}, got {self.fit!r}")


@dataclass(frozen=True)
class BottomUpBatch:
    """B pictures and the M persons in them. Rows that only fill up a batch have `valid` False and nobody in them.

    Persons are everybody who is no crowd, in the order of the rows. Those without labelled keypoints have no visible
    one, and lie under `ignore` where the split has masks. Keypoints and boxes may lie outside of the crop.

    Attributes:
        crops: (B, 3, S, S) uint8 RGB, channels-last memory. ignore: (B, S, S) uint8, 1 on crowds and on persons without
            labelled keypoints, 0 outside of the picture. Both on the loader's device.
        image_to_crop: (B, 2, 3) float64. image_ids: (B,) int64. valid: (B,) bool.
        picture_sizes: (B, 2) int64, (height, width) of the whole pictures, image px.
        annotated: (B, K) bool, whether the picture's split annotates the keypoint. Where splits of several skeletons
            are mixed, an empty place in the picture says nothing about a keypoint that nobody looked for.
        person_image: (M,) int64, ascending, the row of each person. instance_ids: (M,) int64.
        keypoints: (M, K, 2) float32, crop px. visibility: (M, K) uint8, 0 not labelled, 1 hidden, 2 visible.
        box_corners: (M, 4, 2) float32, crop px, around the box; their mean is its centre, and the first is opposite to
            the third.
        areas: (M,) float64, crop px², the annotation's or 0.53 of the box's. In image px² it is
            areas / |det(image_to_crop)|.
    """

    crops: Tensor
    ignore: Tensor
    image_to_crop: Tensor
    image_ids: Tensor
    picture_sizes: Tensor
    valid: Tensor
    annotated: Tensor
    person_image: Tensor
    instance_ids: Tensor
    keypoints: Tensor
    visibility: Tensor
    box_corners: Tensor
    areas: Tensor

    def without(self, rows: NDArray[np.bool_]) -> Self:
        """The batch with more rows (B,) that count for nothing."""
        kept = torch.from_numpy(~rows)
        present = kept[self.person_image]
        return replace(
            self, valid=self.valid & kept, **{name: getattr(self, name)[present] for name in _FIELDS_OF_PERSONS}
        )

    def complete(self, outputs: tuple[Tensor, Tensor]) -> Self:
        """The batch with its crops (B, 3, S, S), and with masks (B, S, S) of what to ignore."""
        crops, ignore = outputs
        if not self.valid.all():
            ignore = ignore * self.valid.to(ignore.device)[:, None, None]
        return replace(self, crops=crops, ignore=ignore)


_FIELDS_OF_PERSONS = ("person_image", "instance_ids", "keypoints", "visibility", "box_corners", "areas")
