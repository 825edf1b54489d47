"""What the maps of a bottom-up network are to become for one batch, and how far they are from it (specs 3.2, 3.3)."""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from engine.bottomup_annotation import Annotation
from engine.bottomup_config import TargetConfig
from engine.config import HeatmapConfig
from models import OutputMap
from models.batch_mean import MeanOverRanks, alone
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
    over_ranks: MeanOverRanks = alone,
) -> Tensor:
    """The weighted sum over the network's outputs; the host never waits for a GPU.

    The loss on heatmaps of the centres' stride is the mean over all maps there, centres being one more keypoint (public
    code).
    """
    center_strides = frozenset(output.stride for output in outputs if output.kind == "center")
    targets = _Targets(Annotation.of(batch, maps[0].device), config, heatmap, center_strides, over_ranks)
    total = torch.zeros((), device=maps[0].device)
    for predicted, output in zip(maps, outputs, strict=True):
        if output.loss_weight != 0:
            total = total + output.loss_weight * targets.loss(predicted, output)
    return total


@dataclass(frozen=True)
class _Targets:
    """Makes each target once, however many outputs share it."""

    persons: Annotation
    config: TargetConfig
    heatmap: HeatmapConfig
    center_strides: frozenset[float]
    over_ranks: MeanOverRanks
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
            ignore=self._silent(output.stride, size),
            counted=None if is_center else self.persons.annotated,
            region=region,
            over_ranks=self.over_ranks,
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

    def _silent(self, stride: float, size: tuple[int, int]) -> Tensor:
        key = ("silent", stride, size)
        if key not in self._made:
            self._made[key] = self.persons.silent(stride, size, self.config.ignore_outside)
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
        return config.offset_weight * offset_loss(predicted, targets, persons.valid, over_ranks=self.over_ranks)

    def _tag_loss(self, predicted: Tensor, stride: float) -> Tensor:
        persons, config = self.persons, self.config
        pull, push = tag_loss(
            predicted,
            persons.keypoints / stride,
            persons.labelled,
            persons.person_image,
            persons.valid,
            self.over_ranks,
        )
        return config.pull_weight * pull + config.push_weight * push


def _size(maps: Tensor) -> tuple[int, int]:
    return maps.shape[2], maps.shape[3]
