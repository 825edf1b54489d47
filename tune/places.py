"""Paths that mean the same in every process of a cluster, whatever its working directory is."""

from pathlib import Path
from typing import Any

from engine.config import Recipe, leaves, parse_recipe
from sharding.store_uri import redacted

PATH_SETTINGS = ("run_dir", "data.train", "data.val", "model.weights", "evaluate.detections", "storage.cache",
          "bottomup.grouping.score_net")  # fmt: skip


def absolute(place: str) -> str:
    """A URI as it is, a path from the root."""
    return place if "://" in place else str(Path(place).expanduser().resolve())


def shown_tree(value: Any) -> Any:
    """A tree as data that may be shown: URIs in it without their secrets."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {key: shown_tree(one) for key, one in value.items()}
    return [shown_tree(one) for one in value] if isinstance(value, list | tuple) else value


def with_absolute_places(recipe: Recipe) -> Recipe:
    """The recipe with every path that it names made absolute."""
    tree, set_ones = recipe.model_dump(), leaves(recipe)
    for name in PATH_SETTINGS:
        value = set_ones.get(name)
        if value is not None:
            *groups, leaf = name.split(".")
            node: dict[str, Any] = tree
            for group in groups:
                node = node[group]
            node[leaf] = absolute(value) if isinstance(value, str) else tuple(map(absolute, value))
    return parse_recipe(tree)
