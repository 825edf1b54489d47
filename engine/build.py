"""A recipe's network."""

from pathlib import Path

import torch

from engine.config import ConfigError, Recipe
from models import HeatmapNetwork, create_model, load_published


def build_model(recipe: Recipe, num_keypoints: int, pretrained: bool = True) -> HeatmapNetwork:
    """The recipe's network with weights drawn from the recipe's seed; those of the file that it names, if any, on top
    of them where `pretrained` is set."""
    config = recipe.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.train.seed)
        try:
            model = create_model(
                config.name,
                num_keypoints,
                plugin=config.plugin,
                plugin_options=config.plugin_options,
                **config.options,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"model: {error.args[0]}") from error
    if pretrained and config.weights is not None:
        load_published(model, Path(config.weights))
    return model
