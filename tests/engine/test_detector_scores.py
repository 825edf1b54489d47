"""Soft-NMS on the detector's boxes, before any pose is estimated."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.config import ConfigError, Recipe
from engine.evaluation_boxes import evaluation_samples
from sharding.dataset import ShardedDataset

BOX = [10.0, 10.0, 40.0, 60.0]
BELOW = [10.0, 40.0, 40.0, 60.0]  # half of it lies on BOX: IoU 1/3


@pytest.fixture
def scores(tiny: Callable[..., Recipe], tmp_path: Path, mini_coco: ShardedDataset) -> Callable[..., list[float]]:
    """scores([(picture, box, score), …], *settings): of the boxes that are looked at, in the pictures' order."""
    ids = mini_coco.image_column("image_id").all().tolist()

    def looked_at(boxes: list[tuple[int, list[float], float]], *settings: str, **more: Any) -> list[float]:
        rows = [{"image_id": ids[n], "category_id": 1, "bbox": box, "score": s} | more for n, box, s in boxes]
        (tmp_path / "boxes.json").write_text(json.dumps(rows))
        samples = evaluation_samples(tiny(f"evaluate.detections={tmp_path / 'boxes.json'}", *settings), mini_coco)
        return samples.take(np.arange(len(samples)), (64, 32), 1.25).box_scores.tolist()

    return looked_at


def test_boxes_that_overlap_a_better_one_score_less(scores: Callable[..., list[float]]) -> None:
    boxes = [(0, BOX, 0.5), (0, BELOW, 0.9), (1, BOX, 0.4)]
    assert scores(boxes) == [0.5, 0.9, 0.4]
    for sigma in (0.5, 2.0):
        expected = [0.5 * math.exp(-(1 / 9) / sigma), 0.9, 0.4]
        assert scores(boxes, f"evaluate.soft_nms_sigma={sigma}") == pytest.approx(expected)


def test_boxes_whose_score_vanishes_are_not_looked_at(scores: Callable[..., list[float]]) -> None:
    assert scores([(0, BOX, 0.9), (0, BOX, 0.8)], "evaluate.soft_nms_sigma=0.1") == [0.9]


def test_no_persons_is_the_same_error_with_soft_nms(scores: Callable[..., list[float]]) -> None:
    with pytest.raises(ConfigError, match="holds no person's box"):
        scores([(0, BOX, 0.9)], "evaluate.soft_nms_sigma=0.5", category_id=7)


def test_boxes_of_other_things_take_nothing_from_persons(
    scores: Callable[..., list[float]], tiny: Callable[..., Recipe], tmp_path: Path, mini_coco: ShardedDataset
) -> None:
    image = int(mini_coco.image_column("image_id").all()[0])
    rows = [
        {"image_id": image, "bbox": BOX, "score": 0.5},
        {"image_id": image, "bbox": BOX, "score": 0.9, "category_id": 3},
    ]
    (tmp_path / "mixed.json").write_text(json.dumps(rows))
    settings = (f"evaluate.detections={tmp_path / 'mixed.json'}", "evaluate.soft_nms_sigma=0.5")
    samples = evaluation_samples(tiny(*settings), mini_coco)
    assert samples.take(np.arange(len(samples)), (64, 32), 1.25).box_scores.tolist() == [0.5]


@pytest.mark.parametrize("wrong", [{"score": -0.5}, {"score": None}, {"bbox": [1, 2, 3]}], ids=str)
def test_rows_that_cannot_be_scored_name_the_file(scores: Callable[..., list[float]], wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"evaluate\.detections=.*boxes\.json"):
        scores([(0, BOX, 0.9), (0, BELOW, 0.8)], "evaluate.soft_nms_sigma=0.5", **wrong)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.1])
def test_a_score_that_ranks_nobody_is_refused(scores: Callable[..., list[float]], score: float) -> None:
    for settings in ((), ("evaluate.soft_nms_sigma=0.5",)):
        with pytest.raises(ConfigError, match=r"boxes\.json: .*a score is not a number from 0 up"):
            scores([(0, BOX, 0.5), (1, BOX, score)], *settings)


def test_picture_ids_in_words_are_numbers_with_soft_nms_too(scores: Callable[..., list[float]], mini_coco: Any) -> None:
    first = str(mini_coco.image_column("image_id").all()[0])
    assert scores([(0, BOX, 0.5)], "evaluate.soft_nms_sigma=0.5", image_id=first) == [0.5]
