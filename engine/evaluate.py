"""Evaluation of a checkpoint, our own or a public one: the official score, its files, and a report with pictures."""

import json
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from engine.bottomup_config import BottomUpConfig
from engine.config import ConfigError, Recipe
from engine.data import open_split
from engine.fabric import make_fabric, resolved_precision
from engine.inference import predict_split, score_split
from engine.pictures import SHOWN_PEAK, SHOWN_PRODUCT, prediction_pictures
from engine.progress import SampleProgress
from engine.scorer import ranks_by_network, scorer_file, scorer_of
from engine.tasks import make_task
from engine.trained import Weights, network_name, ready_network
from evaluation.mpii import write_pred_mat
from evaluation.predictions import Predictions
from evaluation.report import report_html
from evaluation.score import Score, require_evaluator
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
    return Evaluated(recipe, dataset, name, answers.predictions, score_split(task, dataset, answers))


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
    shown_score = SHOWN_PEAK if evaluated.recipe.bottomup is None else SHOWN_PRODUCT
    pictures = (
        (name, encode_picture(annotated, ".jpg"), encode_picture(predicted, ".jpg"))
        for name, annotated, predicted in prediction_pictures(dataset, evaluated.predictions, shown_score)
    )
    title = f"{evaluated.recipe.name} on {dataset.manifest.dataset} {dataset.manifest.split}"
    scores = {Path(evaluated.weights).name: score} | (compared or {})
    (out / "report.html").write_text(report_html(title, scores, facts, pictures), encoding="utf-8")


def _facts(evaluated: Evaluated) -> dict[str, str]:
    recipe, dataset = evaluated.recipe, evaluated.dataset
    return {
        "recipe": recipe.name,
        "model": network_name(recipe, dataset.skeleton.num_keypoints),
        "weights": evaluated.weights,
        "split": dataset.folder.uri,
        "dataset digest": dataset.manifest.digest(),
        **(_topdown_facts(recipe) if recipe.bottomup is None else _bottomup_facts(recipe, recipe.bottomup)),
        "flip test": f"shift {recipe.evaluate.flip_shift}" if recipe.evaluate.flip_test else "no",
        "precision": resolved_precision(recipe.evaluate.precision),
        "posestream": _own_version(),
        "torch": torch.__version__,
        "DALI": DALI_VERSION,
        "python": platform.python_version(),
    }


def _topdown_facts(recipe: Recipe) -> dict[str, str]:
    return {
        "boxes": recipe.evaluate.detections or "ground truth",
        "crop": f"{recipe.data.crop_size[0]}x{recipe.data.crop_size[1]} px, {recipe.data.convention}",
        "decoding": recipe.heatmap.decoding,
    }


def _bottomup_facts(recipe: Recipe, config: BottomUpConfig) -> dict[str, str]:
    side = config.test.short_side or recipe.data.crop_size[0]
    scales = ", ".join(f"{scale:g}" for scale in config.test.scales)
    return {
        "boxes": "none",
        "input": f"{config.test.fit} side {side} px at scales {scales}",
        "poses": config.grouping.quality,
        "scoring": config.grouping.scoring if ranks_by_network(recipe) else "naive",
        "score network": config.grouping.score_net or "beside the weights" if ranks_by_network(recipe) else "none",
    }


def _own_version() -> str:
    try:
        return version("posestream")
    except PackageNotFoundError:  # a checkout that a job was started from
        return "not installed"
