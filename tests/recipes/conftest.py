"""Which recipe stands in which file."""

import importlib
from pathlib import Path

import pytest

import recipes


@pytest.fixture(scope="session")
def own_recipes() -> dict[str, list[str]]:
    """Stem of each file in recipes/ → names of the recipes that it defines."""
    found = {}
    for path in Path(recipes.__file__).parent.glob("[!_]*.py"):
        module = importlib.import_module(f"recipes.{path.stem}")
        found[path.stem] = [recipe.name for recipe in getattr(module, "recipes", None) or (module.recipe,)]
    return found
