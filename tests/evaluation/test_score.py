"""The one entry: rescoring and suppression before the evaluator, submissions after it."""

import json

import numpy as np
import pytest

from evaluation.coco import evaluate_coco
from evaluation.predictions import Predictions
from evaluation.rescoring import instance_scores
from evaluation.score import evaluate


@pytest.mark.parametrize(("kind", "num_keypoints"), [("coco", 17), ("crowdpose", 14)])
def test_perfect_predictions(kind, num_keypoints, make_truth, predict):
    if kind == "crowdpose":
        pytest.importorskip("xtcocotools")
    truth = make_truth(num_keypoints)
    score = evaluate(kind, truth, predict(truth))
    assert (score.primary, score.value) == ("AP", pytest.approx(1))
    assert len(json.loads(json.dumps(score.results))) == len(truth["annotations"])
    assert score.notes == []


def test_perfect_mpii_predictions(mpii_truth, mpii_predictions):
    score = evaluate("mpii", mpii_truth, mpii_predictions)
    assert (score.primary, score.value) == ("PCKh@0.5", 100)
    assert [result["instance_id"] for result in json.loads(json.dumps(score.results))] == [500, 501, 502, 503]
    assert len(score.notes) == 2


def test_duplicates_are_suppressed_and_noted(make_truth, predict):
    truth = make_truth(17)
    once = predict(truth)
    weaker = Predictions(**(vars(once) | {"box_scores": once.box_scores / 4}))
    twice = Predictions.concatenate([weaker, once])
    score = evaluate("coco", truth, twice)
    assert score.results == evaluate("coco", truth, once).results
    assert score.notes == ["OKS-NMS at 0.9 removed 9 of 18 persons"]
    assert len(evaluate("coco", truth, twice, nms_threshold=None).results) == 18


def test_persons_are_ranked_by_the_instance_score_or_by_what_is_given(make_truth, predict):
    truth = make_truth(17)
    predictions = predict(truth, 5.0)
    by_default = evaluate("coco", truth, predictions)
    assert [r["score"] for r in by_default.results] == instance_scores(predictions).tolist()
    own = np.linspace(1, 0, len(predictions))
    given = evaluate("coco", truth, predictions, scores=own)
    assert [r["score"] for r in given.results] == own.tolist()
    assert given.metrics == evaluate_coco(truth, given.results)
    with pytest.raises(ValueError, match=r"scores: expected shape \(9,\), received \(8,\)"):
        evaluate("coco", truth, predictions, scores=own[1:])


@pytest.mark.parametrize(("kind", "num_keypoints"), [("coco", 17), ("crowdpose", 14)])
def test_no_predictions_score_zero(kind, num_keypoints, make_truth):
    if kind == "crowdpose":
        pytest.importorskip("xtcocotools")
    score = evaluate(kind, make_truth(num_keypoints), Predictions.empty(num_keypoints))
    assert (set(score.metrics.values()), score.results) == ({0.0}, [])


def test_unknown_kind_lists_the_known(make_truth):
    with pytest.raises(ValueError, match="unknown kind of evaluation 'lsp'; known: coco, mpii, crowdpose"):
        evaluate("lsp", make_truth(17), Predictions.empty(17))


@pytest.mark.parametrize("kind", ["coco", "mpii", "crowdpose"])
def test_another_skeleton_is_refused(kind, make_truth):
    with pytest.raises(ValueError, match=r"keypoints, the predictions have 5"):
        evaluate(kind, make_truth(17), Predictions.empty(5))
