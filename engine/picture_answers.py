"""A stream of pictures of any origin → what a network says about each, through the graph of training and evaluation."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch

from engine.bottomup import BottomUpTask
from engine.evaluation_pictures import EvaluationPicture
from engine.heatmap_panels import LocatedHeatmaps, located_heatmaps
from engine.task import Task
from engine.topdown import TopDownTask
from evaluation.oks import oks_nms_per_image
from evaluation.predictions import Predictions
from evaluation.rescoring import instance_scores
from models import HeatmapNetwork
from pipelines.loose_batch import LooseBatch
from pipelines.loose_crops import crop_batches
from pipelines.loose_loader import LooseLoader, crop_graph, whole_picture_graph
from pipelines.loose_pictures import LoosePicture
from pipelines.loose_whole_pictures import whole_picture_batches
from pipelines.topdown import TopDownBatch

# What a batch waits for at most, so that memory does not depend on how few persons pictures show.
_MOST_PICTURES = 128
_MOST_BYTES = 64 << 20


class Asked(Protocol):
    """Who is asked; `engine.estimator.Estimator`."""

    @property
    def task(self) -> Task: ...
    @property
    def model(self) -> torch.nn.Module: ...
    @property
    def network(self) -> HeatmapNetwork: ...
    @property
    def device(self) -> torch.device: ...


@dataclass(frozen=True, eq=False)
class Answer:
    """What is said about one picture.

    Attributes:
        predictions: N persons who are left after OKS-NMS, in the order of their boxes. scores: (N,), as in evaluation.
        asked: persons that were looked at.
        problem: why the picture could not be looked at, None if it could.
        heatmaps: of those who were looked at, if they were wanted.
    """

    predictions: Predictions
    scores: np.ndarray
    asked: int
    problem: str | None = None
    heatmaps: tuple[LocatedHeatmaps, ...] = ()


@torch.no_grad()
def answer_pictures(
    asked: Asked, pictures: Iterable[LoosePicture | None], with_heatmaps: bool = False
) -> Iterator[Answer]:
    """One answer per picture, in their order; None is answered by nobody. Only a few batches are in memory.

    Args:
        asked: whose `model` is in evaluation mode.
        pictures: gone through in another thread; top-down ones with regions.
    """
    task = asked.task
    loader: LooseLoader[Any]
    if isinstance(task, TopDownTask):
        settings = replace(task.settings(asked.device), shuffle="none")
        keypoints = task.skeleton.num_keypoints
        batches = crop_batches(iter(pictures), settings, keypoints, _MOST_PICTURES, _MOST_BYTES)
        loader = LooseLoader(batches, crop_graph(settings), settings.prefetch)
    else:
        assert isinstance(task, BottomUpTask)
        whole = task.picture_settings(asked.device)
        several = whole_picture_batches(iter(pictures), whole, _MOST_PICTURES)
        loader = LooseLoader(several, whole_picture_graph(whole), whole.prefetch)
    parts: defaultdict[int, list[Predictions]] = defaultdict(list)
    heatmaps: defaultdict[int, list[LocatedHeatmaps]] = defaultdict(list)
    done = 0
    try:
        for loose in loader:
            for batch, numbers in _batches_for(task, loose):
                found = task.predict(asked.model, asked.network.outputs, batch)
                for number in np.unique(numbers).tolist():
                    parts[number].append(found.select(numbers == number) if len(numbers) > 1 else found)
                if with_heatmaps:
                    located = located_heatmaps(task, asked.model, asked.network.outputs, batch)
                    for number, one in zip(numbers.tolist(), located, strict=True):
                        heatmaps[number].append(one)
            for number in range(done, loose.complete):
                problem = loader.problems.pop(number, None)
                yield _answer(task, parts.pop(number, []), problem, tuple(heatmaps.pop(number, [])))
            done = loose.complete
    finally:
        loader.close()


def _batches_for(task: Task, loose: LooseBatch[Any]) -> Iterator[tuple[Any, np.ndarray]]:
    """What `task.predict` takes, and the pictures' numbers of the crops, or of the one picture."""
    if not isinstance(task, TopDownTask):
        for picture in loose.batch.pictures():
            yield EvaluationPicture(picture, None), np.array([picture.image_row])
        return
    # Filling rows are not worth the network's time.
    batch, count = loose.batch, int((loose.picture_numbers >= 0).sum())
    if batch.valid.any():
        yield _first(batch, count), loose.picture_numbers[:count][batch.valid.numpy()[:count]]


def _first(batch: TopDownBatch, count: int) -> TopDownBatch:
    tensors = {name: value[:count] for name, value in vars(batch).items() if isinstance(value, torch.Tensor)}
    return replace(batch, **tensors) if count < len(batch.valid) else batch


def _answer(task: Task, parts: list[Predictions], problem: str | None, heatmaps: tuple[LocatedHeatmaps, ...]) -> Answer:
    predictions = Predictions.concatenate([Predictions.empty(task.skeleton.num_keypoints), *parts])
    scores, nms_threshold = task.ranking(predictions)
    scores = instance_scores(predictions) if scores is None else scores
    kept = np.arange(len(predictions))
    if nms_threshold is not None:
        kept = oks_nms_per_image(predictions, scores, np.array(task.skeleton.oks_sigmas), nms_threshold)
    return Answer(predictions.select(kept), scores[kept], len(predictions), problem, heatmaps)
