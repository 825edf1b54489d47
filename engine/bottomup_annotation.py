"""What is annotated in a batch of pictures, on the network's device, and where the annotation says nothing."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.bottomup import BottomUpBatch


@dataclass(frozen=True)
class Annotation:
    """A batch's annotation on the network's device; see BottomUpBatch.

    Attributes:
        labelled: (M, K) bool. image_areas: (M,), image px². crop_to_image: (B, 2, 3).
    """

    keypoints: Tensor
    labelled: Tensor
    person_image: Tensor
    box_corners: Tensor
    image_areas: Tensor
    valid: Tensor
    annotated: Tensor
    ignore: Tensor
    crop_to_image: Tensor
    picture_sizes: Tensor

    @classmethod
    def of(cls, batch: BottomUpBatch, device: torch.device) -> "Annotation":
        linear, moved = batch.image_to_crop[:, :, :2], batch.image_to_crop[:, :, 2:]
        back = torch.linalg.inv(linear)
        image_px = torch.linalg.det(linear).abs()[batch.person_image]
        on_host = (
            batch.keypoints,
            batch.visibility > 0,
            batch.person_image,
            batch.box_corners,
            batch.areas / image_px,
            batch.valid,
            batch.annotated,
            batch.ignore,
            torch.cat([back, -back @ moved], dim=2).float(),
            batch.picture_sizes,
        )
        return cls(*(tensor.to(device, non_blocking=True) for tensor in on_host))

    def silent(self, stride: float, size: tuple[int, int], outside: bool) -> Tensor:
        """(B, h, w) bool, for maps of that stride: under crowds and persons without labels, and `outside` of the
        picture if that is wanted."""
        rows, columns = (
            (torch.arange(length, device=self.ignore.device) * stride).long().clamp(max=side - 1)
            for length, side in zip(size, self.ignore.shape[1:], strict=True)
        )
        silent = self.ignore[:, rows[:, None], columns] > 0
        return silent | ~_inside_pictures(self.crop_to_image, self.picture_sizes, stride, size) if outside else silent


def _inside_pictures(crop_to_image: Tensor, picture_sizes: Tensor, stride: float, size: tuple[int, int]) -> Tensor:
    """(B, h, w) bool: whether the px of maps lie on the pictures that crops show, not on the black beside them."""
    device = crop_to_image.device
    y, x = (torch.arange(length, device=device).float() * stride for length in size)
    places = torch.stack([x.expand(size), y[:, None].expand(size)], dim=-1)
    points = torch.einsum("bij,hwj->bhwi", crop_to_image[:, :, :2], places) + crop_to_image[:, None, None, :, 2]
    limits = picture_sizes.flip(1)[:, None, None] - 0.5
    return ((points >= -0.5) & (points <= limits)).all(dim=-1)
