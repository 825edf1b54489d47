"""The top-down task: crops of single persons → heatmaps → keypoints in the picture."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from engine.build import build_model
from engine.config import ConfigError, Recipe
from engine.data import read_settings, training_persons
from engine.diverged import DivergedError
from engine.evaluation_boxes import evaluation_samples
from engine.heatmap_targets import HeatmapTargets
from engine.network_input import network_input
from evaluation.predictions import Predictions
from models import HeatmapNetwork, OutputMap
from models.batch_mean import MeanOverRanks, alone
from models.losses import joints_mse
from pipelines.samples import PersonSamples, TopDownSamples
from pipelines.topdown import TopDownBatch, TopDownLoader, TopDownSettings
from pose.crop import invert_affine, transform_points
from pose.heatmaps import HeatmapCodec, flip_back, flip_shift
from pose.part_hierarchy import HIERARCHIES
from pose.skeletons import SKELETONS, Skeleton
from sharding.dataset import ShardedDataset


class TopDownTask:
    """See `engine.task`; samples are persons."""

    unit = "instances"

    def __init__(self, recipe: Recipe, skeleton: Skeleton) -> None:
        self.recipe = recipe
        self.skeleton = skeleton

    def build_model(self, pretrained: bool = True) -> HeatmapNetwork:
        """See `engine.build`. Raises ConfigError for networks that look at whole pictures."""
        network = build_model(self.recipe, self.skeleton.num_keypoints, pretrained)
        if any(output.kind != "heatmaps" for output in network.outputs):
            raise ConfigError(
                f"model.name={self.recipe.model.name} finds all persons of whole pictures, and recipe "
                f"{self.recipe.name} looks at single ones; take a recipe with `bottomup`"
            )
        self._require_known_parts(network)
        return network

    def _require_known_parts(self, network: HeatmapNetwork) -> None:
        """Refuse bones that were chosen for a skeleton only because their keypoints are as many."""
        composed = any(output.parts is not None for output in network.outputs)
        chosen = self.recipe.model.options.get("hierarchy") is not None
        if composed and not chosen and self.skeleton.name not in SKELETONS:
            raise ConfigError(
                f"model.name={self.recipe.model.name} composes bones of keypoints, and knows none of "
                f"{self.skeleton.name}; set model.options.hierarchy to one of {', '.join(HIERARCHIES)} if it has the "
                "same keypoints in the same order, else take another network"
            )

    def training_samples(self, datasets: Sequence[ShardedDataset]) -> PersonSamples:
        """Every trainable person."""
        return training_persons(self.recipe, datasets, self.skeleton)

    def training_loader(self, samples: PersonSamples, device: torch.device, rank: int, ranks: int) -> TopDownLoader:
        settings = replace(
            self.settings(device),
            batch_size=self.recipe.train.batch_size,
            shuffle=self.recipe.data.shuffle,
            window=self.recipe.data.shuffle_window,
            augmentation=self.recipe.augmentation,
            rank=rank,
            world_size=ranks,
        )
        return TopDownLoader(samples, settings)

    def evaluation_samples(self, dataset: ShardedDataset) -> TopDownSamples:
        """Annotated or detected boxes, see `engine.evaluation_boxes`."""
        return evaluation_samples(self.recipe, dataset)

    def evaluation_loader(self, samples: TopDownSamples, device: torch.device) -> TopDownLoader:
        """One pass in the split's order, without augmentation."""
        return TopDownLoader(samples, replace(self.settings(device), shuffle="none", epochs=1))

    def settings(self, device: torch.device) -> TopDownSettings:
        """Of the loader, as far as training and evaluation have them in common."""
        data = self.recipe.data
        return TopDownSettings(
            crop_size=data.crop_size,
            batch_size=self.recipe.evaluate.batch_size,
            seed=self.recipe.train.seed,
            convention=data.convention,
            padding=data.box_padding,
            device=device,
            threads=data.threads,
            prefetch=data.prefetch,
            on_bad_sample=data.on_bad_sample,
            max_bad_share=data.max_bad_share,
            reading=read_settings(self.recipe.storage),
        )

    def training_input(self, batch: TopDownBatch) -> Tensor:
        """(B, 3, H, W)"""
        return network_input(self.recipe.data, batch.crops, batch.channel_gains)

    def codec(self, output: OutputMap) -> HeatmapCodec:
        """How keypoints become the targets of one output, and back."""
        height, width = self.recipe.data.crop_size
        config = self.recipe.heatmap
        return HeatmapCodec(
            crop_size=(height, width),
            heatmap_size=(round(height / output.stride), round(width / output.stride)),
            sigma=config.sigma * output.sigma_scale,
            encoding=config.encoding,
            decoding=config.decoding,
            convention=self.recipe.data.convention,
            peak=output.peak,
        )

    def _fitting_codec(self, output: OutputMap, heatmaps: Tensor) -> HeatmapCodec:
        codec, found = self.codec(output), tuple(heatmaps.shape[2:])
        if found != codec.heatmap_size:
            raise ConfigError(
                f"data.crop_size={self.recipe.data.crop_size}: {output.name} have {found} px instead of "
                f"{codec.heatmap_size} at stride {output.stride:g}; choose sides that every stride of "
                f"{self.recipe.model.name} divides, such as multiples of 32"
            )
        return codec

    def loss(
        self,
        maps: tuple[Tensor, ...],
        outputs: tuple[OutputMap, ...],
        batch: TopDownBatch,
        over_ranks: MeanOverRanks = alone,
    ) -> Tensor:
        """The weighted sum over the network's outputs, each as it says of itself; the host never waits for a GPU."""
        keypoints, visibility, valid = (
            tensor.to(maps[0].device, non_blocking=True) for tensor in (batch.keypoints, batch.visibility, batch.valid)
        )
        targets = HeatmapTargets(keypoints, visibility)
        total = torch.zeros((), device=maps[0].device)
        for predicted, output in zip(maps, outputs, strict=True):
            if output.loss_weight != 0:
                target, weights = targets.of(output, self._fitting_codec(output, predicted))
                total = total + output.loss_weight * joints_mse(
                    predicted, target, weights, valid, output.hardest, over_ranks
                )
        return total

    def ranking(self, predictions: Predictions) -> tuple[None, float]:
        """How persons are ranked and thinned out: by box and keypoints, with OKS-NMS."""
        return None, self.recipe.evaluate.nms_threshold

    def samples_in(self, batch: TopDownBatch) -> int:
        """How many of a split's samples a batch holds."""
        return int(batch.valid.sum())

    def heatmaps(self, model: torch.nn.Module, output: OutputMap, batch: TopDownBatch) -> Tensor:
        """(B, K, h, w), what keypoints are read from: with the flip test if the recipe asks for it."""
        crops = network_input(self.recipe.data, batch.crops)
        heatmaps: Tensor = model(crops)[-1].float()
        if self.recipe.evaluate.flip_test:
            shift = flip_shift(output.stride, self.recipe.data.convention, self.recipe.evaluate.flip_shift)
            mirrored = model(crops.flip(3))[-1].float()
            heatmaps = (heatmaps + flip_back(mirrored, self.skeleton.flip_indices, shift)) / 2
        return heatmaps

    def predict(self, model: torch.nn.Module, outputs: tuple[OutputMap, ...], batch: TopDownBatch) -> Predictions:
        """Keypoints in image px for the valid rows of a batch, with the flip test if the recipe asks for it."""
        output = outputs[-1]
        heatmaps = self.heatmaps(model, output, batch)
        keypoints, peaks = self._fitting_codec(output, heatmaps).decode(heatmaps)
        _require_numbers(peaks, batch)
        crop_to_image = invert_affine(batch.image_to_crop.numpy())
        predictions = Predictions(
            image_ids=batch.image_ids.numpy(),
            instance_ids=batch.instance_ids.numpy(),
            keypoints=transform_points(crop_to_image, keypoints.cpu().numpy().astype(np.float64)),
            keypoint_scores=peaks.cpu().numpy().astype(np.float64),
            box_scores=batch.box_scores.numpy(),
            box_areas=batch.box_areas.numpy(),
        )
        return predictions.select(batch.valid.numpy())


def _require_numbers(peaks: Tensor, batch: TopDownBatch) -> None:
    """Refuse heatmap peaks (B, K) that are no numbers in rows that count."""
    bad = ~peaks.isfinite().all(dim=1).cpu() & batch.valid
    if bad.any():
        raise DivergedError(
            f"the network's answer for instance {batch.instance_ids[bad][0]} in picture {batch.image_ids[bad][0]} is "
            "no number: its weights are damaged, or its training diverged (lower optim.lr, or train.precision=32-true)"
        )
