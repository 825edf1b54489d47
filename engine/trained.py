"""A recipe's network with trained weights: a checkpoint's, or a public file's."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric

from engine.checkpoint import CheckpointError, load_checkpoint
from engine.config import Recipe
from engine.task import Task
from models import HeatmapNetwork, load_published
from models.weights_file import WeightsError
from pose.skeletons import Skeleton, contrast


@dataclass(frozen=True)
class OwnWeights:
    """A checkpoint of a training run."""

    path: Path

    def load_into(self, network: HeatmapNetwork, recipe: Recipe, skeleton: Skeleton) -> None:
        """Raises CheckpointError if the checkpoint is of another network, or of one that learnt other keypoints."""
        saved = load_checkpoint(self.path)
        try:
            network.load_state_dict(saved.model)
        except RuntimeError as error:
            raise CheckpointError(
                f"{self.path} holds another network than recipe {recipe.name}: "
                f"{network_name(saved.recipe, saved.num_keypoints)}, not {network_name(recipe, skeleton.num_keypoints)}"
            ) from error
        if saved.skeleton.keypoint_names != skeleton.keypoint_names:
            raise CheckpointError(
                f"{self.path} learnt the keypoints of another skeleton than it shall be asked for: "
                f"{contrast(saved.skeleton, skeleton)}; take a split with {', '.join(saved.skeleton.keypoint_names)}"
            )


@dataclass(frozen=True)
class PublicWeights:
    """A public checkpoint."""

    path: Path

    def load_into(self, network: HeatmapNetwork, recipe: Recipe, skeleton: Skeleton) -> None:
        """Raises WeightsError if the file does not fit, or leaves a part of the network without weights."""
        loaded = load_published(network, self.path)
        if loaded.fresh:
            raise WeightsError(
                f"{self.path} leaves {len(loaded.fresh)} tensors of {network_name(recipe, skeleton.num_keypoints)} "
                f"without weights, such as {loaded.fresh[0]}; to train from it: `posestream train RECIPE "
                f"model.weights={self.path}`"
            )


Weights = OwnWeights | PublicWeights


def ready_network(task: Task, weights: Weights | None, fabric: Fabric) -> tuple[torch.nn.Module, HeatmapNetwork]:
    """The task's network with these weights or untrained: as it is called on the fabric's device, and itself."""
    recipe = task.recipe
    network = task.build_model(pretrained=False)
    if weights is not None:
        weights.load_into(network, recipe, task.skeleton)
    if recipe.train.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return fabric.setup(network), network


def weights_digest(network: HeatmapNetwork) -> str:
    """Changes with every change of a network's weights."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def network_name(recipe: Recipe, num_keypoints: int) -> str:
    """What tells networks apart, for messages and reports."""
    config = recipe.model
    plugin = "" if config.plugin is None else f" + {config.plugin} {config.plugin_options}"
    return f"{config.name} {config.options}{plugin} for {num_keypoints} keypoints"
