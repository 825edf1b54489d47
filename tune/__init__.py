"""Searches, ablations, jobs, and training on many machines, on Ray.

A search space is a file in tune/spaces that holds one `space`; it is found by its name, or by the path of one's own.
"""

import difflib
import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from engine.config import ConfigError
from engine.user_file import load_user_file

if TYPE_CHECKING:
    from tune.space import Space

_FOLDER = Path(__file__).parent / "spaces"


def list_spaces() -> list[str]:
    """Names of the search spaces that come with posestream."""
    return sorted(path.stem for path in _FOLDER.glob("[!_]*.py"))


def load_space(name_or_path: str) -> "Space":
    """The search space of that name, or in that Python file (which is run).

    Raises:
        ConfigError: no such space (with those that there are), or the file defines none.
    """
    if name_or_path.endswith(".py"):
        path = Path(name_or_path)
        space = _space_of(load_user_file(path, "search space"), name_or_path)
        beside = path.parent / space.recipe
        return space.model_copy(update={"recipe": str(beside)}) if beside.is_file() else space
    known = list_spaces()
    if name_or_path not in known:
        near = difflib.get_close_matches(name_or_path, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ConfigError(
            f"no search space {name_or_path!r}.{hint} There are {', '.join(known)}, or a path to a .py file"
        )
    return _space_of(importlib.import_module(f"{__name__}.spaces.{name_or_path}"), name_or_path)


def _space_of(module: ModuleType, where: str) -> "Space":
    from tune.space import Space

    space = getattr(module, "space", None)
    if not isinstance(space, Space):
        raise ConfigError(f"{where} must define `space = Space(...)`, found {type(space).__name__}")
    return space
