"""A search's own settings, and its recipe's, from the command line."""

import difflib
import json
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from engine.config import ConfigError
from engine.frozen import Frozen
from tune.space import Asha, Pbt, Space

_PREFIX = "tune."
_SCHEDULERS = {"none": None, "asha": Asha(), "pbt": Pbt()}


def adjusted(space: Space, assignments: Sequence[str]) -> Space:
    """The space with leaves set: its own as `tune.NAME=value`, the recipe's by their names; these are not searched.

    Raises:
        ConfigError: no such setting, or a value that it cannot take.
    """
    for text in assignments:
        name, separator, value = (part.strip() for part in text.partition("="))
        if not separator:
            raise ConfigError(f"{text!r} is not of the form key=value, e.g. tune.trials=16 or data.train=DIR")
        if name.startswith(_PREFIX):
            space = _with_leaf(space, name.removeprefix(_PREFIX), value, _PREFIX)
        else:
            search = {searched: one for searched, one in space.search.items() if searched != name}
            space = space.model_copy(update={"search": search, "settings": (*space.settings, text)})
    return space


def _with_leaf(group: Any, path: str, text: str, prefix: str) -> Any:
    name, _, rest = path.partition(".")
    fields = [field for field in type(group).model_fields if field not in ("search", "recipe", "settings", "kind")]
    if name not in fields:
        near = difflib.get_close_matches(name, fields, n=1)
        hint = f" Did you mean {prefix}{near[0]}?" if near else ""
        raise ConfigError(f"no setting {prefix + path!r}.{hint} {prefix}* are: {', '.join(fields)}")
    current = getattr(group, name)
    if rest and not isinstance(current, Frozen):
        raise ConfigError(f"{prefix}{path}: {prefix}{name} is {current!r} and has no settings of its own")
    value = _with_leaf(current, rest, text, f"{prefix}{name}.") if rest else _reading(name, current, text, prefix)
    try:
        return type(group).model_validate({**dict(group), name: value})
    except ValidationError as error:
        problems = "; ".join(row["msg"].removeprefix("Value error, ") for row in error.errors())
        raise ConfigError(f"{prefix}{path}={text}: {problems}") from error


def _reading(name: str, current: Any, text: str, prefix: str) -> Any:
    if name == "scheduler":
        if text not in _SCHEDULERS:
            raise ConfigError(f"{prefix}{name}={text}: expected one of {', '.join(_SCHEDULERS)}")
        return _SCHEDULERS[text]
    if isinstance(current, Frozen):
        known = ", ".join(f"{prefix}{name}.{field}" for field in type(current).model_fields)
        raise ConfigError(f"{prefix}{name} is a group; set one of {known}")
    if text.lower() == "none":
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text
