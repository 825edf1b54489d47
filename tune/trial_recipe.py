"""The recipe that a search varies, and those of its trials."""

from typing import Any

import torch

from engine.build import build_model
from engine.config import ConfigError, Recipe, leaves, override
from recipes import load_recipe
from tune.distributions import assignment
from tune.space import Space

_OF_THE_TRIAL = ("name", "run_dir", "data.threads")  # set for each trial


def base_recipe(space: Space) -> Recipe:
    """The recipe that trials vary, after checking that it takes everything that is searched.

    Raises:
        ConfigError: a name or value that the recipe cannot take, or nothing is left to search.
    """
    base = override(load_recipe(space.recipe), space.settings)
    given = {name: value for name, value in leaves(base).items() if name in _OF_THE_TRIAL}
    unset = leaves(load_recipe(space.recipe))
    for name in _OF_THE_TRIAL:
        if name in space.search or given[name] != unset[name]:
            raise ConfigError(
                f"{name} is set for each trial: --out says where they go, tune.resources.cpus the threads"
            )
    if not space.search:
        raise ConfigError("nothing is left to search: every searched setting was given a value")
    for name, distribution in space.search.items():
        for value in distribution.examples:
            _require_network(override(base, [assignment(name, value)]), name)
    if base.data.train is None or (base.data.val is None and space.metric != "loss"):
        raise ConfigError("a search needs data.train=DIR and, unless tune.metric is loss, data.val=DIR")
    return base


def _require_network(recipe: Recipe, searched: str) -> None:
    """Raise ConfigError if a network's own options, which no type describes, are not what its builder takes."""
    if searched.startswith("model."):
        with torch.device("meta"):  # nothing is allocated
            build_model(recipe, num_keypoints=17, pretrained=False)


def trial_recipe(base: Recipe, config: dict[str, Any]) -> Recipe:
    """The recipe of the trial with these searched settings. Raises ConfigError if they do not go together."""
    return override(base, [assignment(name, value) for name, value in config.items()])
