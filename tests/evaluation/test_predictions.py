"""Predictions refuse what does not fit together, and keep rows aligned."""

import numpy as np
import pytest

from evaluation.predictions import Predictions


def arrays(count: int = 3, num_keypoints: int = 5) -> dict[str, np.ndarray]:
    return {
        "image_ids": np.arange(count),
        "instance_ids": np.arange(count) + 100,
        "keypoints": np.arange(count * num_keypoints * 2, dtype=np.float32).reshape(count, num_keypoints, 2),
        "keypoint_scores": np.full((count, num_keypoints), 0.5, np.float32),
        "box_scores": np.ones(count),
        "box_areas": np.full(count, 9),
    }


def test_number_types_are_converted():
    predictions = Predictions(**arrays())
    assert predictions.keypoints.dtype == np.float64
    assert predictions.box_areas.dtype == np.float64
    assert predictions.image_ids.dtype == np.int64


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("keypoints", np.zeros((3, 5, 3)), r"expected shape \(N, K, 2\), received \(3, 5, 3\)"),
        ("keypoint_scores", np.zeros((3, 4)), r"keypoint_scores: expected shape \(3, 5\).*received \(3, 4\)"),
        ("box_scores", np.zeros((3, 1)), r"box_scores: expected shape \(3,\).*received \(3, 1\)"),
        ("image_ids", np.zeros(2, int), r"image_ids: expected shape \(3,\).*received \(2,\)"),
        ("image_ids", np.array([1.0, 2.5, 3.0]), "image_ids: expected integers, received float64"),
    ],
)
def test_misfits_say_what_was_expected_and_received(name, wrong, message):
    with pytest.raises(ValueError, match=message):
        Predictions(**(arrays() | {name: wrong}))


def test_non_finite_values_name_the_row_and_the_image():
    values = arrays()
    values["keypoints"][2, 1, 0] = np.nan
    with pytest.raises(ValueError, match=r"keypoints: 1 of 3 .*row 2 \(image 2, instance 102\)"):
        Predictions(**values)


def test_select_keeps_rows_together():
    picked = Predictions(**arrays()).select(np.array([2, 0]))
    assert picked.image_ids.tolist() == [2, 0]
    assert picked.instance_ids.tolist() == [102, 100]
    assert picked.keypoints[0, 0].tolist() == [20, 21]


def test_concatenate_inverts_a_split():
    whole = Predictions(**arrays(4))
    parts = [whole.select(np.array([0])), Predictions.empty(5), whole.select(np.array([1, 2, 3]))]
    joined = Predictions.concatenate(parts)
    assert len(joined) == 4
    np.testing.assert_array_equal(joined.keypoints, whole.keypoints)
    np.testing.assert_array_equal(joined.instance_ids, whole.instance_ids)


def test_concatenate_refuses_nothing_and_mixed_skeletons():
    with pytest.raises(ValueError, match="at least one part"):
        Predictions.concatenate([])
    with pytest.raises(ValueError, match=r"number of keypoints, received \[5, 6\]"):
        Predictions.concatenate([Predictions.empty(5), Predictions.empty(6)])
