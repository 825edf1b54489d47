"""Every recipe that comes with posestream can be run as the first lines of its file say."""

import json
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from torch import Tensor

import recipes
from engine.config import leaves, override, parse_recipe
from models import HeatmapNetwork, OutputMap, create_model
from posestream import app
from recipes import list_recipes, load_recipe

NAMES = list_recipes()
FILES = sorted(Path(recipes.__file__).parent.glob("[!_]*.py"))
CLI = typer.main.get_group(app)


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
    if recipe.bottomup is not None and name != "memorise_bottomup":
        side = int(name.rpartition("_")[2])
        assert recipe.data.crop_size == (side, side)


@pytest.mark.parametrize("name", NAMES)
def test_the_learning_rate_drops_before_the_training_ends(name: str) -> None:
    recipe = load_recipe(name)
    if recipe.optim.schedule == "multistep":
        assert list(recipe.optim.milestones) == sorted(set(recipe.optim.milestones))
        assert all(milestone < recipe.train.epochs for milestone in recipe.optim.milestones)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_commands_of_a_file_are_valid_and_its_own(file: Path, own_recipes: dict[str, list[str]]) -> None:
    commands = commands_in(file.read_text().split('"""')[1])
    assert "train" in [command for command, _ in commands], file
    for command, arguments in commands:
        given = understood(command, arguments)
        name = given["recipe"]
        assert name in own_recipes[file.stem]
        recipe = load_recipe(name)
        settings = leaves(override(recipe, given["settings"] or []))
        needed = {"train": ("train", "val"), "score-net": ("train",), "evaluate": ("val",)}[command]
        assert all(settings[f"data.{split}"] is not None for split in needed), command
        detector = recipe.bottomup is None and ("_coco_" in name or "_crowdpose_" in name)
        assert (settings["evaluate.detections"] is not None) == detector


def commands_in(text: str) -> list[tuple[str, list[str]]]:
    """(command, arguments) of every line that begins with `posestream`, with those that it goes on in."""
    lines = re.findall(r"^ {4}posestream ((?:.*\\\n)*.*)$", text, re.M)
    words = [shlex.split(line.replace("\\\n", " ")) for line in lines]
    return [(command, arguments) for command, *arguments in words]


def understood(command: str, arguments: list[str]) -> dict[str, Any]:
    """What the command line makes of the arguments; it raises an error for what the command does not have."""
    return CLI.commands[command].make_context(command, arguments).params


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
        shape = (channels(output, num_keypoints(recipe.model.name)), height / output.stride, width / output.stride)
        assert found.shape == (1, *map(round, shape)), output.name


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


def channels(output: OutputMap, keypoints: int) -> int:
    """How many maps an output has; offsets have an x and a y for each keypoint."""
    if output.parts is not None:
        return len(output.parts)
    return {"heatmaps": keypoints, "tags": keypoints, "center": 1, "offsets": 2 * keypoints}[output.kind]
