"""CrowdPose metrics: as xtcocotools gives them, by level, and what a failed import says."""

import copy
import json
import sys

import numpy as np
import pytest

from evaluation.coco import coco_results
from evaluation.crowdpose import CROWDPOSE_METRICS, evaluate_crowdpose
from evaluation.score import evaluate
from pose.skeletons import CROWDPOSE_14

LEVELS = {"easy": {10, 11}, "medium": {12, 13}, "hard": {14, 15}}


@pytest.fixture
def truth(make_truth):
    pytest.importorskip("xtcocotools")
    # 0.2 and 0.8 belong to the level above them.
    return make_truth(14, crowd_indices=(0.0, 0.19, 0.2, 0.79, 0.8, 1.0))


def results_of(predictions):
    return coco_results(predictions, predictions.box_scores)


def by_xtcocotools(truth, results, folder, image_ids=None):
    """Statistics by xtcocotools as its documentation uses it, or AP over some of the images."""
    from xtcocotools.coco import COCO
    from xtcocotools.cocoeval import COCOeval

    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(results))
    coco = COCO(str(folder / "truth.json"))
    detections = coco.loadRes(str(folder / "results.json"))
    evaluator = COCOeval(coco, detections, "keypoints_crowd", np.array(CROWDPOSE_14.oks_sigmas), use_area=False)
    if image_ids:
        evaluator.params.imgIds = sorted(image_ids)
    evaluator.evaluate()
    evaluator.accumulate()
    if image_ids:
        return evaluator.eval["precision"][:, :, :, 0].mean()
    evaluator.summarize()
    return dict(zip(CROWDPOSE_METRICS, evaluator.stats.tolist(), strict=True))


def test_perfect_predictions_score_one(truth, predict):
    assert evaluate_crowdpose(truth, results_of(predict(truth))) == pytest.approx(dict.fromkeys(CROWDPOSE_METRICS, 1.0))


@pytest.mark.parametrize("noise", [3.0, 8.0])
def test_equals_xtcocotools_run_directly(truth, predict, tmp_path, noise):
    results = results_of(predict(truth, noise))
    metrics = evaluate_crowdpose(truth, results)
    assert 0 < metrics["AP"] < 1
    assert metrics == by_xtcocotools(truth, results, tmp_path)


def test_levels_are_the_score_over_their_images(truth, predict, tmp_path):
    results = results_of(predict(truth, 5.0))
    metrics = evaluate_crowdpose(truth, results)
    levels = {level: metrics[f"AP_{level}"] for level in LEVELS}
    assert len(set(levels.values())) == 3, "levels must differ for this to test anything"
    for level, image_ids in LEVELS.items():
        assert levels[level] == pytest.approx(by_xtcocotools(truth, results, tmp_path, image_ids), abs=5.1e-5)


def test_a_level_without_images_is_minus_one(make_truth, predict):
    pytest.importorskip("xtcocotools")
    truth = make_truth(14, crowd_indices=(0.1, 0.5))
    metrics = evaluate_crowdpose(truth, results_of(predict(truth)))
    assert (metrics["AP_easy"], metrics["AP_medium"], metrics["AP_hard"]) == pytest.approx((1, 1, -1))


def test_arguments_are_not_changed_and_nothing_is_printed(truth, predict, capsys):
    results = results_of(predict(truth, 3.0))
    before = copy.deepcopy((truth, results))
    evaluate_crowdpose(truth, results)
    assert (truth, results) == before
    assert capsys.readouterr().out == ""


def test_no_results_score_zero(truth):
    assert evaluate_crowdpose(truth, []) == dict.fromkeys(CROWDPOSE_METRICS, 0.0)


def test_area_of_the_annotations_is_not_used(truth, predict):
    results = results_of(predict(truth, 5.0))
    expected = evaluate_crowdpose(truth, results)
    for annotation in truth["annotations"]:
        del annotation["area"], annotation["iscrowd"]
    assert evaluate_crowdpose(truth, results) == expected


def test_persons_whose_keypoint_scores_are_zero_still_count(truth, predict):
    results = results_of(predict(truth))
    for result in results:
        result["keypoints"][2::3] = [0.0] * 14
    assert evaluate_crowdpose(truth, results)["AP"] == pytest.approx(1)
    stray = {"image_id": 10, "category_id": 1, "keypoints": [900, 900, 0.0] * 13 + [950, 950, 0.0], "score": 2.0}
    assert evaluate_crowdpose(truth, [*results, stray])["AP"] < 0.97


def test_person_annotated_with_zero_keypoints_is_ignored(truth, predict):
    results = results_of(predict(truth))
    truth["annotations"][3]["num_keypoints"] = 0
    # Its keypoints are still there, so leaving its detection out must cost nothing.
    assert evaluate_crowdpose(truth, results[:3] + results[4:])["AR"] == pytest.approx(1)


def test_an_unknown_image_is_named(truth, predict):
    results = results_of(predict(truth))
    with pytest.raises(ValueError, match="does not hold: 4000"):
        evaluate_crowdpose(truth, [*results, results[0] | {"image_id": 4000}])


def test_an_image_without_crowd_index_counts_in_no_level_and_is_noted(truth, predict):
    predictions = predict(truth)
    everywhere = evaluate("crowdpose", truth, predictions)
    for image in truth["images"]:
        if image["crowdIndex"] >= 0.8:
            del image["crowdIndex"]
    score = evaluate("crowdpose", truth, predictions)
    assert score.metrics["AP"] == everywhere.metrics["AP"]
    assert score.metrics["AP_easy"] == everywhere.metrics["AP_easy"]
    assert not score.metrics["AP_hard"] >= 0
    assert any("no crowdIndex" in note for note in score.notes)


@pytest.mark.parametrize("failure", ["ImportError('No module')", "ValueError('numpy.dtype size changed')"])
def test_failed_import_says_how_to_install(make_truth, monkeypatch, tmp_path, failure):
    (tmp_path / "xtcocotools").mkdir()
    (tmp_path / "xtcocotools" / "__init__.py").write_text(f"raise {failure}")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.split(".")[0] == "xtcocotools"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match="pip install --no-build-isolation --no-binary xtcocotools xtcocotools"):
        evaluate_crowdpose(make_truth(14), [])
