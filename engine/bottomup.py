"""The bottom-up task: whole pictures → maps → all persons in them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from engine.bottomup_config import BottomUpConfig
from engine.bottomup_loss import bottomup_loss
from engine.bottomup_maps import Mirror, PictureMaps, picture_maps
from engine.bottomup_persons import FoundPersons, annotated_poses, find_persons, require_groupable
from engine.build import build_model
from engine.config import ConfigError, Recipe
from engine.data import read_settings, training_pictures
from engine.diverged import DivergedError
from engine.evaluation_pictures import EvaluationPicture, EvaluationPictureLoader, EvaluationPictures
from engine.network_input import network_input
from evaluation.predictions import Predictions
from models import HeatmapNetwork, OutputMap
from models.batch_mean import MeanOverRanks, alone
from models.cost import Cost, model_cost
from models.crop_size import CropSizeError
from models.score_net import PoseScorer
from pipelines.bottomup import BottomUpBatch, BottomUpLoader, BottomUpSettings
from pipelines.bottomup_samples import BottomUpSamples
from pipelines.whole_pictures import WholePictureSettings
from pose.crop import invert_affine
from pose.skeletons import Skeleton
from sharding.dataset import ShardedDataset

_LONGEST = 4096  # px of an input at scale 1: an elongated picture shall not need an enormous one


class BottomUpTask:
    """See `engine.task`; samples are pictures.

    Args:
        scorer: what ranks poses, if the recipe wants that and there is one: none while a network is trained.
    """

    unit = "pictures"

    def __init__(
        self, recipe: Recipe, config: BottomUpConfig, skeleton: Skeleton, scorer: PoseScorer | None = None
    ) -> None:
        self.recipe, self.config, self.skeleton, self.scorer = recipe, config, skeleton, scorer

    def build_model(self, pretrained: bool = True) -> HeatmapNetwork:
        """See `engine.build`. Raises ConfigError if the recipe's way to find persons is not for this network."""
        network = build_model(self.recipe, self.skeleton.num_keypoints, pretrained)
        require_groupable(network.outputs, self.config.test, self.config.grouping)
        self._require_fitting_inputs()
        return network

    def _require_fitting_inputs(self) -> None:
        """Raise CropSizeError for crops, and ConfigError for whole pictures, whose sides the network cannot take: now,
        not when the first epoch is over. Nothing is computed."""
        test = self.config.test
        self._cost(self.recipe.data.crop_size)
        side = test.short_side or self.recipe.data.crop_size[0]
        for scale in test.scales:
            size = (round(side * scale), round(test.multiple * scale))
            try:
                self._cost(size)
            except CropSizeError as error:
                raise ConfigError(
                    f"bottomup.test: at scale {scale:g} inputs are {size[0]} px high or wide, and multiples of "
                    f"{size[1]} px; {self.recipe.model.name} cannot take that ({str(error).partition(': ')[2]}); "
                    "change short_side, multiple or scales"
                ) from error

    def _cost(self, size: tuple[int, int]) -> Cost:
        model, num_keypoints = self.recipe.model, self.skeleton.num_keypoints
        plugin = {"plugin": model.plugin, "plugin_options": model.plugin_options}
        return model_cost(model.name, num_keypoints, size, **plugin, **model.options)

    def training_samples(self, datasets: Sequence[ShardedDataset]) -> BottomUpSamples:
        """The pictures that `bottomup.pictures` chooses."""
        return training_pictures(self.recipe, datasets, self.skeleton, self.config.pictures)

    def training_loader(self, samples: BottomUpSamples, device: torch.device, rank: int, ranks: int) -> BottomUpLoader:
        recipe, data = self.recipe, self.recipe.data
        try:
            settings = BottomUpSettings(
                crop_size=data.crop_size,
                batch_size=recipe.train.batch_size,
                seed=recipe.train.seed,
                shuffle=data.shuffle,
                window=data.shuffle_window,
                fit=self.config.fit,
                augmentation=self.config.augmentation,
                device=device,
                threads=data.threads,
                prefetch=data.prefetch,
                rank=rank,
                world_size=ranks,
                on_bad_sample=data.on_bad_sample,
                max_bad_share=data.max_bad_share,
                reading=read_settings(recipe.storage),
            )
        except ValueError as error:
            raise ConfigError(f"data: {error}") from error
        return BottomUpLoader(samples, settings)

    def training_input(self, batch: BottomUpBatch) -> Tensor:
        """(B, 3, S, S)"""
        return network_input(self.recipe.data, batch.crops)

    def loss(
        self,
        maps: tuple[Tensor, ...],
        outputs: tuple[OutputMap, ...],
        batch: BottomUpBatch,
        over_ranks: MeanOverRanks = alone,
    ) -> Tensor:
        """See `engine.bottomup_loss`."""
        return bottomup_loss(maps, outputs, batch, self.config.targets, self.recipe.heatmap, over_ranks)

    def evaluation_samples(self, dataset: ShardedDataset) -> EvaluationPictures:
        """All pictures of the split: whom a network sees where nobody is counts too.

        Raises:
            ConfigError: there are none, or boxes are asked for, or the split's score is not of whole pictures, or
                `bottomup.test` has sizes that do not fit together.
        """
        self.picture_settings(torch.device("cpu"))
        if self.recipe.evaluate.detections is not None:
            raise ConfigError(
                f"evaluate.detections={self.recipe.evaluate.detections}: bottom-up recipes take no boxes, they look at "
                "whole pictures"
            )
        if dataset.manifest.dataset == "mpii":
            raise ConfigError(
                f"data.val: {dataset.folder.uri} is MPII: it scores single persons, whose places are given"
            )
        if not dataset.num_images:
            raise ConfigError(f"data.val: {dataset.folder.uri} has no pictures")
        return EvaluationPictures(dataset, np.arange(dataset.num_images))

    def evaluation_loader(
        self, samples: EvaluationPictures, device: torch.device, with_persons: bool = False
    ) -> EvaluationPictureLoader:
        """One pass in the order of the samples.

        Args:
            with_persons: also say who is annotated, as is done anyway where annotated poses are grouped by.
        """
        settings = self.picture_settings(device)
        return EvaluationPictureLoader(samples, settings, with_persons or self.config.grouping.quality == "heatmaps")

    def picture_settings(self, device: torch.device) -> WholePictureSettings:
        """Of evaluation's loader. Raises ConfigError."""
        data, test = self.recipe.data, self.config.test
        side = test.short_side or data.crop_size[0]
        try:
            return WholePictureSettings(
                short_side=side,
                multiple=test.multiple,
                fit=test.fit,
                scales=test.scales,
                long_side_limit=max(side, _LONGEST // test.multiple * test.multiple),
                device=device,
                threads=data.threads,
                prefetch=data.prefetch,
                on_bad_sample=data.on_bad_sample,
                max_bad_share=data.max_bad_share,
                reading=read_settings(self.recipe.storage),
            )
        except ValueError as error:
            default = "" if test.short_side else "; bottomup.test.short_side is data.crop_size's unless it is set"
            raise ConfigError(f"bottomup.test: {error}{default}") from error

    def samples_in(self, batch: EvaluationPicture) -> int:
        """One picture."""
        return 1

    def ranking(self, predictions: Predictions) -> tuple[np.ndarray, None]:
        """Poses have scores already, and no duplicates."""
        return predictions.box_scores, None

    @torch.no_grad()
    def persons_in(
        self, model: torch.nn.Module, outputs: tuple[OutputMap, ...], batch: EvaluationPicture
    ) -> FoundPersons:
        """Everybody in a picture, image px, before a network has scored them."""
        require_groupable(outputs, self.config.test, self.config.grouping)
        image_to_input = batch.picture.image_to_input
        found = find_persons(
            self.maps(model, outputs, batch),
            self.config.grouping,
            self.recipe.heatmap.encoding,
            annotated_poses(batch.persons.keypoints, image_to_input) if batch.persons is not None else None,
        )
        return found.moved(invert_affine(image_to_input))

    def predict(self, model: torch.nn.Module, outputs: tuple[OutputMap, ...], batch: EvaluationPicture) -> Predictions:
        """Everybody in a picture, image px."""
        found = self.persons_in(model, outputs, batch)
        scores = found.scores
        if self.scorer is not None and self.config.grouping.quality == "final":
            points, heat = (torch.from_numpy(values) for values in (found.keypoints, found.keypoint_scores))
            learned = self.scorer.score(points, heat).cpu().numpy().astype(np.float64)
            # Published numbers rest on the product; the paper speaks of the network's output alone.
            scores = learned * scores if self.config.grouping.scoring == "learned" else learned
        nobody = np.full(len(scores), -1)
        return Predictions(
            image_ids=np.full(len(scores), batch.picture.image_id),
            instance_ids=nobody,
            keypoints=found.keypoints,
            keypoint_scores=found.keypoint_scores,
            box_scores=scores,
            box_areas=np.ptp(found.keypoints, axis=1).prod(axis=1),
        )

    def maps(self, model: torch.nn.Module, outputs: tuple[OutputMap, ...], batch: EvaluationPicture) -> PictureMaps:
        """What the network says about a picture, in px of its input."""
        evaluate = self.recipe.evaluate
        mirror = Mirror(self.skeleton.flip_indices, evaluate.flip_shift) if evaluate.flip_test else None
        inputs = [network_input(self.recipe.data, pixels[None]) for pixels in batch.picture.inputs]
        maps = picture_maps(model, outputs, inputs, self.config.test, mirror)
        tags = [] if maps.tags is None else [maps.tags]
        regressed = [part for one in maps.poses for part in (one.center, one.poses)]
        if not all(part.isfinite().all() for part in (maps.heatmaps, *tags, *regressed)):
            raise DivergedError(
                f"the network's answer for picture {batch.picture.image_id} is no number: its weights are damaged, or "
                "its training diverged (lower optim.lr, or train.precision=32-true)"
            )
        return maps
