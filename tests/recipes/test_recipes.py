"""Every recipe that comes with posestream can be run as the first lines of its file say."""

import json
import re
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

import recipes
from engine.config import leaves, override, parse_recipe
from models import HeatmapNetwork, create_model
from recipes import list_recipes, load_recipe

NAMES = list_recipes()
FILES = sorted(Path(recipes.__file__).parent.glob("[!_]*.py"))


def test_the_recipes_that_the_command_line_leans_on_exist() -> None:
    assert {
        "demo_synthetic",
        "simplebaseline_resnet50_coco_256x192",
        "simplebaseline_resnet50_mpii_256x256",
        "simplebaseline_resnet50_crowdpose_256x192",
    } <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_has_its_own_run_folder_and_says_its_size(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.run_dir == f"runs/{name}"
    assert parse_recipe(recipe.to_json()) == recipe
    size = re.search(r"_(\d+)x(\d+)$", name)
    assert size is None or recipe.data.crop_size == (int(size[1]), int(size[2]))


@pytest.mark.parametrize("name", NAMES)
def test_the_learning_rate_drops_before_the_training_ends(name: str) -> None:
    recipe = load_recipe(name)
    if recipe.optim.schedule == "multistep":
        assert list(recipe.optim.milestones) == sorted(set(recipe.optim.milestones))
        assert all(milestone < recipe.train.epochs for milestone in recipe.optim.milestones)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_commands_of_a_file_are_valid_and_its_own(file: Path, own_recipes: dict[str, list[str]]) -> None:
    commands = re.findall(r"posestream train (\S+)((?:[\s\\]+[a-z_]+(?:\.[a-z_]+)*=\S+)*)", file.read_text())
    assert commands, file
    for name, words in commands:
        assert name in own_recipes[file.stem]
        recipe = load_recipe(name)
        settings = leaves(override(recipe, re.findall(r"[a-z_]+(?:\.[a-z_]+)*=\S+", words)))
        assert settings["data.train"] is not None
        detector = "_coco_" in name or "_crowdpose_" in name
        assert (settings["evaluate.detections"] is not None) == detector


@pytest.mark.parametrize("name", NAMES)
def test_its_network_builds_and_answers_at_the_declared_strides(name: str) -> None:
    recipe = load_recipe(name)
    height, width = recipe.data.crop_size
    network = built(recipe.model.model_dump_json())
    maps, features = base_answers(recipe.model.model_copy(update={"plugin": None}).model_dump_json(), height, width)
    if network.plugin is not None:
        with torch.device("meta"), torch.no_grad():
            maps = (*maps, *network.plugin(features, maps[-1]))
    for output, found in zip(network.outputs, maps, strict=True):
        channels = num_keypoints(recipe.model.name) if output.parts is None else len(output.parts)
        assert found.shape == (1, channels, round(height / output.stride), round(width / output.stride)), output.name


@cache
def base_answers(model: str, height: int, width: int) -> tuple[tuple[Tensor, ...], Tensor]:
    """Shapes of what a base network answers; the networks with plug-ins share them, for speed."""
    with torch.device("meta"), torch.no_grad():
        return built(model).base(torch.empty(1, 3, height, width))


@cache
def built(model: str) -> HeatmapNetwork:
    """The network of a model's settings as JSON, which can be looked up; it holds no numbers."""
    settings = json.loads(model)
    with torch.device("meta"):
        return create_model(
            settings["name"],
            num_keypoints(settings["name"]),
            plugin=settings["plugin"],
            plugin_options=settings["plugin_options"],
            **settings["options"],
        ).eval()


def num_keypoints(model: str) -> int:
    """Those of COCO, but for a network that knows the parts of one skeleton."""
    return 16 if model == "dlcm" else 17
