"""The score by which a predicted person is ranked against all others."""

import numpy as np

from evaluation.predictions import Predictions

KEYPOINT_THRESHOLD = 0.2


def instance_scores(predictions: Predictions, keypoint_threshold: float = KEYPOINT_THRESHOLD) -> np.ndarray:
    """Box score times the mean score of the keypoints that score above the threshold -> (N,); 0 if none does.

    The rule of the SimpleBaseline and HRNet test code.
    """
    counted = predictions.keypoint_scores > keypoint_threshold
    total = np.where(counted, predictions.keypoint_scores, 0.0).sum(axis=1)
    return predictions.box_scores * total / np.maximum(counted.sum(axis=1), 1)
