"""The recipe that a command line asks for, and the weights for it."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from commands.screen import say

if TYPE_CHECKING:
    from engine.config import Recipe
    from engine.trained import Weights


def chosen_recipe(name: str, settings: list[str] | None, seed: int | None = None) -> "Recipe":
    from engine.config import override
    from recipes import load_recipe

    return override(load_recipe(name), (settings or []) + ([] if seed is None else [f"train.seed={seed}"]))


def with_weights(
    name: str, checkpoint: str | None, weights: Path | None, settings: list[str] | None
) -> tuple["Recipe", "Weights"]:
    """The recipe as the checkpoint was trained, or for public weights as it is, with the command line's settings."""
    from engine.checkpoint import load_checkpoint, with_trained_settings
    from engine.config import override
    from engine.remote_file import local_file
    from engine.trained import OwnWeights, PublicWeights
    from recipes import load_recipe

    if (checkpoint is None) == (weights is None):
        raise typer.BadParameter("give one of them", param_hint="--checkpoint, --weights")
    if weights is not None:
        return chosen_recipe(name, settings), PublicWeights(weights)
    assert checkpoint is not None
    path = local_file(checkpoint)
    base, changes = with_trained_settings(load_recipe(name), load_checkpoint(path))
    for change in changes:
        say(f"note: {change}")
    return override(base, settings or []), OwnWeights(path)
