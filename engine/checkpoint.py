"""Checkpoints: written whole or not at all, read without unpickling code."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.config import ConfigError, Recipe, leaves, parse_recipe
from models.weights_file import WeightsError, load_tensors
from pose.errors import UserError
from pose.skeleton_file import SkeletonError, parse_skeleton, skeleton_to_dict
from pose.skeletons import Skeleton

_FORMAT = 2

# Settings that may differ between a checkpoint and the run that resumes it: they change neither the sequence of
# batches nor the weights. Splits are compared by digest, since they may have moved. The number of epochs is added where
# the learning rate does not depend on it.
_FREE_TO_CHANGE = (
    "name", "run_dir", "evaluate.", "data.train", "data.val", "data.threads", "data.prefetch",
    "data.on_bad_sample", "data.max_bad_share", "storage.",
    "train.validate_every", "train.checkpoint_every_steps", "train.keep_step_checkpoints", "train.verdict_seconds",
    "model.weights", "bottomup.test.", "bottomup.grouping.", "bottomup.score_net.",
)  # fmt: skip


# Settings that the weights were trained for: another crop or codec gives a plausible, wrong score and no error.
_TRAINED_DATA = ("crop_size", "box_padding", "convention", "channel_order", "normalisation")
_TRAINED_WITH = ("model.", "heatmap.", "bottomup.test.", *(f"data.{name}" for name in _TRAINED_DATA))


class CheckpointError(UserError, ValueError):
    """A checkpoint that cannot be used; the message names the file, what is wrong and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a run needs to go on, or to be evaluated.

    Attributes:
        model, optimizer, loader: state dictionaries.
        step: batches trained on. validated_epochs: epochs already scored, so that a kill during scoring repeats it.
        best: the best score so far, None before the first.
        rng_state: of torch's CPU generator.
        recipe: the resolved recipe. dataset_digest: of the training split's manifest. val_digest: of the validation
            split's, None without one. skeleton: what the network's keypoints are.
    """

    model: dict[str, Any]
    optimizer: dict[str, Any]
    loader: dict[str, Any]
    step: int
    validated_epochs: int
    best: float | None
    rng_state: torch.Tensor
    recipe: Recipe
    dataset_digest: str
    val_digest: str | None
    skeleton: Skeleton

    @property
    def num_keypoints(self) -> int:
        return self.skeleton.num_keypoints


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write it under a temporary name, to disk, then rename it: a kill leaves the previous checkpoint."""
    part = path.with_name(f"{path.name}.partial")
    own = {"recipe": checkpoint.recipe.to_json(), "skeleton": skeleton_to_dict(checkpoint.skeleton), "format": _FORMAT}
    content = vars(checkpoint) | own
    with part.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU. Raises CheckpointError."""
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist")
    try:
        content = load_tensors(path)
    except WeightsError as error:
        raise CheckpointError(f"{path} is not a readable checkpoint: {error}") from error
    if "learnt_from" in content:
        raise CheckpointError(f"{path} holds a scoring network; it is given as bottomup.grouping.score_net={path}")
    found = content.get("format")
    if "recipe" in content and isinstance(found, int) and found != _FORMAT:
        raise CheckpointError(
            f"{path} is a checkpoint of format {found}, this posestream reads {_FORMAT}: train again, or use the "
            "posestream that wrote it"
        )
    if found != _FORMAT or "recipe" not in content:
        raise CheckpointError(
            f"{path} is not a posestream checkpoint of format {_FORMAT}; a public one is scored by "
            f"`posestream evaluate RECIPE --weights {path}`"
        )
    del content["format"]
    try:
        skeleton = parse_skeleton(content["skeleton"], "skeleton")
        return Checkpoint(**content | {"recipe": parse_recipe(content["recipe"]), "skeleton": skeleton})
    except KeyError as error:
        raise CheckpointError(f"{path} lacks {error}: it is damaged; take another one") from error
    except (TypeError, ConfigError, SkeletonError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def require_same_run(
    checkpoint: Checkpoint, recipe: Recipe, dataset_digest: str, path: str, may_change: frozenset[str] = frozenset()
) -> None:
    """Raise CheckpointError unless going on from `checkpoint` with `recipe` continues the very same run.

    Args:
        may_change: settings that may differ besides those which make no difference.
    """
    old, new = leaves(checkpoint.recipe), leaves(recipe)
    free = _FREE_TO_CHANGE + (("train.epochs",) if recipe.optim.schedule == "multistep" else ())
    changed = [
        f"{name} was {old.get(name)!r}, is {new.get(name)!r}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name) and not name.startswith(free) and name not in may_change
    ]
    if checkpoint.dataset_digest != dataset_digest:
        changed.append("the training split is another one")
    if changed:
        raise CheckpointError(
            f"{path} is of a different run ({'; '.join(changed)}); choose another run_dir or delete it"
        )


def with_trained_settings(recipe: Recipe, checkpoint: Checkpoint) -> tuple[Recipe, list[str]]:
    """The recipe with what the weights were trained for, and a line for each setting that this changed."""
    old, new = leaves(recipe), leaves(checkpoint.recipe)
    changed = [
        f"{name} is {new.get(name)!r} as in the checkpoint, not {old.get(name)!r}"
        for name in sorted(old.keys() | new.keys())
        if name.startswith(_TRAINED_WITH) and old.get(name) != new.get(name) and name != "model.weights"
    ]
    trained = checkpoint.recipe
    data = recipe.data.model_copy(update={name: getattr(trained.data, name) for name in _TRAINED_DATA})
    update = {"model": trained.model, "heatmap": trained.heatmap, "data": data}
    if recipe.bottomup is not None and trained.bottomup is not None:
        update["bottomup"] = recipe.bottomup.model_copy(update={"test": trained.bottomup.test})
    return recipe.model_copy(update=update), changed
