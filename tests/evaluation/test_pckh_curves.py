"""PCKh curves are `pckh` at every threshold."""

import json

import numpy as np
import pytest

from evaluation.mpii import evaluate_mpii
from evaluation.pckh import PCKH_ROWS, pckh
from evaluation.pckh_curves import THRESHOLDS, compare_curves, curve_areas, curves_table, mpii_curves, pckh_curves
from evaluation.predictions import Predictions
from pose.errors import UserError


def test_equal_pckh_at_each_threshold():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 300, (40, 16, 2))
    predicted = truth + rng.normal(0, 15, truth.shape)
    predicted[3] = np.nan
    labelled = rng.random((40, 16)) < 0.7
    labelled[:, 2:4] = False  # no hip at all
    sizes = rng.uniform(20, 80, 40)
    sizes[5] = np.nan
    curves = pckh_curves(predicted, truth, labelled, sizes)
    assert (THRESHOLDS[0], THRESHOLDS[10], THRESHOLDS[-1], len(THRESHOLDS)) == (0, 0.1, 0.5, 51)
    for number, threshold in enumerate(THRESHOLDS):
        point = pckh(predicted, truth, labelled, sizes, threshold)
        np.testing.assert_equal({row: curves[row][number] for row in PCKH_ROWS}, point)
    assert np.isnan(curves["Hip"]).all()
    assert (np.diff(curves["Mean"]) >= 0).all()


def noisy(truth, predictions, noise):
    rng = np.random.default_rng(1)
    names = ("image_ids", "instance_ids", "keypoint_scores", "box_scores", "box_areas")
    kept = {name: getattr(predictions, name) for name in names}
    return Predictions(keypoints=predictions.keypoints + rng.normal(0, noise, predictions.keypoints.shape), **kept)


def test_mpii_curves_end_at_the_metrics(mpii_truth, mpii_predictions):
    predictions = noisy(mpii_truth, mpii_predictions, 8)
    curves = mpii_curves(mpii_truth, predictions)
    metrics, _ = evaluate_mpii(mpii_truth, predictions)
    assert curves["kind"] == "PCKh"
    for row in PCKH_ROWS:
        assert curves["groups"][row][-1] == metrics[f"PCKh@0.5/{row}"]
        assert curves["groups"][row][10] == metrics[f"PCKh@0.1/{row}"]
    assert 0 < curves["groups"]["Mean"][-1] < 100
    assert json.loads(json.dumps(curves, allow_nan=False)) == curves


def test_missing_predictions_are_wrong_and_unlabelled_groups_are_null(mpii_truth, mpii_predictions):
    half = mpii_predictions.select(np.array([0, 3]))
    metrics, _ = evaluate_mpii(mpii_truth, half)
    assert mpii_curves(mpii_truth, half)["groups"]["Mean"][-1] == metrics["PCKh@0.5"] < 100
    for person in mpii_truth["annotations"]:
        person["keypoints"][2::3] = [0] * 16
    groups = mpii_curves(mpii_truth, mpii_predictions)["groups"]
    assert groups["Head"] == groups["Mean"] == [None] * 51


def curve(values, thresholds=(0.0, 0.1, 0.5)):
    return {"kind": "PCKh", "thresholds": list(thresholds), "groups": {"Head": values, "Mean": [None] * len(values)}}


def test_areas_are_means_over_the_range():
    assert curve_areas(curve([0.0, 50.0, 100.0])) == {"Head": pytest.approx((0.1 * 25 + 0.4 * 75) / 0.5), "Mean": None}
    assert curve_areas(curve([80.0] * 3))["Head"] == pytest.approx(80)
    with pytest.raises(UserError, match="two rising thresholds"):
        curve_areas(curve([1.0], (0.5,)))


def test_runs_side_by_side():
    runs = {"one": curve([0.0, 50.0, 100.0]), "[b]two": curve([0.0, 60.0, 90.0])}
    compared = compare_curves(runs)
    assert compared["[b]two"]["Head"] == {
        "area": pytest.approx((0.1 * 30 + 0.4 * 75) / 0.5),
        "@0.1": 60.0,
        "@0.5": 90.0,
    }
    assert curves_table(runs).row_count == 6
    with pytest.raises(UserError, match="one, other do not have the same thresholds"):
        compare_curves({"one": runs["one"], "other": curve([1.0, 2.0], (0.0, 0.5))})
    with pytest.raises(UserError, match="no curves"):
        compare_curves({})
