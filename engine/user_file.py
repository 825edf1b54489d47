"""Python files of users: recipes and search spaces of their own."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from engine.config import ConfigError


def load_user_file(path: Path, what: str) -> ModuleType:
    """Run a user's file.

    Args:
        what: it should hold, for messages: "recipe".
    Raises:
        ConfigError: there is no such file, or it fails; the message names it.
    """
    if not path.is_file():
        raise ConfigError(f"no {what} {str(path)!r}: there is no such file")
    spec = importlib.util.spec_from_file_location(f"{what.replace(' ', '_')}_{path.stem}", path)
    assert spec is not None  # it is an existing .py file
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their annotations up there
    try:
        spec.loader.exec_module(module)
    except ValidationError as error:
        raise ConfigError(f"{path}: {'; '.join(_problem(row) for row in error.errors())}") from error
    except Exception as error:  # whatever else a user's file does wrong
        raise ConfigError(f"{path}: {type(error).__name__}: {error}") from error
    finally:
        del sys.modules[spec.name]  # Ray's workers have no such module; what is in none is sent to them whole
    return module


def _problem(row: Any) -> str:
    where = ".".join(map(str, row["loc"]))
    return ": ".join(filter(None, [where, row["msg"].removeprefix("Value error, ")]))
