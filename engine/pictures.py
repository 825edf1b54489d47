"""Pictures to look at: what the network will see, and what it answered."""

from collections.abc import Iterator

import numpy as np
import torch

from engine.config import Recipe
from engine.topdown import TopDownTask
from evaluation.predictions import Predictions
from pipelines.reader import PictureReader
from pipelines.samples import annotated_samples
from pose.drawing import Picture, decode_picture, draw_skeleton, tile
from pose.skeletons import Skeleton
from sharding.dataset import ShardedDataset

_SHOWN_SCORE = 0.2  # heatmap peak from which a predicted keypoint is drawn; the rescoring's own threshold


def crop_sheet(recipe: Recipe, dataset: ShardedDataset, count: int = 24, columns: int = 6) -> Picture:
    """Crops as the first batch of a training would hold them, with skeletons: `count` of them in rows."""
    sized = recipe.model_copy(update={"train": recipe.train.model_copy(update={"batch_size": count})})
    loader = TopDownTask(sized, dataset.skeleton).training_loader(
        annotated_samples(dataset), torch.device("cpu"), rank=0, ranks=1
    )
    batch = next(iter(loader))
    loader.close()
    crops = batch.crops.permute(0, 2, 3, 1).contiguous().numpy()
    drawn = [
        draw_skeleton(
            crops[row], batch.keypoints[row].numpy(), batch.visibility[row].numpy() > 0, dataset.skeleton, thickness=1
        )
        for row in np.flatnonzero(batch.valid.numpy())
    ]
    return tile(drawn, columns)


def prediction_pictures(
    dataset: ShardedDataset, predictions: Predictions, count: int = 12
) -> Iterator[tuple[str, Picture, Picture]]:
    """File name, picture with the annotated persons, the same with the predicted ones; spread over the split."""
    image_rows = dataset.image_rows(predictions.image_ids)
    rows = np.unique(image_rows)
    rows = rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)]
    reader = PictureReader(dataset)
    names = dataset.file_names()
    keypoints = dataset.instance_column("keypoints")
    for row, data in zip(rows, reader.read(rows), strict=True):
        picture = decode_picture(data)
        truth = keypoints.take(np.flatnonzero(dataset.instance_images == row))
        answer = predictions.select(image_rows == row)
        annotated = _draw_all(picture, truth[:, :, :2], truth[:, :, 2] > 0, dataset.skeleton)
        predicted = _draw_all(picture, answer.keypoints, answer.keypoint_scores > _SHOWN_SCORE, dataset.skeleton)
        yield names[row], annotated, predicted


def _draw_all(picture: Picture, keypoints: np.ndarray, shown: np.ndarray, skeleton: Skeleton) -> Picture:
    thickness = max(1, min(picture.shape[:2]) // 300)
    for person, visible in zip(keypoints, shown, strict=True):
        picture = draw_skeleton(picture, person, visible, skeleton, thickness)
    return picture
