"""What the maps of a bottom-up network are to become for one batch, and how far they are from it (specs 3.2, 3.3)."""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from engine.bottomup_config import TargetConfig
from engine.config import HeatmapConfig
from models import OutputMap
from models.offset_loss import offset_loss
from models.tag_loss import tag_loss
from models.tradeoff_loss import common_region, tradeoff_mse
from pipelines.bottomup import BottomUpBatch
from pose.center_offsets import encode_centers, encode_offsets, person_centers
from pose.person_heatmaps import encode_persons


def bottomup_loss(
    maps: tuple[Tensor, ...],
    outputs: tuple[OutputMap, ...],
    batch: BottomUpBatch,
    config: TargetConfig,
    heatmap: HeatmapConfig,
) -> Tensor:
    """The weighted sum over the network's outputs; the host never waits for a GPU.

    The loss on heatmaps of the centres' stride is the mean over all maps there, centres being one more keypoint (public
    code).
    """
    center_strides = frozenset(output.stride for output in outputs if output.kind == "center")
    targets = _Targets(_Persons.of(batch, maps[0].device), config, heatmap, center_strides)
    total = torch.zeros((), device=maps[0].device)
    for predicted, output in zip(maps, outputs, strict=True):
        if output.loss_weight != 0:
            total = total + output.loss_weight * targets.loss(predicted, output)
    return total


@dataclass(frozen=True)
class _Persons:
    """A batch's annotation on the network's device; see BottomUpBatch."""

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
    def of(cls, batch: BottomUpBatch, device: torch.device) -> "_Persons":
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


@dataclass(frozen=True)
class _Targets:
    """Makes each target once, however many outputs share it."""

    persons: _Persons
    config: TargetConfig
    heatmap: HeatmapConfig
    center_strides: frozenset[float]
    _made: dict[tuple[object, ...], Tensor] = field(default_factory=dict)

    def loss(self, predicted: Tensor, output: OutputMap) -> Tensor:
        if output.kind == "tags":
            return self._tag_loss(predicted, output.stride)
        if output.kind == "offsets":
            return self._offset_loss(predicted, output.stride)
        return self._heatmap_loss(predicted, output)

    def _heatmap_loss(self, predicted: Tensor, output: OutputMap) -> Tensor:
        """Of keypoints or centres: their share of the mean over both."""
        size, is_center = _size(predicted), output.kind == "center"
        if is_center:
            target = self._centers(output.stride, size)
        else:
            target = self._heatmaps(output.stride, size, self.heatmap.sigma * output.sigma_scale)
        background = self.config.background
        if background != 1:
            background *= output.background_scale
        region = None
        if self.config.common_mask and background != 1:
            region = self._common_region(output.stride, size, self.heatmap.sigma * output.sigma_scale)
        elif is_center:
            background = 1.0  # the paper weighs keypoints' maps only (eq. 5)
        error = tradeoff_mse(
            predicted,
            target,
            background,
            self.persons.valid,
            ignore=self._ignored(output.stride, size),
            counted=None if is_center else self.persons.annotated,
            region=region,
        )
        keypoints = self.persons.labelled.shape[1]
        maps = keypoints + (output.stride in self.center_strides)
        return error * ((1 if is_center else keypoints) / maps)

    def _heatmaps(self, stride: float, size: tuple[int, int], sigma: float) -> Tensor:
        key = ("heatmaps", stride, size, sigma)
        if key not in self._made:
            persons = self.persons
            self._made[key] = encode_persons(
                persons.keypoints / stride,
                persons.labelled,
                persons.person_image,
                len(persons.valid),
                size,
                sigma,
                self.heatmap.encoding,
            )
        return self._made[key]

    def _centers(self, stride: float, size: tuple[int, int]) -> Tensor:
        key = ("centers", stride, size)
        if key not in self._made:
            persons, sigma = self.persons, self.config.center_sigma
            self._made[key] = encode_centers(
                self._center_points / stride, self._with_center, persons.person_image, len(persons.valid), size, sigma
            )
        return self._made[key]

    def _common_region(self, stride: float, size: tuple[int, int], sigma: float) -> Tensor:
        """(B, h, w) bool: where any keypoint is, or any centre if the network finds those, at whatever stride."""
        key = ("region", stride, size, sigma)
        if key not in self._made:
            targets = [self._heatmaps(stride, size, sigma)]
            targets += [self._centers(stride, size)] if self.center_strides else []
            self._made[key] = common_region(*targets)
        return self._made[key]

    def _ignored(self, stride: float, size: tuple[int, int]) -> Tensor:
        """(B, h, w) bool: where the annotation says nothing, under crowds and outside of the picture."""
        key = ("ignored", stride, size)
        if key not in self._made:
            ignore = self.persons.ignore
            rows, columns = (
                (torch.arange(length, device=ignore.device) * stride).long().clamp(max=side - 1)
                for length, side in zip(size, ignore.shape[1:], strict=True)
            )
            shown = _inside_pictures(self.persons.crop_to_image, self.persons.picture_sizes, stride, size)
            self._made[key] = (ignore[:, rows[:, None], columns] > 0) | ~shown
        return self._made[key]

    @cached_property
    def _center_points(self) -> Tensor:
        """(M, 2), crop px."""
        return person_centers(self.persons.keypoints, self.persons.labelled, self.persons.box_corners)

    @cached_property
    def _with_center(self) -> Tensor:
        """(M,) bool"""
        return self.persons.image_areas >= self.config.center_min_area

    def _offset_loss(self, predicted: Tensor, stride: float) -> Tensor:
        persons, config = self.persons, self.config
        targets = encode_offsets(
            persons.keypoints / stride,
            persons.labelled,
            self._center_points / stride,
            self._with_center,
            persons.box_corners / stride,
            persons.person_image,
            len(persons.valid),
            _size(predicted),
            radius=config.center_radius,
            overlap=config.overlap,
            size=config.offset_scale,
        )
        return config.offset_weight * offset_loss(predicted, targets, persons.valid)

    def _tag_loss(self, predicted: Tensor, stride: float) -> Tensor:
        persons, config = self.persons, self.config
        pull, push = tag_loss(
            predicted, persons.keypoints / stride, persons.labelled, persons.person_image, persons.valid
        )
        return config.pull_weight * pull + config.push_weight * push


def _inside_pictures(crop_to_image: Tensor, picture_sizes: Tensor, stride: float, size: tuple[int, int]) -> Tensor:
    """(B, h, w) bool: whether the px of maps lie on the pictures that crops show, not on the black beside them."""
    device = crop_to_image.device
    y, x = (torch.arange(length, device=device).float() * stride for length in size)
    places = torch.stack([x.expand(size), y[:, None].expand(size)], dim=-1)
    points = torch.einsum("bij,hwj->bhwi", crop_to_image[:, :, :2], places) + crop_to_image[:, None, None, :, 2]
    limits = picture_sizes.flip(1)[:, None, None] - 0.5
    return ((points >= -0.5) & (points <= limits)).all(dim=-1)


def _size(maps: Tensor) -> tuple[int, int]:
    return maps.shape[2], maps.shape[3]
