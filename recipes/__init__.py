"""One short Python file per experiment, each with a `recipe`, and how to find them by name or path."""

import importlib.util
from pathlib import Path

from engine.config import ConfigError, Recipe, parse_recipe

_FOLDER = Path(__file__).parent


def list_recipes() -> list[str]:
    """Names of the recipes that come with posestream."""
    return sorted(path.stem for path in _FOLDER.glob("*.py") if not path.stem.startswith("_"))


def load_recipe(name_or_path: str) -> Recipe:
    """The recipe of that name, in that Python file (which is run), or in the recipe.json of a run folder.

    Raises:
        ConfigError: no such recipe (lists the known ones), or the file defines no `recipe`.
    """
    if name_or_path.endswith(".json"):
        return _stored_recipe(Path(name_or_path))
    path = Path(name_or_path) if name_or_path.endswith(".py") else _FOLDER / f"{name_or_path}.py"
    if not path.is_file() or (path.parent == _FOLDER and path.stem not in list_recipes()):
        raise ConfigError(
            f"no recipe {name_or_path!r}; give a path to a .py or recipe.json file or one of: "
            f"{', '.join(list_recipes())}"
        )
    spec = importlib.util.spec_from_file_location(f"recipe_{path.stem}", path)
    assert spec is not None  # it is an existing .py file
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's file does wrong
        raise ConfigError(f"{path}: {type(error).__name__}: {error}") from error
    recipe = getattr(module, "recipe", None)
    if not isinstance(recipe, Recipe):
        raise ConfigError(f"{path} must define `recipe = Recipe(...)`, found {type(recipe).__name__}")
    return recipe


def _stored_recipe(path: Path) -> Recipe:
    try:
        return parse_recipe(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ConfigError) as error:
        raise ConfigError(f"{path} is not a stored recipe: {error}") from error
