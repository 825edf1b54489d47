"""Soft-NMS, against a loop over boxes and values worked out by hand."""

import math
import time

import numpy as np
import pytest

from evaluation.soft_nms import soft_nms


def iou(a, b):
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    intersection = max(width, 0) * max(height, 0)
    return intersection / (a[2] * a[3] + b[2] * b[3] - intersection)


def plain(boxes, scores, image_ids, sigma, min_score):
    """The paper's Figure 3 with the Gaussian weight, for one image after the other."""
    decayed = [0.0] * len(scores)
    for image in set(image_ids.tolist()):
        left = {row: float(scores[row]) for row in range(len(scores)) if image_ids[row] == image}
        while left:
            best = max(left, key=lambda row: left[row])
            decayed[best] = left.pop(best)
            for row in list(left):
                left[row] *= math.exp(-(iou(boxes[best], boxes[row]) ** 2) / sigma)
                if left[row] < min_score:
                    del left[row]
    return decayed


def random_boxes(seed, count, images):
    """Crowded images, their boxes in random order, some scores equal."""
    rng = np.random.default_rng(seed)
    boxes = np.concatenate([rng.uniform(0, 60, (count, 2)), rng.uniform(20, 80, (count, 2))], axis=1)
    return boxes, rng.integers(1, 100, count) / 100, rng.integers(0, images, count) * 7


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sigma", [0.5, 0.1])
@pytest.mark.parametrize("min_score", [0.001, 0.2])
def test_it_is_the_paper(seed, sigma, min_score):
    boxes, scores, image_ids = random_boxes(seed, 80, 4)
    scores = scores + min_score
    found = soft_nms(boxes, scores, image_ids, sigma, min_score)
    np.testing.assert_allclose(found, plain(boxes, scores, image_ids, sigma, min_score), rtol=1e-12)
    assert (found < scores).any(), "the case must decay something"
    assert (found == 0).any(), "and drop something"


def test_by_hand():
    """The second box overlaps the first by a third: 0.8·exp(−(1/3)² / 0.5). The third is elsewhere, the fourth in
    another image, and neither loses anything."""
    boxes = [[0, 0, 10, 10], [5, 0, 10, 10], [100, 0, 10, 10], [0, 0, 10, 10]]
    scores = soft_nms(np.array(boxes), np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 1, 1, 2]))
    assert scores.tolist() == [0.9, pytest.approx(0.8 * math.exp(-2 / 9)), 0.7, 0.6]


def test_a_box_that_has_sunk_below_another_is_taken_after_it():
    """The twin of the best box sinks from 0.8 to 0.8·exp(−2) and does not decay the third, which it overlaps as much
    as the best box does, before that is taken at 0.5·exp(−2/9)."""
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [5, 0, 10, 10]])
    first, third = 0.9, 0.5 * math.exp(-2 / 9)
    twin = 0.8 * math.exp(-2) * math.exp(-2 / 9)
    assert soft_nms(boxes, np.array([0.9, 0.8, 0.5]), np.zeros(3)) == pytest.approx([first, twin, third])


def test_of_equal_scores_the_earlier_row_keeps_its_own():
    boxes = np.tile([3.0, 4, 10, 20], (3, 1))
    decayed = 0.5 * np.exp([0, -2, -4])
    np.testing.assert_allclose(soft_nms(boxes, np.full(3, 0.5), np.zeros(3)), decayed, rtol=1e-12)


def test_a_score_below_the_minimum_becomes_zero_and_changes_no_other():
    boxes, scores, image_ids = random_boxes(3, 200, 3)
    everything = soft_nms(boxes, scores, image_ids, min_score=0)
    some = soft_nms(boxes, scores, image_ids, min_score=0.05)
    np.testing.assert_array_equal(some, np.where(everything < 0.05, 0, everything))
    assert 0 < (some == 0).sum() < len(some)


def test_a_sigma_so_small_that_twins_vanish():
    boxes = np.tile([3.0, 4, 10, 20], (4, 1))
    assert soft_nms(boxes, np.array([0.1, 0.9, 0.9, 0.2]), np.zeros(4), 1e-4, 0).tolist() == [0, 0.9, 0, 0]


def test_boxes_without_area_overlap_nothing():
    boxes = np.array([[0, 0, 10, 10], [2, 2, 0, 5], [2, 2, 0, 5], [2, 2, -3, 5]])
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    np.testing.assert_array_equal(soft_nms(boxes, scores, np.zeros(4)), scores)


def test_nothing_to_do():
    assert soft_nms(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int)).shape == (0,)


def test_the_arrays_it_was_given_stay_as_they_were():
    boxes, scores, image_ids = random_boxes(0, 20, 1)
    kept = boxes.copy(), scores.copy()
    soft_nms(boxes, scores, image_ids)
    np.testing.assert_array_equal(boxes, kept[0])
    np.testing.assert_array_equal(scores, kept[1])


def test_what_makes_no_sense_is_named():
    boxes, scores, image_ids = random_boxes(0, 5, 1)
    with pytest.raises(ValueError, match="sigma must be above 0, got 0"):
        soft_nms(boxes, scores, image_ids, sigma=0)
    with pytest.raises(ValueError, match=r"got \(5, 4\), \(4,\), \(5,\)"):
        soft_nms(boxes, scores[:4], image_ids)
    for bad in (float("nan"), float("inf"), -0.1):
        with pytest.raises(ValueError, match=r"1 of 5 boxes .* row 2 \(image 0\)"):
            soft_nms(boxes, np.where(np.arange(5) == 2, bad, scores), image_ids)
    boxes[3, 1] = float("nan")
    with pytest.raises(ValueError, match="at row 3"):
        soft_nms(boxes, scores, image_ids)


def test_a_hundred_thousand_boxes_take_seconds():
    boxes, scores, image_ids = random_boxes(0, 100_000, 5_000)
    start = time.perf_counter()
    soft_nms(boxes, scores, image_ids)
    assert time.perf_counter() - start < 20
