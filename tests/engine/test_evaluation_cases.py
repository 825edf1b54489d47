"""The pictures that an evaluation shows: the right ones, with the persons and heatmaps that belong to them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console

from engine.config import Recipe
from engine.evaluate import Evaluated, evaluate_weights
from engine.evaluation_files import write_evaluation
from engine.judged_pictures import judge_by_diagnosis, judge_by_distance
from evaluation.cases import read_cases
from evaluation.coco import coco_results
from evaluation.diagnosis import diagnose
from evaluation.predictions import Predictions
from pose.skeletons import COCO_17
from sharding.ground_truth import ground_truth


def person(image_id: int, number: int, x: float) -> dict[str, Any]:
    points = [[x + 10 * k, 50.0 + 10 * (k % 5), 2] for k in range(17)]
    return {
        "id": number, "image_id": image_id, "category_id": 1, "iscrowd": 0, "area": 20000.0, "num_keypoints": 17,
        "bbox": [x, 50, 160, 40], "keypoints": np.ravel(points).tolist(),
    }  # fmt: skip


TRUTH = {
    "images": [{"id": n, "file_name": f"{n}.jpg", "width": 640, "height": 480} for n in (1, 2, 3)],
    "annotations": [person(1, 11, 10.0), person(1, 12, 400.0), person(2, 21, 10.0), person(3, 31, 10.0)],
    "categories": [{"id": 1, "name": "person"}],
}


def answers(*annotated: dict[str, Any], moved: dict[int, float]) -> Predictions:
    """Predictions at the annotated places, but some keypoints of all are further right, px."""
    keypoints = np.array([one["keypoints"] for one in annotated]).reshape(-1, 17, 3)[..., :2].astype(float)
    for k, by in moved.items():
        keypoints[:, k, 0] += by
    count = len(annotated)
    return Predictions(
        np.array([one["image_id"] for one in annotated]), np.full(count, -1), keypoints, np.ones((count, 17)),
        np.ones(count), np.full(count, 20000.0),
    )  # fmt: skip


def test_persons_are_judged_by_who_was_matched() -> None:
    found = answers(*TRUTH["annotations"][:1], *TRUTH["annotations"][2:3], moved={0: 300.0})
    results = coco_results(found, np.array([0.9, 0.8]))
    ghost = coco_results(answers(person(2, 0, 3000.0), moved={}), np.array([0.5]))
    judged = judge_by_diagnosis(TRUTH, results + ghost, diagnose(TRUTH, results + ghost, COCO_17))
    assert judged[1].counts == {"miss": 1, "missed": 1}
    assert judged[1].value == pytest.approx(16 / 17 / 2)
    assert [(one.kind, one.id) for one in judged[1].persons] == [("predicted", 0), ("annotated", 11), ("missed", 12)]
    assert judged[1].persons[0].errors == {0: "miss"}
    assert judged[2].counts["background"] == 1
    assert ("background", 2) in [(one.kind, one.id) for one in judged[2].persons]
    assert judged[3].value == 0


def test_mpii_is_judged_by_head_sizes(
    tiny: Callable[..., Recipe], mini_shards: Callable[[str], Path], console: Console
) -> None:
    answer = evaluate_weights(tiny(f"data.val={mini_shards('mpii')}", layout="mpii"), None, console)
    truth = ground_truth(answer.dataset)
    points = {one["id"]: np.reshape(one["keypoints"], (16, 3))[:, :2] for one in truth["annotations"]}
    right = replace(
        answer.predictions, keypoints=np.array([points[one] for one in answer.predictions.instance_ids.tolist()])
    )
    assert {one.value for one in judge_by_distance(truth, right).values()} == {1.0}
    off = replace(right, keypoints=right.keypoints + 1e4)
    judged = judge_by_distance(truth, off)
    assert {one.value for one in judged.values()} == {0.0}
    labelled = sum(int((np.reshape(one["keypoints"], (16, 3))[:, 2] > 0).sum()) for one in truth["annotations"])
    assert sum(one.counts["wrong"] for one in judged.values()) == labelled
    unasked = judge_by_distance(truth, right.select(np.arange(len(right)) > 0))
    assert sorted(one.value for one in unasked.values())[0] < 1


@pytest.mark.parametrize("layout", ["coco", "mpii", "crowdpose"])
def test_cases_have_their_picture_and_its_heatmaps(
    tiny: Callable[..., Recipe], mini_shards: Callable[[str], Path], console: Console, tmp_path: Path, layout: str
) -> None:
    answer: Evaluated = evaluate_weights(tiny(f"data.val={mini_shards(layout)}", layout=layout), None, console)
    write_evaluation(answer, tmp_path)
    found = read_cases(tmp_path / "cases")
    assert found is not None
    names = {image["id"]: image["file_name"] for image in ground_truth(answer.dataset)["images"]}
    assert len({case.image_id for case in found.cases}) == len(found.cases) > 4
    assert {"worst", "median"} <= {case.rank for case in found.cases}
    heat = 0
    for case in found.cases:
        assert names[case.image_id] == case.file_name
        assert case.persons
        picture = cv2.imdecode(np.frombuffer(found.read(case.picture), np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape[:2] == (case.height, case.width)
        if case.heatmap is not None:
            layer = cv2.imdecode(np.frombuffer(found.read(case.heatmap), np.uint8), cv2.IMREAD_UNCHANGED)
            assert layer.shape == (case.height, case.width, 4)
            heat += 1
    assert heat == len(found.cases)


def test_large_pictures_are_shown_smaller(
    tiny: Callable[..., Recipe], mini_shards: Callable[[str], Path], console: Console, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("engine.evaluation_cases._LONGEST_PX", 50)
    answer = evaluate_weights(tiny(f"data.val={mini_shards('coco')}"), None, console)
    write_evaluation(answer, tmp_path)
    found = read_cases(tmp_path / "cases")
    assert found is not None
    case = found.cases[0]
    picture = cv2.imdecode(np.frombuffer(found.read(case.picture), np.uint8), cv2.IMREAD_COLOR)
    assert max(picture.shape[:2]) == 50
    assert max(case.width, case.height) > 50
