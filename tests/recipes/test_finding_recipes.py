"""Recipes are found by name, by path, and by name within a file; what is not found says what there is."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import recipes
from engine.config import ConfigError, Recipe
from recipes import list_recipes, load_recipe

ONE = """
from engine.config import DataConfig, ModelConfig, Recipe
recipe = Recipe(name=__name__, data=DataConfig(), model=ModelConfig(name="hrnet_w32"))
"""
SEVERAL = """
from engine.config import variant
from recipes import load_recipe
recipes = [variant(load_recipe("demo_synthetic"), name, f"train.epochs={len(name)}") for name in ("a", "bb")]
"""


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that stands in for recipes/ in this test."""
    monkeypatch.setattr(recipes, "_FOLDER", tmp_path)
    monkeypatch.setattr(recipes, "__path__", [str(tmp_path)])
    recipes._catalogue.cache_clear()
    yield tmp_path
    recipes._catalogue.cache_clear()
    for name in [name for name in sys.modules if name.startswith("recipes.test_")]:
        del sys.modules[name]
        delattr(recipes, name.partition(".")[2])


def test_names_are_sorted_and_unique_and_no_file_is_one() -> None:
    names = list_recipes()
    assert names == sorted(set(names))
    assert not {"__init__", "hrnet_coco", "recipes"} & set(names)


def test_a_name_gives_the_recipe_of_that_name() -> None:
    for name in list_recipes():
        assert load_recipe(name).name == name


def test_a_recipe_is_loaded_by_path_and_sees_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(ONE)
    for path in (f"{tmp_path}/mine.py", f"{tmp_path}/mine.py:recipe_mine"):
        mine = load_recipe(path)
        assert (mine.name, mine.run_dir, mine.model.name) == ("recipe_mine", "runs/recipe_mine", "hrnet_w32")


def test_a_file_with_several_recipes_is_asked_for_one(tmp_path: Path) -> None:
    path = tmp_path / "table.py"
    path.write_text(SEVERAL)
    assert [load_recipe(f"{path}:{name}").train.epochs for name in ("a", "bb")] == [1, 2]
    with pytest.raises(ConfigError, match=re.escape(f"{path} holds several recipes; say which: {path}:a, {path}:bb")):
        load_recipe(str(path))
    with pytest.raises(ConfigError, match=re.escape(f"{path} has no recipe 'c'; it holds a, bb")):
        load_recipe(f"{path}:c")


def test_a_stored_recipe_is_loaded_by_path(tmp_path: Path) -> None:
    recipe = load_recipe("demo_synthetic")
    (tmp_path / "recipe.json").write_text(recipe.to_json())
    assert load_recipe(str(tmp_path / "recipe.json")) == recipe
    (tmp_path / "recipe.json").write_text(json.dumps({"name": "x"}))
    with pytest.raises(ConfigError, match=r"recipe\.json is not a stored recipe: data: Field required"):
        load_recipe(str(tmp_path / "recipe.json"))


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("hrnet_w32_coco_256x129", "did you mean hrnet_w32_coco_256x192, "),
        ("hourglas", r"did you mean ((ae_)?hourglass_\w+(, )?){8} and 1 more\?$"),
        ("poserenet_mpii", r"did you mean hrnet_w32_poserenet_mpii_256x256\?$"),
        ("coco", r"did you mean (\w+_coco_\w+(, )?){8} and \d+ more\?$"),
    ],
)
def test_an_unknown_name_brings_those_of_a_similar_one(name: str, near: str) -> None:
    with pytest.raises(ConfigError, match=f"^no recipe '{name}'; {near}"):
        load_recipe(name)


@pytest.mark.parametrize("name", ["nope", "", "__init__", "/nowhere", "recipes"])
def test_a_name_like_no_other_brings_the_systems(name: str) -> None:
    says = re.escape(f"no recipe {name!r}; give a path to a .py or recipe.json file, or a name that begins with ae, ")
    with pytest.raises(ConfigError, match=f"^{says}cpn, .*hrnet, .*simplebaseline$"):
        load_recipe(name)


@pytest.mark.parametrize("path", ["/nowhere/x.py", "hourglass.py", "hourglass.py:name"])
def test_a_file_that_is_not_there_is_named(path: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"no recipe {path.partition(':')[0]!r}: there is no such file")):
        load_recipe(path)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("x = 1\n", "NoneType"),
        ("recipe = {'name': 1}\n", "dict"),
        ("recipes = []\n", "nothing"),
        ("recipes = 5\n", "int"),
        (SEVERAL + "recipes.append(3)", "a, bb, int"),
        (SEVERAL.replace('"bb"', '"a"'), "a, a"),
    ],
)
def test_a_file_without_recipes_says_what_it_must_define(tmp_path: Path, source: str, found: str) -> None:
    (tmp_path / "wrong.py").write_text(source)
    with pytest.raises(ConfigError, match=rf"wrong\.py must define `recipe = .*, found {found}$"):
        load_recipe(str(tmp_path / "wrong.py"))


def test_a_file_that_fails_is_named_with_its_error(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("import nowhere_to_be_found\n")
    with pytest.raises(ConfigError, match=r"wrong\.py: ModuleNotFoundError: No module named 'nowhere_to_be_found'"):
        load_recipe(str(tmp_path / "wrong.py"))


def test_a_file_in_the_folder_is_found_without_being_listed_anywhere(own_folder: Path) -> None:
    (own_folder / "test_new.py").write_text(ONE.replace("__name__", '"brand_new"'))
    (own_folder / "_hidden.py").write_text("nonsense")
    assert list_recipes() == ["brand_new"]
    assert isinstance(load_recipe("brand_new"), Recipe)


def test_a_name_that_two_files_give_is_an_error(own_folder: Path) -> None:
    for stem in ("test_one", "test_two"):
        (own_folder / f"{stem}.py").write_text(ONE.replace("__name__", '"same"'))
    with pytest.raises(ConfigError, match=r"test_two\.py and test_one\.py both define a recipe 'same'"):
        list_recipes()
