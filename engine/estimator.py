"""A trained network for notebooks and programs: load it, ask it about arrays, draw what it says."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning_fabric
import numpy as np
import torch

from engine.checkpoint import load_checkpoint
from engine.config import ConfigError, Recipe, override
from engine.fabric import make_fabric, resolved_precision
from engine.picture_answers import Answer, answer_pictures
from engine.picture_regions import checked_boxes, regions_of
from engine.scorer import scorer_file, scorer_of
from engine.task import Task
from engine.tasks import make_task
from engine.trained import OwnWeights, Weights, ready_network
from models import HeatmapNetwork
from pipelines.loose_pictures import LoosePicture, encode_losslessly
from pose.drawing import Picture
from pose.drawing_poses import draw_poses
from pose.errors import UserError
from pose.skeletons import Skeleton

SHOWN_PEAK = 0.2  # heatmap peak from which a keypoint is drawn
SHOWN_PRODUCT = 0.05  # the same where keypoints score their peak times their person's centre


class PictureArrayError(UserError, ValueError):
    """An array that is no picture."""


@dataclass(frozen=True, eq=False)
class Poses:
    """N persons in a picture, best first.

    Attributes:
        keypoints: (N, K, 2), px of the picture, integers are the centres of px. keypoint_scores: (N, K).
        scores: (N,) of the persons. skeleton: names the keypoints.
        least_score: keypoints that score less are not to be trusted, and not drawn.
    """

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    scores: np.ndarray
    skeleton: Skeleton
    least_score: float = SHOWN_PEAK

    def __len__(self) -> int:
        return len(self.keypoints)


@dataclass(frozen=True, eq=False)
class Estimator:
    """A network with its weights, ready to be asked. Made by `load`.

    Attributes:
        task: what it does. model: what is called; network: says what its outputs are. weights: where they come from.
    """

    task: Task
    model: torch.nn.Module
    network: HeatmapNetwork
    device: torch.device
    weights: str

    @property
    def skeleton(self) -> Skeleton:
        """Its keypoints."""
        return self.task.skeleton

    @property
    def takes_boxes(self) -> bool:
        """Whether it looks at single persons, whose boxes it needs."""
        return self.task.recipe.bottomup is None

    def predict(self, pictures: Sequence[Picture], boxes: Sequence[np.ndarray] | None = None) -> list[Poses]:
        """The persons in each picture.

        Args:
            pictures: (H, W, 3) uint8, RGB, of any sizes; shown upright.
            boxes: for each picture (N, 4) as left, top, width, height in px, one for each person; None takes each
                picture as one person's box. Only for top-down networks.
        Raises:
            PictureArrayError: an array is no such picture. ConfigError: boxes do not fit.
        """
        if boxes is not None and not self.takes_boxes:
            raise ConfigError("boxes: this network finds all persons of whole pictures; leave them out")
        if boxes is not None and len(boxes) != len(pictures):
            raise ConfigError(f"boxes: {len(boxes)} arrays were given for {len(pictures)} pictures")
        if isinstance(pictures, np.ndarray) and pictures.ndim == 3:
            raise PictureArrayError("pictures: one array was given; predict takes several: predict([picture])")
        for number, picture in enumerate(pictures):
            _require_picture(number, picture)
        if boxes is not None:
            boxes = [checked_boxes(own, f"boxes[{number}]") for number, own in enumerate(boxes)]
        return [self.poses(answer) for answer in answer_pictures(self, self._loose(pictures, boxes))]

    def poses(self, answer: Answer) -> Poses:
        """An answer, best person first."""
        order = np.argsort(-answer.scores, kind="stable")
        least = SHOWN_PEAK if self.takes_boxes else SHOWN_PRODUCT
        predictions = answer.predictions.select(order)
        return Poses(predictions.keypoints, predictions.keypoint_scores, answer.scores[order], self.skeleton, least)

    def _loose(self, pictures: Sequence[Picture], boxes: Sequence[np.ndarray] | None) -> Iterable[LoosePicture]:
        for number, picture in enumerate(pictures):
            height, width = picture.shape[:2]
            regions = None
            if self.takes_boxes:
                own = np.array([[0, 0, width, height]], np.float64) if boxes is None else boxes[number]
                regions = regions_of(self.task.recipe, own, np.ones(len(own)))
            yield LoosePicture(number, encode_losslessly(picture), (height, width), regions=regions)


def load(checkpoint: str | Path, device: str | None = None, settings: Sequence[str] = ()) -> Estimator:
    """A checkpoint of a training run, ready to be asked.

    Args:
        device: "cpu", "cuda", "cuda:1"; by default a GPU where there is one.
        settings: of its recipe, such as "evaluate.flip_test=false".
    Raises:
        CheckpointError: the file cannot be used. ConfigError: a setting does not exist.
    """
    path = Path(checkpoint)
    saved = load_checkpoint(path)
    return make_estimator(override(saved.recipe, settings), saved.skeleton, OwnWeights(path), device)


def make_estimator(recipe: Recipe, skeleton: Skeleton, weights: Weights | None, device: str | None = None) -> Estimator:
    """A recipe's network with these weights, None for an untrained one.

    Raises:
        CheckpointError, WeightsError: the weights do not fit. ConfigError: the recipe needs annotated persons.
    """
    if recipe.bottomup is not None and recipe.bottomup.grouping.quality == "heatmaps":
        raise ConfigError(
            "bottomup.grouping.quality=heatmaps groups keypoints by annotated persons; on new pictures nobody is "
            "annotated: bottomup.grouping.quality=final"
        )
    fabric = make_fabric(recipe.evaluate.precision) if device is None else _fabric_on(torch.device(device), recipe)
    task, ranked_by = make_task(recipe, skeleton), scorer_file(recipe, weights)
    model, network = ready_network(task, weights, fabric)
    model.eval()
    if ranked_by is not None:
        task = make_task(recipe, skeleton, scorer_of(ranked_by, recipe, skeleton, network))
    return Estimator(task, model, network, fabric.device, "untrained" if weights is None else str(weights.path))


def draw(picture: Picture, poses: Poses, least_score: float | None = None) -> Picture:
    """A copy of the picture (H, W, 3) with the persons: left blue, right orange, what is uncertain faint.

    Args:
        least_score: of keypoints that are drawn; by default what suits the network.
    """
    least = poses.least_score if least_score is None else least_score
    return draw_poses(picture, poses.keypoints, poses.keypoint_scores, poses.skeleton, least)


def _fabric_on(device: torch.device, recipe: Recipe) -> lightning_fabric.Fabric:
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device={device}: this machine has {torch.cuda.device_count()} CUDA devices; take cpu")
    devices = [device.index or 0] if device.type == "cuda" else 1
    precision = resolved_precision(recipe.evaluate.precision)
    return lightning_fabric.Fabric(accelerator=device.type, devices=devices, precision=precision)


def _require_picture(number: int, picture: object) -> None:
    if not isinstance(picture, np.ndarray):
        raise PictureArrayError(
            f"pictures[{number}] must be an array (H, W, 3) uint8, RGB, got {type(picture).__name__}; e.g. "
            "np.asarray(PIL.Image.open(path).convert('RGB'))"
        )
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise PictureArrayError(
            f"pictures[{number}] must be (H, W, 3) uint8, RGB, got {picture.shape} {picture.dtype}; e.g. "
            "np.asarray(PIL.Image.open(path).convert('RGB'))"
        )
