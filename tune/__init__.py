"""Searches, ablations, jobs, and training on many machines, on Ray.

A search space is a file in tune/spaces that holds one `space`; it is found by its name, or by the path of one's own.
"""

import difflib
import importlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from engine.config import ConfigError

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
        space = _space_of(_module_of_file(path), name_or_path)
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


def _module_of_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"no search space {str(path)!r}: there is no such file")
    spec = importlib.util.spec_from_file_location(f"space_{path.stem}", path)
    assert spec is not None  # it is an existing .py file
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ValidationError as error:
        raise ConfigError(f"{path}: {'; '.join(_problem(row) for row in error.errors())}") from error
    except Exception as error:  # whatever else a user's file does wrong
        raise ConfigError(f"{path}: {type(error).__name__}: {error}") from error
    return module


def _problem(row: Any) -> str:
    where = ".".join(map(str, row["loc"]))
    return ": ".join(filter(None, [where, row["msg"].removeprefix("Value error, ")]))


def _space_of(module: ModuleType, where: str) -> "Space":
    from tune.space import Space

    space = getattr(module, "space", None)
    if not isinstance(space, Space):
        raise ConfigError(f"{where} must define `space = Space(...)`, found {type(space).__name__}")
    return space
