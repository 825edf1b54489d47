"""Evaluation of a checkpoint, our own or a public one: the network's answers on a split, and the official score."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from engine.config import ConfigError, Recipe
from engine.data import open_split
from engine.estimator import Estimator
from engine.fabric import make_fabric
from engine.inference import predict_split, score_split
from engine.progress import SampleProgress
from engine.scorer import scorer_file, scorer_of
from engine.task import EvaluationSamples
from engine.tasks import make_task
from engine.trained import OwnWeights, Weights, ready_network
from evaluation.predictions import Predictions
from evaluation.score import Score, require_evaluator
from sharding.dataset import ShardedDataset


@dataclass(frozen=True)
class Evaluated:
    """A network's answers on a split and their score.

    Attributes:
        weights: where they come from. run_dir: where they were trained, None if that is not known.
        samples: what was looked at. estimator: the network, to be asked again.
    """

    recipe: Recipe
    dataset: ShardedDataset
    weights: str
    run_dir: Path | None
    samples: EvaluationSamples
    predictions: Predictions
    score: Score
    estimator: Estimator


def evaluate_weights(recipe: Recipe, weights: Weights | None, console: Console) -> Evaluated:
    """Score the recipe's network, untrained or with these weights, on the recipe's validation split.

    Raises:
        ConfigError: the recipe lacks a validation split. CheckpointError, WeightsError: the file does not fit the
            recipe's network.
    """
    if recipe.data.val is None:
        raise ConfigError("data.val is not set; give the split to evaluate on, e.g. data.val=/data/coco/val2017")
    dataset = open_split(recipe.data.val, recipe.storage)
    require_evaluator(dataset.manifest.dataset)
    task = make_task(recipe, dataset.skeleton)
    samples, ranked_by = task.evaluation_samples(dataset), scorer_file(recipe, weights)
    fabric = make_fabric(recipe.evaluate.precision)
    model, network = ready_network(task, weights, fabric)
    if ranked_by is not None:
        task = make_task(recipe, dataset.skeleton, scorer_of(ranked_by, recipe, dataset.skeleton, network))
    name = "untrained" if weights is None else str(weights.path)
    with SampleProgress(console, f"evaluating {Path(name).name}", len(samples), unit=task.unit) as bar:
        answers = predict_split(task, model, network, samples, fabric.device, bar.advance)
    run_dir = weights.path.parent if isinstance(weights, OwnWeights) else None
    score, estimator = score_split(task, dataset, answers), Estimator(task, model, network, fabric.device, name)
    return Evaluated(recipe, dataset, name, run_dir, samples, answers.predictions, score, estimator)
