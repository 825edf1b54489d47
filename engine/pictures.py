"""Pictures to look at: what the network will see, and what it answered."""

from collections.abc import Iterator

import numpy as np
import torch

from engine.config import ConfigError, Recipe
from engine.data import open_split, training_skeleton
from engine.network_input import apply_gains
from engine.tasks import make_task
from evaluation.predictions import Predictions
from pipelines.bottomup import BottomUpBatch, BottomUpLoader
from pipelines.reader import PictureReader
from pipelines.topdown import TopDownBatch, TopDownLoader
from pose.drawing import Picture, decode_picture, draw_skeleton, tile
from pose.skeletons import Skeleton
from sharding.dataset import ShardedDataset

LoadedBatch = TopDownBatch | BottomUpBatch

SHOWN_PEAK = 0.2  # heatmap peak from which a predicted keypoint is drawn; the rescoring's own threshold
SHOWN_PRODUCT = 0.05  # the same where keypoints score their peak times their person's centre


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
    # The keypoints trained are those of the first split; half-body crops depend on them.
    first = recipe.data.train[0] if isinstance(recipe.data.train, tuple) and recipe.data.train else None
    skeleton = recipe.data.skeleton or (open_split(first, recipe.storage).skeleton.name if first else None)
    train, data = {"batch_size": count}, {"weights": None, "skeleton": skeleton}
    sized = recipe.model_copy(
        update={"train": recipe.train.model_copy(update=train), "data": recipe.data.model_copy(update=data)}
    )
    task = make_task(sized, training_skeleton(sized, [dataset]))
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


def prediction_pictures(
    dataset: ShardedDataset, predictions: Predictions, shown_score: float = SHOWN_PEAK, count: int = 12
) -> Iterator[tuple[str, Picture, Picture]]:
    """File name, picture with the annotated persons, the same with the predicted ones; spread over the split.

    Pictures in which nobody was found are among them; those that cannot be read are not.
    """
    image_rows = dataset.image_rows(predictions.image_ids)
    rows = np.unique(np.concatenate([image_rows, dataset.instance_images]))
    rows = rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)]
    reader = PictureReader(dataset)
    names = dataset.file_names()
    keypoints = dataset.instance_column("keypoints")
    for row in rows:
        try:
            picture = decode_picture(reader.encoded(row[None])[0])
        except ValueError:  # damaged, or no picture: the evaluation said so
            continue
        truth = keypoints.take(np.flatnonzero(dataset.instance_images == row))
        answer = predictions.select(image_rows == row)
        annotated = _draw_all(picture, truth[:, :, :2], truth[:, :, 2] > 0, dataset.skeleton)
        predicted = _draw_all(picture, answer.keypoints, answer.keypoint_scores > shown_score, dataset.skeleton)
        yield names[row], annotated, predicted


def _draw_all(picture: Picture, keypoints: np.ndarray, shown: np.ndarray, skeleton: Skeleton) -> Picture:
    thickness = max(1, min(picture.shape[:2]) // 300)
    for person, visible in zip(keypoints, shown, strict=True):
        picture = draw_skeleton(picture, person, visible, skeleton, thickness)
    return picture
