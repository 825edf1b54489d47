"""Experiments: a file holds one idea, such as a system on a dataset, as `recipe` or as several `recipes`.

Each recipe is found by its own name, or by the path of a file of your own.
"""

import difflib
import importlib
from functools import cache
from pathlib import Path
from types import ModuleType

from engine.config import ConfigError, Recipe, parse_recipe
from engine.user_file import load_user_file

_FOLDER = Path(__file__).parent
_SHOWN = 8


def list_recipes() -> list[str]:
    """Names of the recipes that come with posestream."""
    return sorted(_catalogue())


def load_recipe(name_or_path: str) -> Recipe:
    """The recipe of that name, in that Python file (which is run), or in the recipe.json of a run folder.

    A file with several recipes is asked for one of them by `path/to/file.py:NAME`.

    Raises:
        ConfigError: no such recipe (with those of a similar name), or the file defines none or several.
    """
    if name_or_path.endswith(".json"):
        return _stored_recipe(Path(name_or_path))
    path, suffix, name = name_or_path.rpartition(".py")
    if suffix and (not name or name.startswith(":")):
        return _recipe_of_file(Path(path + suffix), name.removeprefix(":"))
    known = _catalogue()
    if name_or_path not in known:
        raise _unknown(name_or_path, known)
    return known[name_or_path]


@cache
def _catalogue() -> dict[str, Recipe]:
    """Every recipe of this folder by its name. Raises ConfigError for a name that is given twice."""
    found: dict[str, Recipe] = {}
    file_of: dict[str, str] = {}
    for path in sorted(_FOLDER.glob("[!_]*.py")):
        for name, recipe in _recipes(importlib.import_module(f"{__name__}.{path.stem}"), path).items():
            if name in found:
                raise ConfigError(f"{path.name} and {file_of[name]} both define a recipe {name!r}")
            found[name], file_of[name] = recipe, path.name
    return found


def _recipe_of_file(path: Path, name: str) -> Recipe:
    """The one recipe of a user's file, or that of the given name."""
    recipes = _recipes(load_user_file(path, "recipe"), path)
    if not name and len(recipes) > 1:
        raise ConfigError(f"{path} holds several recipes; say which: {', '.join(f'{path}:{one}' for one in recipes)}")
    chosen = name or next(iter(recipes))
    if chosen not in recipes:
        raise ConfigError(f"{path} has no recipe {chosen!r}; it holds {', '.join(recipes)}")
    return recipes[chosen]


def _recipes(module: ModuleType, path: Path) -> dict[str, Recipe]:
    """A file's recipes by name."""
    given = getattr(module, "recipes", getattr(module, "recipe", None))
    several = given if isinstance(given, tuple | list) else (given,)
    recipes = {one.name: one for one in several if isinstance(one, Recipe)}
    if not several or len(recipes) < len(several):
        found = ", ".join(one.name if isinstance(one, Recipe) else type(one).__name__ for one in several)
        raise ConfigError(
            f"{path} must define `recipe = Recipe(...)`, or several of different names as `recipes = (...)`, "
            f"found {found or 'nothing'}"
        )
    return recipes


def _unknown(name: str, known: dict[str, Recipe]) -> ConfigError:
    containing = [one for one in known if name and name in one]
    near = sorted(containing, key=len) or difflib.get_close_matches(name, known, n=_SHOWN)
    if near:
        more = f" and {len(near) - _SHOWN} more" if len(near) > _SHOWN else ""
        return ConfigError(f"no recipe {name!r}; did you mean {', '.join(near[:_SHOWN])}{more}?")
    systems = sorted({one.partition("_")[0] for one in known})
    return ConfigError(
        f"no recipe {name!r}; give a path to a .py or recipe.json file, or a name that begins with {', '.join(systems)}"
    )


def _stored_recipe(path: Path) -> Recipe:
    try:
        return parse_recipe(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ConfigError) as error:
        raise ConfigError(f"{path} is not a stored recipe: {error}") from error
