"""What was evaluated, on what, with what: the lines under a score."""

import platform
from importlib.metadata import PackageNotFoundError, version

import torch

from engine.bottomup_config import BottomUpConfig
from engine.config import Recipe
from engine.evaluate import Evaluated
from engine.fabric import resolved_precision
from engine.scorer import ranks_by_network
from engine.trained import network_name
from pipelines.dali_graph import DALI_VERSION


def evaluation_facts(evaluated: Evaluated) -> dict[str, str]:
    recipe, dataset = evaluated.recipe, evaluated.dataset
    return {
        "recipe": recipe.name,
        "model": network_name(recipe, dataset.skeleton.num_keypoints),
        "keypoints": dataset.skeleton.name,
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
