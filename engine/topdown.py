"""The top-down task: crops of single persons → heatmaps → keypoints in the picture."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.config import ConfigError, Recipe
from engine.data import read_settings
from engine.diverged import DivergedError
from engine.heatmap_targets import HeatmapTargets
from evaluation.predictions import Predictions
from models import HeatmapNetwork, OutputMap, create_model, load_published
from models.losses import joints_mse
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
        """The recipe's network with weights drawn from the recipe's seed; those of the file that it names, if any, on
        top of them where `pretrained` is set."""
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
        if pretrained and config.weights is not None:
            load_published(model, Path(config.weights))
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

    def network_input(self, crops: Tensor, channel_gains: Tensor | None = None) -> Tensor:
        """uint8 RGB crops (B, 3, H, W) → normalised floats in the recipe's channel order, in the same memory layout.

        Args:
            channel_gains: (B, 3), what red, green and blue are multiplied by first; what exceeds 255 is cut off there.
        """
        if self.recipe.data.channel_order == "bgr":
            crops = crops.flip(1)
            channel_gains = None if channel_gains is None else channel_gains.flip(1)
        pixels = crops.float() if channel_gains is None else apply_gains(crops, channel_gains)
        mean, std = _channel_statistics(crops.device)
        return pixels.sub_(mean).div_(std)  # in place: on a CPU, writing fresh memory is most of the cost

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

    def loss(self, maps: tuple[Tensor, ...], outputs: tuple[OutputMap, ...], batch: TopDownBatch) -> Tensor:
        """The weighted sum over the network's outputs, each as it says of itself; the host never waits for a GPU."""
        keypoints, visibility, valid = (
            tensor.to(maps[0].device, non_blocking=True) for tensor in (batch.keypoints, batch.visibility, batch.valid)
        )
        targets = HeatmapTargets(keypoints, visibility)
        total = torch.zeros((), device=maps[0].device)
        for predicted, output in zip(maps, outputs, strict=True):
            if output.loss_weight != 0:
                target, weights = targets.of(output, self._fitting_codec(output, predicted))
                total = total + output.loss_weight * joints_mse(predicted, target, weights, valid, output.hardest)
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


def apply_gains(crops: Tensor, channel_gains: Tensor) -> Tensor:
    """uint8 crops (B, 3, H, W) times a number for each channel, (B, 3), as floats from 0 to 255."""
    return crops.float().mul_(channel_gains.to(crops.device, non_blocking=True)[:, :, None, None]).clamp_(max=255)


@lru_cache
def _channel_statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, (1, 3, 1, 1) each; moved to a device once, as it makes the host wait."""
    mean, std = torch.tensor((_MEAN, _STD)).view(2, 1, 3, 1, 1).to(device)
    return mean, std
