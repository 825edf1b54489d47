"""Evaluation of a checkpoint, our own or a public one: the official score, its files, and a report with pictures."""

import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from engine.checkpoint import CheckpointError, load_checkpoint
from engine.config import ConfigError, Recipe
from engine.data import open_split
from engine.fabric import make_fabric, resolved_precision
from engine.inference import evaluation_samples, predict_split, score_split
from engine.pictures import prediction_pictures
from engine.progress import SampleProgress
from engine.topdown import TopDownTask
from evaluation.mpii import write_pred_mat
from evaluation.predictions import Predictions
from evaluation.report import report_html
from evaluation.score import Score, require_evaluator
from models import HeatmapNetwork, load_published
from models.weights_file import WeightsError
from pipelines.dali_graph import DALI_VERSION
from pose.drawing import encode_picture
from sharding.dataset import ShardedDataset
from sharding.ground_truth import ground_truth


@dataclass(frozen=True)
class Evaluated:
    """A network's answers on a split and their score; `weights` says where its weights come from."""

    recipe: Recipe
    dataset: ShardedDataset
    weights: str
    predictions: Predictions
    score: Score


def evaluate_checkpoint(recipe: Recipe, checkpoint: Path | None, console: Console) -> Evaluated:
    """Score a checkpoint, or the recipe's untrained network if there is none, on the recipe's validation split.

    Raises:
        ConfigError: the recipe lacks a validation split. CheckpointError: the checkpoint does not fit the recipe.
    """

    def load(network: HeatmapNetwork, num_keypoints: int) -> None:
        if checkpoint is None:
            return
        saved = load_checkpoint(checkpoint)
        try:
            network.load_state_dict(saved.model)
        except RuntimeError as error:
            raise CheckpointError(
                f"{checkpoint} holds another network than recipe {recipe.name}: "
                f"{_network(saved.recipe, saved.num_keypoints)}, not {_network(recipe, num_keypoints)}"
            ) from error

    return _evaluate(recipe, load, "untrained" if checkpoint is None else str(checkpoint), console)


def evaluate_published(recipe: Recipe, weights: Path, console: Console) -> Evaluated:
    """Score a public checkpoint of the recipe's network on the recipe's validation split.

    Raises:
        ConfigError: the recipe lacks a validation split. WeightsError: the file does not fit the recipe's network, or
            leaves a part of it, such as its plug-in, without weights.
    """

    def load(network: HeatmapNetwork, num_keypoints: int) -> None:
        loaded = load_published(network, weights)
        if loaded.fresh:
            raise WeightsError(
                f"{weights} leaves {len(loaded.fresh)} tensors of {_network(recipe, num_keypoints)} without weights, "
                f"such as {loaded.fresh[0]}; to train from it: `posestream train RECIPE model.weights={weights}`"
            )

    return _evaluate(recipe, load, str(weights), console)


def _evaluate(recipe: Recipe, load: Callable[[HeatmapNetwork, int], None], weights: str, console: Console) -> Evaluated:
    """Score the recipe's network with the weights that `load` gives it, knowing the number of keypoints."""
    if recipe.data.val is None:
        raise ConfigError("data.val is not set; give the split to evaluate on, e.g. data.val=/data/coco/val2017")
    dataset = open_split(recipe.data.val, recipe.storage)
    require_evaluator(dataset.manifest.dataset)
    task = TopDownTask(recipe, dataset.skeleton)
    network = task.build_model(pretrained=False)
    load(network, dataset.skeleton.num_keypoints)
    if recipe.train.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    fabric = make_fabric(recipe.evaluate.precision)
    model = fabric.setup(network)
    samples = evaluation_samples(recipe, dataset)
    with SampleProgress(console, f"evaluating {Path(weights).name}", len(samples)) as bar:
        predictions = predict_split(task, model, network, samples, fabric.device, bar.advance)
    score = score_split(recipe, dataset, predictions, left_out=len(samples) - len(predictions))
    return Evaluated(recipe, dataset, weights, predictions, score)


def _network(recipe: Recipe, num_keypoints: int) -> str:
    config = recipe.model
    plugin = "" if config.plugin is None else f" + {config.plugin} {config.plugin_options}"
    return f"{config.name} {config.options}{plugin} for {num_keypoints} keypoints"


def write_evaluation(evaluated: Evaluated, out: Path, compared: dict[str, Score] | None = None) -> None:
    """Write metrics.json, recipe.json, report.html, and results.json in the benchmark's submission layout.

    MPII gets a pred.mat beside it, which the field's scripts read.

    Args:
        compared: more named scores for the report's table.
    """
    out.mkdir(parents=True, exist_ok=True)
    dataset, score = evaluated.dataset, evaluated.score
    metrics = {name: value if np.isfinite(value) else None for name, value in score.metrics.items()}
    facts = _facts(evaluated)
    content = {"primary": score.primary, "metrics": metrics, "notes": score.notes, **facts}
    (out / "metrics.json").write_text(json.dumps(content, indent=1) + "\n")
    (out / "recipe.json").write_text(evaluated.recipe.to_json() + "\n")
    (out / "results.json").write_text(json.dumps(score.results) + "\n")
    if dataset.manifest.dataset == "mpii":
        write_pred_mat(out / "pred.mat", ground_truth(dataset), evaluated.predictions)
    pictures = (
        (name, encode_picture(annotated, ".jpg"), encode_picture(predicted, ".jpg"))
        for name, annotated, predicted in prediction_pictures(dataset, evaluated.predictions)
    )
    title = f"{evaluated.recipe.name} on {dataset.manifest.dataset} {dataset.manifest.split}"
    scores = {Path(evaluated.weights).name: score} | (compared or {})
    (out / "report.html").write_text(report_html(title, scores, facts, pictures), encoding="utf-8")


def _facts(evaluated: Evaluated) -> dict[str, str]:
    recipe, dataset = evaluated.recipe, evaluated.dataset
    return {
        "recipe": recipe.name,
        "model": _network(recipe, dataset.skeleton.num_keypoints),
        "weights": evaluated.weights,
        "split": dataset.folder.uri,
        "dataset digest": dataset.manifest.digest(),
        "boxes": recipe.evaluate.detections or "ground truth",
        "crop": f"{recipe.data.crop_size[0]}x{recipe.data.crop_size[1]} px, {recipe.data.convention}",
        "decoding": recipe.heatmap.decoding,
        "flip test": f"shift {recipe.evaluate.flip_shift}" if recipe.evaluate.flip_test else "no",
        "precision": resolved_precision(recipe.evaluate.precision),
        "posestream": _own_version(),
        "torch": torch.__version__,
        "DALI": DALI_VERSION,
        "python": platform.python_version(),
    }


def _own_version() -> str:
    try:
        return version("posestream")
    except PackageNotFoundError:  # a checkout that a job was started from
        return "not installed"
