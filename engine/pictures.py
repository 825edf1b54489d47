"""Pictures to look at: what the network will see, and what it answered."""

from collections.abc import Iterator

import numpy as np
import torch

from engine.config import ConfigError, Recipe
from engine.data import open_training_splits, training_skeleton
from engine.network_input import apply_gains
from engine.tasks import make_task
from pipelines.bottomup import BottomUpBatch, BottomUpLoader
from pipelines.topdown import TopDownBatch, TopDownLoader
from pose.drawing import Picture, draw_skeleton, tile
from pose.skeletons import Skeleton
from sharding.dataset import ShardedDataset

LoadedBatch = TopDownBatch | BottomUpBatch


def crop_sheet(recipe: Recipe, dataset: ShardedDataset, count: int = 24, columns: int = 6) -> Picture:
    """Crops as the first batch of a training would hold them, with skeletons: `count` of them in rows."""
    loader = _host_loader(recipe, dataset, count)
    batches: Iterator[LoadedBatch] = iter(loader)
    batch = next(batches)
    loader.close()
    rows = np.flatnonzero(batch.valid.numpy()).tolist()
    return tile([_drawn(batch, row, loader.samples.skeleton) for row in rows], columns)


def replayed_crop(recipe: Recipe, dataset: ShardedDataset, instance_id: int, pass_number: int) -> Picture:
    """The crop that training saw of an instance, its exact pixels on the left, with skeleton on the right.

    Args:
        pass_number: how often training had gone through the split before; the epoch, if it does so once in each.
    Raises:
        ConfigError: training never sees such an instance. BrokenShardError: its picture cannot be used.
    """
    loader = _host_loader(recipe, dataset, count=1)
    sample = loader.samples.find(instance_id)
    if sample is None:
        raise ConfigError(
            f"training never sees an instance {instance_id} of {dataset.folder.uri}: there is none, or it has no "
            "labelled keypoints, or no box with an area, or is a crowd"
        )
    batch: LoadedBatch = loader.replay(sample, pass_number)
    return np.concatenate([_pixels(batch, 0), _drawn(batch, 0, loader.samples.skeleton)], axis=1)


def _host_loader(recipe: Recipe, dataset: ShardedDataset, count: int) -> TopDownLoader | BottomUpLoader:
    """The recipe's training loader, over one of its splits or another one, with batches of `count`."""
    train, data = {"batch_size": count}, {"weights": None}
    sized = recipe.model_copy(
        update={"train": recipe.train.model_copy(update=train), "data": recipe.data.model_copy(update=data)}
    )
    task = make_task(sized, _trained_skeleton(recipe, dataset))
    loader = task.training_loader(task.training_samples([dataset]), torch.device("cpu"), rank=0, ranks=1)
    assert isinstance(loader, TopDownLoader | BottomUpLoader)
    return loader


def _pixels(batch: LoadedBatch, row: int) -> Picture:
    crop = batch.crops[row]
    if isinstance(batch, TopDownBatch) and batch.channel_gains is not None:
        crop = apply_gains(crop[None], batch.channel_gains[row, None])[0].round().to(torch.uint8)
    return crop.permute(1, 2, 0).contiguous().numpy()


def _drawn(batch: LoadedBatch, row: int, skeleton: Skeleton) -> Picture:
    """The crop with its persons; what bottom-up losses ignore is darker."""
    picture = _pixels(batch, row)
    if isinstance(batch, TopDownBatch):
        persons = np.array([row])
    else:
        persons = np.flatnonzero(batch.person_image.numpy() == row)
        picture = np.where(batch.ignore[row, :, :, None].numpy() > 0, picture // 3, picture)
    labelled = batch.visibility[persons].numpy() > 0
    for keypoints, shown in zip(batch.keypoints[persons].numpy(), labelled, strict=True):
        picture = draw_skeleton(picture, keypoints, shown, skeleton, thickness=1)
    return picture


def _trained_skeleton(recipe: Recipe, dataset: ShardedDataset) -> Skeleton:
    """The keypoints that the recipe trains; half-body crops depend on them."""
    several = isinstance(recipe.data.train, tuple) and recipe.data.train
    return training_skeleton(recipe, open_training_splits(recipe) if several else [dataset])
