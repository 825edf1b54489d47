"""MPII: matching by instance, missing persons, head sizes, and the two files."""

import copy

import numpy as np
import pytest
from scipy.io import loadmat

from evaluation.mpii import evaluate_mpii, mpii_results, write_pred_mat
from evaluation.pckh import PCKH_ROWS
from evaluation.predictions import Predictions


def test_perfect_predictions_score_hundred_whatever_their_order(mpii_truth, mpii_predictions):
    metrics, _ = evaluate_mpii(mpii_truth, mpii_predictions)
    expected = {f"PCKh@{t}" for t in (0.5, 0.1)} | {f"PCKh@{t}/{row}" for t in (0.5, 0.1) for row in PCKH_ROWS}
    assert set(metrics) == expected
    assert set(metrics.values()) == {100.0}


def test_a_missing_person_is_wrong_in_every_labelled_keypoint(mpii_truth, mpii_predictions):
    without_first = mpii_predictions.select(mpii_predictions.instance_ids != 500)
    metrics, notes = evaluate_mpii(mpii_truth, without_first)
    # Three persons count (the fourth has no head size); one of them is missing.
    assert metrics["PCKh@0.5"] == pytest.approx(200 / 3)
    assert metrics["PCKh@0.1/Knee"] == pytest.approx(200 / 3)
    assert "1 of 4 persons have no prediction and count as wrong" in notes


def test_no_predictions_score_zero(mpii_truth):
    assert set(evaluate_mpii(mpii_truth, Predictions.empty(16))[0].values()) == {0.0}


def test_notes_count_segments_and_persons_left_out(mpii_truth, mpii_predictions):
    notes = evaluate_mpii(mpii_truth, mpii_predictions)[1]
    assert len(notes) == 2
    assert notes[0].startswith("1 of 4 persons have no head box")
    assert notes[1] == "1 of 4 persons have neither head box nor segment and are left out"


def test_with_all_head_boxes_there_is_nothing_to_note(mpii_truth, mpii_predictions):
    for annotation in mpii_truth["annotations"]:
        annotation["head_size"] = 30.0
    assert evaluate_mpii(mpii_truth, mpii_predictions)[1] == []


def test_head_size_decides(mpii_truth, mpii_predictions):
    keypoints = mpii_predictions.keypoints.copy()
    keypoints[mpii_predictions.instance_ids == 500, 9, 0] += 20.5
    moved = Predictions(**{**vars(mpii_predictions), "keypoints": keypoints})
    assert evaluate_mpii(mpii_truth, moved)[0]["PCKh@0.5/Head"] == pytest.approx(200 / 3)
    mpii_truth["annotations"][0]["head_size"] = 41.0
    assert evaluate_mpii(mpii_truth, moved)[0]["PCKh@0.5/Head"] == pytest.approx(100)


def test_without_labels_the_score_is_undefined(mpii_truth, mpii_predictions):
    for annotation in mpii_truth["annotations"]:
        annotation["keypoints"] = [0.0] * 48
    assert np.isnan(list(evaluate_mpii(mpii_truth, mpii_predictions)[0].values())).all()


def test_unknown_and_repeated_instances_are_named(mpii_truth, mpii_predictions):
    mpii_truth["annotations"].pop(2)
    with pytest.raises(ValueError, match=r"1 instances that the ground truth does not hold: \[502\]"):
        evaluate_mpii(mpii_truth, mpii_predictions)
    with pytest.raises(ValueError, match=r"more for instances \[501\]"):
        evaluate_mpii(mpii_truth, mpii_predictions.select(np.array([2, 2, 3])))


def test_results_are_one_based_and_in_the_order_of_the_annotations(mpii_truth, mpii_predictions):
    before = copy.deepcopy(mpii_truth)
    results = mpii_results(mpii_truth, mpii_predictions.select(np.array([0, 1, 3])))
    assert [(r["image"], r["instance_id"]) for r in results] == [("one.jpg", 500), ("two.jpg", 502), ("two.jpg", 503)]
    truth = np.array(mpii_truth["annotations"][2]["keypoints"]).reshape(16, 3)
    np.testing.assert_allclose(results[1]["joints"], truth[:, :2] + 1)
    assert results[1]["scores"] == mpii_predictions.keypoint_scores[1].tolist()
    assert mpii_truth == before


def test_pred_mat_subtracts_from_the_truth_as_the_common_scripts_do(mpii_truth, mpii_predictions, tmp_path):
    write_pred_mat(tmp_path / "pred.mat", mpii_truth, mpii_predictions.select(np.array([0, 1, 3])))
    preds = np.transpose(loadmat(tmp_path / "pred.mat")["preds"], [1, 2, 0])
    truth = np.array([a["keypoints"] for a in mpii_truth["annotations"]]).reshape(-1, 16, 3)[..., :2] + 1
    errors = np.linalg.norm(preds - np.transpose(truth, [1, 2, 0]), axis=1)
    np.testing.assert_allclose(errors[:, [0, 2, 3]], 0, atol=1e-9)
    assert not (errors[:, 1] <= 1e9).any(), "a missing person is never within a threshold"
