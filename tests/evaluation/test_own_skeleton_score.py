"""Scores of skeletons that are not built in: pycocotools with the skeleton's own sigmas, and nothing else."""

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from own_skeleton import STAR
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from evaluation.coco import COCO_METRICS, evaluate_coco
from evaluation.predictions import Predictions
from evaluation.score import evaluate
from pose.skeleton_file import parse_skeleton
from pose.skeletons import COCO_17, CROWDPOSE_14, Skeleton

MakeTruth = Callable[..., dict[str, Any]]
Predict = Callable[..., Predictions]
SPREAD = {1: [0.2], 3: [0.03, 0.3, 0.1], 130: np.linspace(0.02, 0.3, 130).tolist()}


def skeleton_of(sigmas: list[float]) -> Skeleton:
    names = [f"k{number}" for number in range(len(sigmas))]
    return parse_skeleton({"name": "own", "keypoint_names": names, "oks_sigmas": sigmas}, "own")


def as_category(truth: dict[str, Any], number: int) -> dict[str, Any]:
    rows = [row | {"category_id": number} for row in truth["annotations"]]
    return truth | {"annotations": rows, "categories": [{"id": number, "name": "horse"}]}


def by_hand(truth: dict[str, Any], results: list[dict[str, Any]], sigmas: list[float]) -> list[float]:
    with redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = deepcopy(truth)
        coco.createIndex()
        evaluator = COCOeval(coco, coco.loadRes(deepcopy(results)), "keypoints")
        evaluator.params.kpt_oks_sigmas = np.array(sigmas)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return list(map(float, evaluator.stats))


@pytest.mark.parametrize("number", [0, 1, 21])
@pytest.mark.parametrize("sigmas", SPREAD.values(), ids=len)
def test_metrics_are_those_of_pycocotools_called_by_hand(
    make_truth: MakeTruth, predict: Predict, sigmas: list[float], number: int
) -> None:
    truth = as_category(make_truth(max(len(sigmas), 2)), number)
    if len(sigmas) == 1:
        for row in truth["annotations"]:
            row.update(keypoints=row["keypoints"][:3], num_keypoints=1)
    score = evaluate("coco", truth, predict(truth, noise=8.0), skeleton=skeleton_of(sigmas))
    assert {row["category_id"] for row in score.results} == {number}
    assert list(score.metrics.values()) == by_hand(truth, score.results, sigmas)
    assert 0.05 < score.metrics["AP"] < 0.99


def test_the_sigmas_make_the_difference(make_truth: MakeTruth, predict: Predict) -> None:
    truth = make_truth(5)
    predictions = predict(truth, noise=6.0)
    strict, lenient = (evaluate("coco", truth, predictions, skeleton=skeleton_of([s] * 5)).value for s in (0.03, 0.3))
    assert lenient > strict + 0.2


def test_near_duplicates_are_told_by_the_same_sigmas(make_truth: MakeTruth, predict: Predict) -> None:
    truth = make_truth(5)
    twice = Predictions.concatenate([predict(truth), predict(truth, noise=3.0)])
    strict, lenient = (evaluate("coco", truth, twice, skeleton=skeleton_of([s] * 5)) for s in (0.02, 0.3))
    assert (len(strict.results), len(lenient.results)) == (18, 9)
    assert lenient.notes == ["OKS-NMS at 0.9 removed 9 of 18 persons"]


def test_cocos_own_score_is_the_tools_to_the_last_bit(make_truth: MakeTruth, predict: Predict) -> None:
    truth = make_truth(17)
    score = evaluate("coco", truth, predict(truth, noise=5.0), skeleton=COCO_17)
    own = (np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 100 / 10).tolist()
    assert dict(zip(COCO_METRICS, by_hand(truth, score.results, own), strict=True)) == score.metrics


def test_other_numbers_of_keypoints_are_refused(make_truth: MakeTruth, predict: Predict) -> None:
    star = parse_skeleton(STAR, "star")
    with pytest.raises(ValueError, match="star_5 has 5 keypoints, the predictions have 17"):
        evaluate("coco", make_truth(17), predict(make_truth(17)), skeleton=star)
    with pytest.raises(ValueError, match="expected 5 keypoints x 3 = 15 numbers"):
        evaluate("coco", make_truth(17), predict(make_truth(5)), skeleton=star)


@pytest.mark.parametrize(("kind", "count"), [("mpii", 16), ("crowdpose", 14)])
def test_other_benchmarks_know_their_own_keypoints_only(
    make_truth: MakeTruth, predict: Predict, kind: str, count: int
) -> None:
    truth, other = make_truth(count), skeleton_of([0.1] * count)
    with pytest.raises(ValueError, match=f"{kind} is scored with its own keypoints only, got {kind}_{count} and own"):
        evaluate(kind, truth, predict(truth), skeleton=other)


def test_crowdpose_keypoints_can_be_scored_as_coco(make_truth: MakeTruth, predict: Predict) -> None:
    truth = make_truth(14)
    score = evaluate("coco", truth, predict(truth, noise=5.0), skeleton=CROWDPOSE_14)
    assert list(score.metrics.values()) == by_hand(truth, score.results, list(CROWDPOSE_14.oks_sigmas))


def test_results_of_another_category_are_not_scored_as_nothing(make_truth: MakeTruth, predict: Predict) -> None:
    truth = make_truth(17)
    results = evaluate("coco", truth, predict(truth)).results
    with pytest.raises(ValueError, match="results are of category 1, the ground truth is of 5: none would count"):
        evaluate_coco(as_category(truth, 5), results)
