"""The instance score, against values worked out by hand."""

import numpy as np
import pytest

from evaluation.predictions import Predictions
from evaluation.rescoring import instance_scores


def test_by_hand():
    keypoint_scores = np.array([[0.9, 0.5, 0.1], [0.2, 0.2, 0.2], [0.21, 0.0, -3.0], [1.0, 1.0, 1.0]])
    predictions = Predictions(
        np.zeros(4, int), np.arange(4), np.zeros((4, 3, 2)), keypoint_scores, np.array([0.5, 1, 1, 0.25]), np.ones(4)
    )
    # The mean takes only scores strictly above 0.2; without any the person scores 0.
    assert instance_scores(predictions) == pytest.approx([0.5 * 0.7, 0.0, 0.21, 0.25])
    assert instance_scores(predictions, keypoint_threshold=0.0) == pytest.approx([0.25, 0.2, 0.21, 0.25])


def test_no_predictions():
    assert instance_scores(Predictions.empty(17)).shape == (0,)
