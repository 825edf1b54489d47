"""PCKh, against a loop in the shape of the public evaluation scripts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.pckh import PCKH_ROWS, head_sizes_or_segment, pckh

PAIRS = {
    "Shoulder": (13, 12), "Elbow": (14, 11), "Wrist": (15, 10), "Hip": (3, 2), "Knee": (4, 1), "Ankle": (5, 0),
}  # fmt: skip


def by_loops(predicted, truth, labelled, head_sizes, threshold):
    right, total = [0] * 16, [0] * 16
    for person in range(len(head_sizes)):
        for k in range(16):
            if not labelled[person, k] or math.isnan(head_sizes[person]):
                continue
            total[k] += 1
            distance = math.hypot(*(predicted[person, k] - truth[person, k]))
            right[k] += distance / head_sizes[person] <= threshold
    share = [100 * r / t if t else None for r, t in zip(right, total, strict=True)]
    rows = {"Head": share[9] if total[9] else math.nan}
    for name, pair in PAIRS.items():
        known = [share[k] for k in pair if total[k]]
        rows[name] = sum(known) / len(known) if known else math.nan
    counted = [k for k in range(16) if k not in (6, 7)]
    all_labelled = sum(total[k] for k in counted)
    rows["Mean"] = sum((share[k] or 0) * total[k] / all_labelled for k in counted) if all_labelled else math.nan
    return rows


def case(seed, count, labelled_share):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 300, (count, 16, 2))
    predicted = truth + rng.normal(0, 15, truth.shape)
    head_sizes = rng.uniform(20, 60, count)
    head_sizes[rng.random(count) < 0.2] = np.nan
    return predicted, truth, rng.random((count, 16)) < labelled_share, head_sizes


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 12), st.sampled_from([0.0, 0.1, 0.8, 1.0]), st.sampled_from([0.1, 0.5]))
def test_equals_the_loop(seed, count, labelled_share, threshold):
    arguments = (*case(seed, count, labelled_share), threshold)
    rows = pckh(*arguments)
    assert tuple(rows) == PCKH_ROWS
    assert rows == pytest.approx(by_loops(*arguments), nan_ok=True)


def one_person(**wrong):
    """Truth and prediction of one person with head size 40; `wrong` moves keypoints k=dx px to the right."""
    truth = np.zeros((1, 16, 2))  # so that distances are exact
    predicted = truth.copy()
    for keypoint, dx in wrong.items():
        predicted[0, int(keypoint[1:]), 0] += dx
    return predicted, truth, np.ones((1, 16), bool), np.array([40.0])


def test_perfect_predictions_score_hundred():
    assert pckh(*one_person(), 0.5) == dict.fromkeys(PCKH_ROWS, 100.0)


def test_the_threshold_is_inclusive():
    assert pckh(*one_person(k9=20.0), 0.5)["Head"] == 100
    assert pckh(*one_person(k9=np.nextafter(20, 21)), 0.5)["Head"] == 0
    assert pckh(*one_person(k9=4.0), 0.1)["Head"] == 100


def test_alpha_is_a_tenth_and_not_the_eleven_hundredths_of_common_tools():
    assert pckh(*one_person(k9=4.2), 0.1)["Head"] == 0
    assert pckh(*one_person(k9=4.2), 0.11)["Head"] == 100


def test_left_and_right_are_averaged_and_the_mean_has_fourteen_keypoints():
    rows = pckh(*one_person(k10=99), 0.5)
    assert rows["Wrist"] == 50
    assert rows["Mean"] == pytest.approx(100 * 13 / 14)


def test_pelvis_and_thorax_are_left_out_and_upper_neck_counts_in_the_mean_only():
    assert pckh(*one_person(k6=99, k7=99), 0.5) == dict.fromkeys(PCKH_ROWS, 100.0)
    rows = pckh(*one_person(k8=99), 0.5)
    assert rows.pop("Mean") == pytest.approx(100 * 13 / 14)
    assert set(rows.values()) == {100.0}


def test_a_missing_prediction_is_wrong():
    assert pckh(*one_person(k9=np.nan), 0.5)["Head"] == 0


def test_wrong_shapes_are_refused():
    predicted, truth, labelled, head_sizes = one_person()
    with pytest.raises(ValueError, match=r"labelled: expected shape \(1, 16\), received \(1, 14\)"):
        pckh(predicted, truth, labelled[:, :14], head_sizes, 0.5)


def test_the_segment_fills_in_for_unknown_head_sizes():
    truth = np.zeros((5, 16, 2))
    truth[:, 9] = [3, 4]
    truth[4, 9] = 0
    labelled = np.ones((5, 16), bool)
    labelled[2, 8] = False
    given = np.array([12.0, np.nan, np.nan, 0.0, np.nan])
    head_sizes, used_segment = head_sizes_or_segment(given, truth, labelled)
    np.testing.assert_array_equal(head_sizes, [12, 5, np.nan, 5, np.nan])
    assert used_segment.tolist() == [False, True, False, True, False]
    np.testing.assert_array_equal(given, [12, np.nan, np.nan, 0, np.nan])
