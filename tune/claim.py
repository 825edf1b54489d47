"""search.json: what is searched in a folder, so that no other search goes on there."""

import json
from importlib.metadata import version
from typing import Any

from engine.config import ConfigError, Recipe
from sharding.storage import Folder
from tune.distributions import Distribution
from tune.failure import write_json
from tune.places import shown_tree
from tune.space import Space
from tune.trials import SEARCH

_PACKAGES = ("ray", "optuna", "torch")
_COMPARED = ("recipe", "search", "metric", "mode", "trials", "seed", "searcher", "scheduler")


def as_data(space: Space, base: Recipe) -> dict[str, Any]:
    """What search.json holds: the space and the recipe that its trials vary."""
    search = {name: _distribution_data(one) for name, one in space.search.items()}
    own = space.model_copy(update={"search": {}}).model_dump(mode="json")
    return own | {"search": search, "base": json.loads(base.to_json())}


def _distribution_data(distribution: Distribution) -> dict[str, Any]:
    return {"kind": type(distribution).__name__} | vars(distribution)


def claim(folder: Folder, space: Space, base: Recipe) -> None:
    """Say in the folder what is searched; raise ConfigError if it holds another search."""
    new = shown_tree(json.loads(json.dumps(as_data(space, base))))
    if folder.exists(SEARCH):
        old = json.loads(folder.read(SEARCH))
        different = [
            f"{name} was {json.dumps(old.get(name))}, is {json.dumps(new[name])}"
            for name in _COMPARED
            if old.get(name) != new[name]
        ] + _different_leaves(old.get("base", {}), new["base"])
        if different:
            raise ConfigError(f"{folder.uri} holds another search ({'; '.join(different)}); choose another --out")
        return
    versions = {name: version(name) for name in _PACKAGES}
    write_json(folder, SEARCH, new | {"versions": versions})


def _different_leaves(old: Any, new: Any, prefix: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        names = sorted(old.keys() | new.keys())
        return [line for name in names for line in _different_leaves(old.get(name), new.get(name), f"{prefix}{name}.")]
    return [] if old == new else [f"{prefix.rstrip('.')} was {json.dumps(old)}, is {json.dumps(new)}"]
