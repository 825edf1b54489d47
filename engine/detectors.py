"""Where boxes come from when nobody gives them: a detector of persons, torchvision's or any callable."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.config import ConfigError
from engine.user_file import load_user_file
from pose.crop import Floats
from pose.drawing import Picture
from pose.errors import UserError

Detections = tuple[Floats, Floats]
"""boxes_xywh (N, 4), image px, and scores (N,)."""

Detector = Callable[[list[Picture]], Sequence[Detections]]
"""RGB pictures (H, W, 3) uint8, of any sizes → for each of them its persons; a picture may have none."""

TORCHVISION_DETECTORS = ("fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_v2", "fasterrcnn_mobilenet_v3_large_fpn")
_PERSON = 1  # among torchvision's classes, which are COCO's
_LEAST_SCORE = 0.3


class DetectorError(UserError, RuntimeError):
    """A detector that cannot be had, fails, or returns something else than boxes."""


def find_detector(name: str, device: torch.device) -> Detector:
    """The detector of that name, or `FILE.py:CALLABLE` or `module:callable`.

    Raises:
        DetectorError: there is no such, or torchvision is not installed.
    """
    if name in TORCHVISION_DETECTORS:
        return _torchvision_detector(name, device)
    module, separator, attribute = name.partition(":")
    if not separator:
        raise DetectorError(
            f"no detector {name!r}; give {', '.join(TORCHVISION_DETECTORS)} (torchvision's), or your own as "
            "FILE.py:CALLABLE or MODULE:CALLABLE: a list of RGB arrays in, (boxes_xywh, scores) for each out"
        )
    try:
        own = load_user_file(Path(module), "detector") if module.endswith(".py") else importlib.import_module(module)
        detector = getattr(own, attribute)
    except (ConfigError, ImportError, AttributeError, ValueError) as error:
        raise DetectorError(f"detector {name}: {error}; a file is given as PATH/TO/FILE.py:CALLABLE") from error
    if not callable(detector):
        raise DetectorError(f"detector {name} is {type(detector).__name__}, which cannot be called")
    return detector


def detect(detector: Detector, name: str, pictures: list[Picture]) -> list[Detections]:
    """What the detector finds; boxes without an area are left out.

    Raises:
        DetectorError: it fails, or does not return for every picture (boxes_xywh (N, 4), scores (N,)).
    """
    try:
        found = list(detector(pictures))
    except Exception as error:  # whatever another's code does wrong
        raise DetectorError(f"detector {name} failed: {type(error).__name__}: {error}") from error
    if len(found) != len(pictures):
        raise DetectorError(f"detector {name} was given {len(pictures)} pictures and answered for {len(found)}")
    return [_checked(name, answer) for answer in found]


def _checked(name: str, answer: Any) -> Detections:
    try:
        boxes, scores = (np.asarray(values, dtype=np.float64) for values in answer)
        boxes, scores = boxes.reshape(len(scores), 4), scores.reshape(len(scores))
    except (TypeError, ValueError, RuntimeError) as error:  # a tensor with gradients is no array
        raise DetectorError(
            f"detector {name}: for each picture (boxes_xywh (N, 4), scores (N,)) is expected, {error}"
        ) from error
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all() and (scores >= 0).all()):
        raise DetectorError(f"detector {name}: boxes must be finite, and scores finite and not negative")
    kept = (boxes[:, 2:] > 0).all(axis=1)
    return boxes[kept], scores[kept]


def _torchvision_detector(name: str, device: torch.device) -> Detector:
    """Downloads its weights, if torchvision has not done so before."""
    try:
        detection = importlib.import_module("torchvision.models.detection")
    except ImportError as error:
        raise DetectorError(
            f"detector {name} is torchvision's, which is not installed here: pip install torchvision "
            "(what fits your torch), or give --boxes FILE.json, --whole-image or --detector FILE.py:CALLABLE"
        ) from error
    network = getattr(detection, name)(weights="DEFAULT").eval().to(device)

    @torch.no_grad()
    def detector(pictures: list[Picture]) -> list[Detections]:
        inputs = [torch.from_numpy(picture).to(device).permute(2, 0, 1).float() / 255 for picture in pictures]
        return [_persons(found) for found in network(inputs)]

    return detector


def _persons(found: dict[str, torch.Tensor]) -> Detections:
    kept = (found["labels"] == _PERSON) & (found["scores"] >= _LEAST_SCORE)
    boxes = found["boxes"][kept].double().cpu().numpy()
    boxes[:, 2:] -= boxes[:, :2]
    return boxes, found["scores"][kept].double().cpu().numpy()
