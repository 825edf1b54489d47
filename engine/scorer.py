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
from engine.trained import OwnWeights, Weights, ready_network
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
    """Where the scoring network is, how many poses it learnt from, and its mean squared error in each epoch."""

    path: Path
    poses: int
    losses: tuple[float, ...]


def scorer_path(weights: Path) -> Path:
    """Beside the weights whose poses it scores."""
    return weights.with_suffix(".score-net.pt")


def scorer_of(recipe: Recipe, skeleton: Skeleton, weights: Weights | None) -> PoseScorer | None:
    """The scoring network that the recipe asks for, None if it asks for none.

    Raises:
        ConfigError: there is none. WeightsError: its file cannot be used.
    """
    if recipe.bottomup is None or recipe.bottomup.grouping.scoring == "naive" or weights is None:
        return None
    given = recipe.bottomup.grouping.score_net
    path = scorer_path(weights.path) if given is None else Path(given)
    if not path.is_file():
        option = "--checkpoint" if isinstance(weights, OwnWeights) else "--weights"
        raise ConfigError(
            f"bottomup.grouping.scoring={recipe.bottomup.grouping.scoring} needs {path}, which does not exist; make it "
            f"with `posestream score-net RECIPE {option} {weights.path}`, or name another with "
            "bottomup.grouping.score_net"
        )
    return load_scorer(path, skeleton)


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
    task = BottomUpTask(recipe, recipe.bottomup, skeleton)
    fabric = make_fabric(recipe.evaluate.precision)
    model, network = ready_network(task, weights, fabric)
    parts = [_examples(task, model, network, dataset, fabric.device, console) for dataset in datasets]
    features, targets = (torch.cat(column) for column in zip(*parts, strict=True))
    if not len(features):
        raise ConfigError(f"{weights.path} finds nobody in {len(datasets)} training splits: train it longer first")
    config, path = recipe.bottomup.score_net, scorer_path(weights.path)
    net, losses = train_score_net(features, targets, config.epochs, config.batch_size, config.lr, config.seed)
    save_scorer(PoseScorer(net, skeleton, sticks_of(skeleton)), path)
    return LearntScoring(path, len(features), tuple(losses))


@torch.no_grad()
def _examples(
    task: BottomUpTask,
    model: torch.nn.Module,
    network: HeatmapNetwork,
    dataset: ShardedDataset,
    device: torch.device,
    console: Console,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (N, D) of the poses that the network finds in a split, and what to learn of them (N,)."""
    model.eval()
    samples = EvaluationPictures(dataset, SplitPersons(dataset, dataset.skeleton).labelled_images)
    loader = task.evaluation_loader(samples, device, with_persons=True)
    sticks = sticks_of(task.skeleton)
    features = [torch.zeros(0, sticks.num_features(task.skeleton.num_keypoints))]
    targets = [torch.zeros(0)]
    try:
        with SampleProgress(console, f"poses in {dataset.manifest.split}", len(samples), unit="pictures") as bar:
            for batch in loader:
                found = task.persons_in(model, network.outputs, batch)
                best, kept = score_targets(_oks(found.keypoints, batch, task.skeleton))
                points, heat = (torch.from_numpy(values).float() for values in (found.keypoints, found.keypoint_scores))
                features.append(pose_features(points, heat, sticks)[kept])
                targets.append(best[kept])
                bar.advance(1)
    finally:
        loader.close()
    return torch.cat(features), torch.cat(targets)


def _oks(keypoints: np.ndarray, batch: EvaluationPicture, skeleton: Skeleton) -> np.ndarray:
    """(N, G) with those who have labelled keypoints."""
    persons = batch.persons
    assert persons is not None
    labelled = (persons.keypoints[:, :, 2] > 0).any(axis=1)
    return oks_with_annotated(
        keypoints, persons.keypoints[labelled], persons.areas[labelled], np.array(skeleton.oks_sigmas)
    )
