"""The inference loop: a network over every sample of a split, then the official score."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from engine.ranks import Ranks
from engine.task import EvaluationSamples, Task
from evaluation.predictions import Predictions
from evaluation.score import Score, evaluate
from models import HeatmapNetwork
from sharding.dataset import ShardedDataset
from sharding.ground_truth import ground_truth


@dataclass(frozen=True)
class Answers:
    """Predictions in the split's order, and how many of its samples could not be looked at."""

    predictions: Predictions
    left_out: int


def predict_together(
    ranks: Ranks,
    task: Task,
    model: torch.nn.Module,
    network: HeatmapNetwork,
    samples: EvaluationSamples,
    device: torch.device,
    on_samples: Callable[[int], None] = lambda count: None,
) -> Answers | None:
    """As `predict_split`, each rank looking at a part of the split; only the rank that writes gets the answers."""
    ranks.copy_buffers(network)
    start, stop = (len(samples) * rank // ranks.size for rank in (ranks.rank, ranks.rank + 1))
    part = samples if ranks.size == 1 else samples.select(slice(start, stop))
    parts = ranks.gather(predict_split(task, model, network, part, device, on_samples))
    if not parts:
        return None
    predictions = Predictions.concatenate([part.predictions for part in parts])
    return Answers(predictions, sum(part.left_out for part in parts))


@torch.no_grad()
def predict_split(
    task: Task,
    model: torch.nn.Module,
    network: HeatmapNetwork,
    samples: EvaluationSamples,
    device: torch.device,
    on_samples: Callable[[int], None] = lambda count: None,
) -> Answers:
    """Predictions for every sample of `task.evaluation_samples`.

    Args:
        model: what is called, e.g. wrapped for mixed precision. network: says what its outputs are.
        on_samples: called with the number of samples done since the last call.
    """
    if not len(samples):
        return Answers(Predictions.empty(task.skeleton.num_keypoints), 0)
    was_training = model.training
    model.eval()
    loader = task.evaluation_loader(samples, device)
    parts, looked_at = [Predictions.empty(task.skeleton.num_keypoints)], 0
    try:
        for batch in loader:
            parts.append(task.predict(model, network.outputs, batch))
            count = task.samples_in(batch)
            looked_at += count
            on_samples(count)
    finally:
        loader.close()
        model.train(was_training)
    return Answers(Predictions.concatenate(parts), len(samples) - looked_at)


def score_split(task: Task, dataset: ShardedDataset, answers: Answers) -> Score:
    """The split's official score. Notes say if conversion refused a part of the split, or samples were left out."""
    scores, nms_threshold = task.ranking(answers.predictions)
    score = evaluate(
        dataset.manifest.dataset,
        ground_truth(dataset),
        answers.predictions,
        nms_threshold=nms_threshold,
        scores=scores,
        skeleton=dataset.skeleton,
    )
    refused = dataset.manifest.rejected
    lost = "pictures" if task.unit == "pictures" else "boxes lie in pictures that"
    notes = [
        f"{count} {what}: not the official score"
        for count, what in (
            (refused, "pictures or annotations of the split were refused at conversion"),
            (answers.left_out, f"{lost} could not be read or decoded"),
        )
        if count
    ]
    return replace(score, notes=[*score.notes, *notes])
