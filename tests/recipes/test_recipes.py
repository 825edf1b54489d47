"""Every recipe that comes with posestream can be run as its first lines say."""

import ast
import re
from pathlib import Path

import pytest
import torch

import recipes
from engine.config import ConfigError, leaves, override, parse_recipe
from models import create_model
from recipes import list_recipes, load_recipe

NAMES = list_recipes()
FOLDER = Path(recipes.__file__).parent


def docstring(name: str) -> str:
    return ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text())) or ""


def test_the_recipes_that_the_command_line_leans_on_exist() -> None:
    assert {
        "demo_synthetic",
        "simplebaseline_resnet50_coco_256x192",
        "simplebaseline_resnet50_mpii_256x256",
        "simplebaseline_resnet50_crowdpose_256x192",
    } <= set(NAMES)
    assert "__init__" not in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_named_after_its_file_and_has_its_own_run_folder(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.run_dir == f"runs/{name}"
    assert parse_recipe(recipe.to_json()) == recipe


@pytest.mark.parametrize("name", NAMES)
def test_the_command_in_its_docstring_is_valid(name: str) -> None:
    text = docstring(name)
    command = re.search(r"posestream train (\S+)((?:[\s\\]+[a-z_]+(?:\.[a-z_]+)*=\S+)*)", text)
    assert command is not None, text
    assert command[1] == name
    settings = re.findall(r"[a-z_]+(?:\.[a-z_]+)*=\S+", command[2])
    changed = leaves(override(load_recipe(name), settings))
    assert changed["data.train"] is not None


@pytest.mark.parametrize("name", NAMES)
def test_its_network_builds_and_answers_at_the_declared_stride(name: str) -> None:
    recipe = load_recipe(name)
    height, width = recipe.data.crop_size
    with torch.device("meta"):
        network = create_model(recipe.model.name, 17, **recipe.model.options)
        maps = network(torch.empty(2, 3, height, width))
    for output, found in zip(network.outputs, maps, strict=True):
        assert found.shape == (2, 17, height / output.stride, width / output.stride)


@pytest.mark.parametrize("name", NAMES)
def test_the_learning_rate_drops_before_the_training_ends(name: str) -> None:
    recipe = load_recipe(name)
    if recipe.optim.schedule == "multistep":
        assert list(recipe.optim.milestones) == sorted(set(recipe.optim.milestones))
        assert all(milestone < recipe.train.epochs for milestone in recipe.optim.milestones)


@pytest.mark.parametrize(
    ("dataset", "size", "scale", "rotation"),
    [("coco", "256x192", 0.3, 40), ("mpii", "256x256", 0.25, 30), ("crowdpose", "256x192", 0.3, 40)],
)
def test_simplebaseline_follows_the_published_recipe(dataset: str, size: str, scale: float, rotation: float) -> None:
    """Specs 0.4."""
    recipe = load_recipe(f"simplebaseline_resnet50_{dataset}_{size}")
    assert "x".join(map(str, recipe.data.crop_size)) == size
    assert (recipe.augmentation.scale_factor, recipe.augmentation.rotation_factor) == (scale, rotation)
    assert (recipe.augmentation.rotation_probability, recipe.augmentation.flip_probability) == (0.6, 0.5)
    assert recipe.augmentation.half_body_probability == 0
    assert (recipe.optim.name, recipe.optim.lr, recipe.optim.weight_decay) == ("adam", 1e-3, 0)
    assert (recipe.optim.schedule, recipe.optim.milestones, recipe.optim.gamma) == ("multistep", (90, 120), 0.1)
    assert (recipe.train.epochs, recipe.train.batch_size * recipe.train.accumulate) == (140, 128)
    assert (recipe.heatmap.sigma, recipe.heatmap.encoding, recipe.heatmap.decoding) == (2, "rounded", "quarter")
    assert (recipe.evaluate.flip_test, recipe.evaluate.flip_shift, recipe.evaluate.nms_threshold) == (
        True,
        "public",
        0.9,
    )
    assert (recipe.data.box_padding, recipe.data.convention) == (1.25, "hrnet")


def test_a_recipe_is_loaded_by_path_and_sees_its_own_file(tmp_path: Path) -> None:
    source = (FOLDER / "demo_synthetic.py").read_text().replace('name="demo_synthetic"', "name=__name__")
    (tmp_path / "mine.py").write_text(source)
    mine = load_recipe(str(tmp_path / "mine.py"))
    assert mine.name == "recipe_mine"
    assert mine.model == load_recipe("demo_synthetic").model


@pytest.mark.parametrize("name", ["hourglass", "__init__", "hourglass.py", "", "/nowhere/x.py"])
def test_an_unknown_recipe_lists_the_known_ones(name: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"no recipe {name!r}")) as error:
        load_recipe(name)
    assert all(known in str(error.value) for known in NAMES)


@pytest.mark.parametrize(("source", "found"), [("x = 1\n", "NoneType"), ("recipe = {'name': 1}\n", "dict")])
def test_a_file_without_a_recipe_says_what_it_must_define(tmp_path: Path, source: str, found: str) -> None:
    (tmp_path / "wrong.py").write_text(source)
    with pytest.raises(ConfigError, match=rf"wrong\.py must define `recipe = Recipe\(\.\.\.\)`, found {found}"):
        load_recipe(str(tmp_path / "wrong.py"))
