"""The top-down task: crops of single persons → heatmaps → keypoints in the picture."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.config import ConfigError, Recipe
from engine.data import read_settings
from evaluation.predictions import Predictions
from models import HeatmapNetwork, OutputMap, create_model
from models.losses import joints_mse
from models.pretrained import load_backbone_weights
from pipelines.samples import PersonSamples, TopDownSamples
from pipelines.topdown import TopDownBatch, TopDownLoader, TopDownSettings
from pose.crop import invert_affine, transform_points
from pose.heatmaps import HeatmapCodec, flip_back, flip_shift
from pose.skeletons import Skeleton

# ImageNet's channel statistics on the 0 … 255 scale, RGB; the released "bgr" configurations use the same numbers.
_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)


class TopDownTask:
    """What the training and inference loops need to know of top-down estimation."""

    def __init__(self, recipe: Recipe, skeleton: Skeleton) -> None:
        self.recipe = recipe
        self.skeleton = skeleton

    def build_model(self, pretrained: bool = True) -> HeatmapNetwork:
        """The recipe's network with weights drawn from the recipe's seed, or ImageNet's for the backbone if it names
        a file and `pretrained` is set."""
        config = self.recipe.model
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.recipe.train.seed)
            try:
                model = create_model(
                    config.name,
                    self.skeleton.num_keypoints,
                    plugin=config.plugin,
                    plugin_options=config.plugin_options,
                    **config.options,
                )
            except (KeyError, TypeError, ValueError) as error:
                raise ConfigError(f"model: {error.args[0]}") from error
        if pretrained and config.backbone_weights is not None:
            if model.base.backbone is None:
                raise ConfigError(f"model.backbone_weights: there are no ImageNet weights for {config.name}")
            load_backbone_weights(model.base.backbone, Path(config.backbone_weights))
        return model

    def training_loader(self, samples: PersonSamples, device: torch.device, rank: int, ranks: int) -> TopDownLoader:
        settings = replace(
            self._settings(device),
            batch_size=self.recipe.train.batch_size,
            shuffle=self.recipe.data.shuffle,
            window=self.recipe.data.shuffle_window,
            augmentation=self.recipe.augmentation,
            rank=rank,
            world_size=ranks,
        )
        return TopDownLoader(samples, settings)

    def evaluation_loader(self, samples: TopDownSamples, device: torch.device) -> TopDownLoader:
        """One pass in the split's order, without augmentation."""
        return TopDownLoader(samples, replace(self._settings(device), shuffle="none", epochs=1))

    def _settings(self, device: torch.device) -> TopDownSettings:
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

    def network_input(self, crops: Tensor) -> Tensor:
        """uint8 RGB crops (B, 3, H, W) → normalised floats in the recipe's channel order, in the same memory layout."""
        if self.recipe.data.channel_order == "bgr":
            crops = crops.flip(1)
        mean = torch.tensor(_MEAN, device=crops.device).view(1, 3, 1, 1)
        std = torch.tensor(_STD, device=crops.device).view(1, 3, 1, 1)
        return crops.float().sub_(mean).div_(std)  # in place: on a CPU, writing fresh memory is most of the cost

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

    def loss(self, maps: tuple[Tensor, ...], outputs: tuple[OutputMap, ...], batch: TopDownBatch) -> Tensor:
        """The weighted sum over the network's outputs; targets are made on the network's device."""
        device = maps[0].device
        keypoints, valid = batch.keypoints.to(device), batch.valid.to(device)
        labelled = (batch.visibility > 0).to(device, torch.float32)
        total = torch.zeros((), device=device)
        for predicted, output in zip(maps, outputs, strict=True):
            target, weights = self._fitting_codec(output, predicted).encode(keypoints, labelled)
            total = total + output.loss_weight * joints_mse(predicted, target, weights, valid)
        return total

    def predict(self, model: torch.nn.Module, outputs: tuple[OutputMap, ...], batch: TopDownBatch) -> Predictions:
        """Keypoints in image px for the valid rows of a batch, with the flip test if the recipe asks for it."""
        output = outputs[-1]
        crops = self.network_input(batch.crops)
        heatmaps = model(crops)[-1].float()
        if self.recipe.evaluate.flip_test:
            shift = flip_shift(output.stride, self.recipe.data.convention, self.recipe.evaluate.flip_shift)
            mirrored = model(crops.flip(3))[-1].float()
            heatmaps = (heatmaps + flip_back(mirrored, self.skeleton.flip_indices, shift)) / 2
        keypoints, peaks = self._fitting_codec(output, heatmaps).decode(heatmaps)
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
