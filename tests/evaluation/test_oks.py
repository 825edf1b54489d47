"""OKS and OKS-NMS, against loops over pairs and keypoints."""

import math

import numpy as np
import pytest

from evaluation.oks import oks_nms, oks_nms_per_image, pairwise_oks
from evaluation.predictions import Predictions
from pose.skeletons import COCO_17

SIGMAS = np.array(COCO_17.oks_sigmas)


def oks_of_one_pair(a, area_a, b, area_b):
    similarity = 0.0
    for (xa, ya), (xb, yb), sigma in zip(a, b, SIGMAS, strict=True):
        variance = (2 * sigma) ** 2
        squared = (xa - xb) ** 2 + (ya - yb) ** 2
        similarity += math.exp(-squared / variance / ((area_a + area_b) / 2 + np.spacing(1)) / 2)
    return similarity / len(SIGMAS)


def nms_by_loops(keypoints, scores, areas, threshold):
    remaining = sorted(range(len(scores)), key=lambda row: -scores[row])
    kept = []
    while remaining:
        best = remaining.pop(0)
        kept.append(best)
        remaining = [
            row
            for row in remaining
            if oks_of_one_pair(keypoints[best], areas[best], keypoints[row], areas[row]) <= threshold
        ]
    return kept


def random_persons(seed, count=30):
    """Clusters of near-duplicates: a few poses, each repeated with noise."""
    rng = np.random.default_rng(seed)
    poses = rng.uniform(0, 200, (count // 5, 17, 2))
    noise = rng.choice([1.0, 4.0, 12.0], count)[:, None, None]
    keypoints = poses[rng.integers(0, len(poses), count)] + rng.normal(0, 1, (count, 17, 2)) * noise
    return keypoints, rng.choice([0.3, 0.5, 0.8], count), rng.uniform(5e3, 5e4, count)


def test_pairwise_oks_equals_a_loop():
    a, _, areas_a = random_persons(0, 10)
    b, _, areas_b = random_persons(1, 15)
    expected = [[oks_of_one_pair(a[i], areas_a[i], b[j], areas_b[j]) for j in range(15)] for i in range(10)]
    np.testing.assert_allclose(pairwise_oks(a, areas_a, b, areas_b, SIGMAS), expected, rtol=1e-12)


def test_identical_persons_have_oks_one():
    keypoints, _, areas = random_persons(2, 5)
    assert np.diag(pairwise_oks(keypoints, areas, keypoints, areas, SIGMAS)) == pytest.approx(np.ones(5))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_nms_equals_a_loop(seed, threshold):
    keypoints, scores, areas = random_persons(seed)
    kept = oks_nms(keypoints, scores, areas, SIGMAS, threshold)
    assert 1 < len(kept) < len(scores), "the case must both keep and suppress"
    assert kept.tolist() == nms_by_loops(keypoints, scores, areas, threshold)


def test_of_equal_scores_the_earlier_row_survives():
    keypoints = np.zeros((3, 17, 2))
    assert oks_nms(keypoints, np.array([0.5, 0.7, 0.7]), np.ones(3), SIGMAS).tolist() == [1]


def test_persons_of_different_images_do_not_suppress_each_other():
    predictions = Predictions(
        image_ids=np.array([9, 4, 9, 4]),
        instance_ids=np.full(4, -1),
        keypoints=np.zeros((4, 17, 2)),
        keypoint_scores=np.ones((4, 17)),
        box_scores=np.ones(4),
        box_areas=np.ones(4),
    )
    assert oks_nms_per_image(predictions, np.array([0.1, 0.9, 0.2, 0.8]), SIGMAS).tolist() == [1, 2]


def test_no_predictions():
    assert oks_nms_per_image(Predictions.empty(17), np.zeros(0), SIGMAS).tolist() == []
