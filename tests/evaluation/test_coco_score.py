"""COCO metrics: as pycocotools gives them, and defined where it crashes or errs."""

import copy
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from evaluation.coco import COCO_METRICS, coco_results, evaluate_coco
from evaluation.predictions import Predictions


@pytest.fixture
def truth(make_truth):
    return make_truth(17)


def results_of(predictions):
    return coco_results(predictions, predictions.box_scores)


def by_pycocotools(truth, results, folder):
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(results))
    coco = COCO(str(folder / "truth.json"))
    evaluator = COCOeval(coco, coco.loadRes(str(folder / "results.json")), "keypoints")
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return dict(zip(COCO_METRICS, evaluator.stats.tolist(), strict=True))


def region(number, image_id, iscrowd):
    """An annotation without keypoints over the right half of the picture."""
    return {
        "id": number, "image_id": image_id, "category_id": 1, "iscrowd": iscrowd, "bbox": [2000, 0, 400, 400],
        "area": 160000, "num_keypoints": 0, "keypoints": [0] * 51,
    }  # fmt: skip


def false_positive(image_id, score=2.0):
    """A person within `region`, ranked above all others."""
    return {"image_id": image_id, "category_id": 1, "keypoints": [2100, 100, 1] * 16 + [2200, 200, 1], "score": score}


def test_results_layout():
    keypoints, keypoint_scores = np.array([[[1.5, 2.0], [3.0, 4.0]]]), np.array([[0.25, 0.5]])
    predictions = Predictions(np.array([7]), np.array([-1]), keypoints, keypoint_scores, np.ones(1), np.ones(1))
    expected = [{"image_id": 7, "category_id": 1, "keypoints": [1.5, 2.0, 0.25, 3.0, 4.0, 0.5], "score": 0.75}]
    assert json.loads(json.dumps(coco_results(predictions, np.array([0.75])))) == expected


def test_perfect_predictions_score_one(truth, predict):
    assert evaluate_coco(truth, results_of(predict(truth))) == pytest.approx(dict.fromkeys(COCO_METRICS, 1.0))


@pytest.mark.parametrize("noise", [2.0, 6.0])
def test_equals_pycocotools_run_directly(truth, predict, tmp_path, noise):
    results = results_of(predict(truth, noise))
    metrics = evaluate_coco(truth, results)
    assert 0 < metrics["AP"] < 1
    assert metrics == by_pycocotools(truth, results, tmp_path)


def test_arguments_are_not_changed_and_nothing_is_printed(truth, predict, capsys):
    results = results_of(predict(truth, 3.0))
    before = copy.deepcopy((truth, results))
    first = evaluate_coco(truth, results)
    assert (truth, results) == before
    assert evaluate_coco(truth, results) == first
    assert capsys.readouterr().out == ""


def test_no_results_score_zero(truth):
    assert evaluate_coco(truth, []) == dict.fromkeys(COCO_METRICS, 0.0)


def test_without_medium_persons_their_metrics_are_minus_one(make_truth, predict):
    truth = make_truth(17, persons=1)
    metrics = evaluate_coco(truth, results_of(predict(truth)))
    assert (metrics["APM"], metrics["ARM"]) == (-1, -1)
    assert metrics["APL"] == pytest.approx(1)


def test_annotation_id_zero_counts_like_any_other(make_truth, predict):
    truth = make_truth(17, first_id=0)
    assert evaluate_coco(truth, results_of(predict(truth)))["AP"] == pytest.approx(1)


def test_unknown_images_are_named(truth, predict):
    results = [*results_of(predict(truth)), false_positive(999), false_positive(77)]
    with pytest.raises(ValueError, match="2 images that the ground truth does not hold: 77, 999"):
        evaluate_coco(truth, results)


def test_a_false_positive_lowers_the_score(truth, predict):
    results = [*results_of(predict(truth)), false_positive(10)]
    assert evaluate_coco(truth, results)["AP"] < 0.95


def test_crowd_region_absorbs_all_false_positives(truth, predict):
    results = [*results_of(predict(truth)), false_positive(10), false_positive(10, 3.0)]
    truth["annotations"].append(region(99, 10, iscrowd=1))
    assert evaluate_coco(truth, results)["AP"] == pytest.approx(1)


def test_person_without_keypoints_is_ignored_and_absorbs_one(truth, predict):
    results = results_of(predict(truth))
    truth["annotations"].append(region(99, 10, iscrowd=0))
    assert evaluate_coco(truth, results)["AR"] == pytest.approx(1)
    assert evaluate_coco(truth, [*results, false_positive(10)])["AP"] == pytest.approx(1)
    assert evaluate_coco(truth, [*results, false_positive(10), false_positive(10, 3.0)])["AP"] < 0.95


def test_a_box_in_the_results_changes_nothing(truth, predict):
    results = [*results_of(predict(truth, 4.0)), false_positive(10)]
    with_boxes = [result | {"bbox": [0, 0, 1, 1]} for result in results]
    assert evaluate_coco(truth, with_boxes) == evaluate_coco(truth, results)


def test_nan_is_not_a_match(truth, predict):
    results = results_of(predict(truth))
    results[4]["keypoints"][0] = float("nan")
    with pytest.raises(ValueError, match=r"result 4 \(image 11\) holds values that are not finite"):
        evaluate_coco(truth, results)


def test_wrong_number_of_keypoints_is_refused(truth, make_truth, predict):
    with pytest.raises(ValueError, match=r"result 0 .*expected 17 keypoints x 3 = 51 numbers, received 42"):
        evaluate_coco(truth, results_of(predict(make_truth(14))))
    with pytest.raises(ValueError, match=r"annotation 1: expected 17 keypoints"):
        evaluate_coco(make_truth(14), [])


def test_missing_keys_and_category_are_named(truth):
    del truth["annotations"][1]["area"]
    with pytest.raises(ValueError, match="annotation 2 of the ground truth lacks area"):
        evaluate_coco(truth, [])
    truth["categories"] = [{"id": 2, "name": "bicycle"}]
    with pytest.raises(ValueError, match="category with id 1"):
        evaluate_coco(truth, [])
