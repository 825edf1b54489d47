"""The scoring network of a bottom-up recipe (specs 3.6): where it is, and how it learns from the network's poses."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from engine.bottomup import BottomUpTask
from engine.config import ConfigError, Recipe
from engine.data import open_training_splits, training_skeleton
from engine.evaluation_pictures import EvaluationPicture, EvaluationPictures
from engine.fabric import make_fabric
from engine.progress import SampleProgress
from engine.trained import OwnWeights, Weights, ready_network, weights_digest
from evaluation.oks import oks_with_annotated
from models import HeatmapNetwork
from models.score_net import PoseScorer
from models.score_net_file import load_scorer, save_scorer
from models.score_net_training import score_targets, train_score_net
from pipelines.picture_persons import SplitPersons
from pose.pose_features import pose_features, sticks_of
from pose.skeletons import Skeleton
from sharding.dataset import ShardedDataset


@dataclass(frozen=True)
class LearntScoring:
    """Where the scoring network is, how many poses it learnt from, how many pictures could not be looked at, and its
    mean squared error in each epoch."""

    path: Path
    poses: int
    left_out: int
    losses: tuple[float, ...]


def scorer_path(weights: Path) -> Path:
    """Beside the weights whose poses it scores."""
    return weights.with_suffix(".score-net.pt")


def ranks_by_network(recipe: Recipe) -> bool:
    """Whether a scoring network ranks the recipe's poses: only final ones (specs 3.7)."""
    grouping = None if recipe.bottomup is None else recipe.bottomup.grouping
    return grouping is not None and grouping.scoring != "naive" and grouping.quality == "final"


def scorer_file(recipe: Recipe, weights: Weights | None) -> Path | None:
    """The file of the scoring network that the recipe asks for, None if it asks for none.

    Raises:
        ConfigError: there is no such file.
    """
    if not ranks_by_network(recipe) or weights is None:
        return None
    assert recipe.bottomup is not None
    given = recipe.bottomup.grouping.score_net
    path = scorer_path(weights.path) if given is None else Path(given)
    if not path.is_file():
        option = "--checkpoint" if isinstance(weights, OwnWeights) else "--weights"
        raise ConfigError(
            f"bottomup.grouping.scoring={recipe.bottomup.grouping.scoring} needs {path}, which does not exist; make it "
            f"with `posestream score-net RECIPE {option} {weights.path}`, or name another with "
            "bottomup.grouping.score_net"
        )
    return path


def scorer_of(path: Path, recipe: Recipe, skeleton: Skeleton, network: HeatmapNetwork) -> PoseScorer:
    """The scoring network of `scorer_file`. One that the recipe names may be of any weights, the one beside the weights
    has to have learnt from the network with them.

    Raises:
        WeightsError: the file cannot be used, or is of other weights.
    """
    named = recipe.bottomup is not None and recipe.bottomup.grouping.score_net is not None
    return load_scorer(path, skeleton, None if named else weights_digest(network))


def learn_scoring(recipe: Recipe, weights: Weights, console: Console) -> LearntScoring:
    """Train a scoring network on what the recipe's network sees in the training splits; write it beside the weights.

    Every picture with somebody labelled is looked at as in evaluation; a pose's target is its best OKS with anybody
    annotated there.

    Raises:
        ConfigError: the recipe is not bottom-up, or lacks a training split, or the network finds nobody at all.
    """
    if recipe.bottomup is None:
        raise ConfigError(f"recipe {recipe.name} is not bottom-up: only poses of whole pictures are scored")
    datasets = open_training_splits(recipe)
    skeleton = training_skeleton(recipe, datasets)
    others = [dataset.folder.uri for dataset in datasets if dataset.skeleton != skeleton]
    if others:
        raise ConfigError(f"data.train: {others[0]} has other keypoints than {skeleton.name}; scoring needs the same")
    grouping = recipe.bottomup.grouping.model_copy(update={"quality": "final"})  # no others are ranked
    task = BottomUpTask(recipe, recipe.bottomup.model_copy(update={"grouping": grouping}), skeleton)
    fabric = make_fabric(recipe.evaluate.precision)
    model, network = ready_network(task, weights, fabric)
    parts = [_examples(task, model, network, dataset, fabric.device, console) for dataset in datasets]
    features, targets = (torch.cat(column) for column in zip(*(part[:2] for part in parts), strict=True))
    if not len(features):
        raise ConfigError(f"{weights.path} finds nobody in {len(datasets)} training splits: train it longer first")
    config, path = recipe.bottomup.score_net, scorer_path(weights.path)
    net, losses = train_score_net(features, targets, config.epochs, config.batch_size, config.lr, config.seed)
    save_scorer(PoseScorer(net, skeleton, sticks_of(skeleton)), path, weights_digest(network))
    return LearntScoring(path, len(features), sum(part[2] for part in parts), tuple(losses))


@torch.no_grad()
def _examples(
    task: BottomUpTask,
    model: torch.nn.Module,
    network: HeatmapNetwork,
    dataset: ShardedDataset,
    device: torch.device,
    console: Console,
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Features (N, D) of the poses that the network finds in a split, what to learn of them (N,), and how many pictures
    were left out."""
    model.eval()
    samples = EvaluationPictures(dataset, SplitPersons(dataset, dataset.skeleton).labelled_images)
    if not len(samples):
        raise ConfigError(f"data.train: {dataset.folder.uri} has nobody with labelled keypoints")
    loader = task.evaluation_loader(samples, device, with_persons=True)
    sticks = sticks_of(task.skeleton)
    features = [torch.zeros(0, sticks.num_features(task.skeleton.num_keypoints))]
    targets = [torch.zeros(0)]
    looked_at = 0
    try:
        with SampleProgress(console, f"poses in {dataset.manifest.split}", len(samples), unit="pictures") as bar:
            for batch in loader:
                found = task.persons_in(model, network.outputs, batch)
                best, kept = score_targets(_oks(found.keypoints, batch, task.skeleton))
                points, heat = (torch.from_numpy(values).float() for values in (found.keypoints, found.keypoint_scores))
                features.append(pose_features(points, heat, sticks)[kept])
                targets.append(best[kept])
                bar.advance(1)
                looked_at += 1
    finally:
        loader.close()
    return torch.cat(features), torch.cat(targets), len(samples) - looked_at


def _oks(keypoints: np.ndarray, batch: EvaluationPicture, skeleton: Skeleton) -> np.ndarray:
    """(N, G) with those who have labelled keypoints."""
    persons = batch.persons
    assert persons is not None
    labelled = (persons.keypoints[:, :, 2] > 0).any(axis=1)
    return oks_with_annotated(
        keypoints, persons.keypoints[labelled], persons.areas[labelled], np.array(skeleton.oks_sigmas)
    )
