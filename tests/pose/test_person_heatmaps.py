"""Heatmaps of several persons, against loops over persons, keypoints and pixels."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pose.person_heatmaps import encode_persons

ENCODINGS = ("exact", "truncated", "rounded")


def window(place, sigma, encoding):
    """Centre, first and last pixel along one axis."""
    if encoding == "exact":
        return place, math.floor(place - 3 * sigma - 1), math.ceil(place + 3 * sigma + 2) - 1
    center = math.floor(place + 0.5) if encoding == "rounded" else math.floor(place)
    reach = math.floor(3 * sigma) if encoding == "rounded" else math.floor(3 * sigma + 1)
    return center, center - reach, center + reach


def by_loops(keypoints, shown, person_image, images, size, sigma, encoding):
    """Heatmaps, and where a Gaussian was drawn."""
    height, width = size
    maps = np.zeros((images, shown.shape[1], height, width))
    drawn = np.zeros(maps.shape, bool)
    for m, k in np.ndindex(shown.shape):
        x, y = keypoints[m, k]
        if not shown[m, k] or not (0 <= x < width and 0 <= y < height):
            continue
        center_x, left, right = window(float(x), sigma, encoding)
        center_y, top, bottom = window(float(y), sigma, encoding)
        for row in range(max(0, top), min(height - 1, bottom) + 1):
            for column in range(max(0, left), min(width - 1, right) + 1):
                value = math.exp(-((column - center_x) ** 2 + (row - center_y) ** 2) / (2 * sigma**2))
                one = maps[person_image[m], k]
                one[row, column] = max(one[row, column], value)
                drawn[person_image[m], k, row, column] = True
    return maps, drawn


def crowd(seed, persons, num_keypoints=3, images=4, size=(20, 27)):
    """Some outside, some exactly on pixels and on the border, some not shown and without numbers."""
    rng = np.random.default_rng(seed)
    height, width = size
    keypoints = rng.uniform((-4, -4), (width + 4, height + 4), (persons, num_keypoints, 2))
    keypoints = np.where(rng.random((persons, num_keypoints, 1)) < 0.3, np.round(keypoints), keypoints)
    shown = rng.random((persons, num_keypoints)) < 0.8
    keypoints[~shown] = np.nan
    return keypoints.astype(np.float32), shown, rng.integers(0, images, persons)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("sigma", [0.6, 1.0, 2.0, 7 / 3])
@pytest.mark.parametrize("persons", [1, 9])
def test_it_equals_loops(encoding, sigma, persons):
    keypoints, shown, person_image = crowd(persons, persons)
    expected, drawn = by_loops(keypoints, shown, person_image, 4, (20, 27), sigma, encoding)
    given_ = (torch.from_numpy(array) for array in (keypoints, shown, person_image))
    maps = encode_persons(*given_, 4, (20, 27), sigma, encoding)
    assert maps.dtype == torch.float32
    np.testing.assert_allclose(maps.numpy(), expected, atol=1e-6)
    np.testing.assert_array_equal(maps.numpy() > 0, drawn)
    assert drawn.any()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), persons=st.integers(0, 6), encoding=st.sampled_from(ENCODINGS))
def test_any_crowd_in_any_order_equals_loops(seed, persons, encoding):
    keypoints, shown, person_image = crowd(seed, persons, num_keypoints=2, images=2, size=(9, 12))
    expected, drawn = by_loops(keypoints, shown, person_image, 2, (9, 12), 1.0, encoding)
    given_ = (torch.from_numpy(array) for array in (keypoints, shown, person_image))
    maps = encode_persons(*given_, 2, (9, 12), 1.0, encoding)
    np.testing.assert_allclose(maps.numpy(), expected, atol=1e-6)
    np.testing.assert_array_equal(maps.numpy() > 0, drawn)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("sigma", [0.1, 0.35])
def test_a_window_is_positive_and_normal_however_small_sigma_is(encoding, sigma):
    keypoint, shown, image = torch.tensor([[[5.4, 6.9]]]), torch.ones(1, 1, dtype=torch.bool), torch.zeros(1).long()
    maps = encode_persons(keypoint, shown, image, 1, (16, 16), sigma, encoding)
    _, drawn = by_loops(keypoint.numpy(), shown.numpy(), image.numpy(), 1, (16, 16), sigma, encoding)
    np.testing.assert_array_equal(maps.numpy() > 0, drawn)
    assert maps[maps > 0].min() >= torch.finfo(torch.float32).tiny


@pytest.mark.parametrize(
    ("x", "pixel", "rows"), [(10.0, 10, (3, 17)), (10.25, 10, (3, 18)), (10.75, 11, (3, 18)), (11.0, 11, (4, 18))]
)
def test_the_exact_window_is_that_of_the_public_code(x, pixel, rows):
    """Specs 3.3: ±3 sigma plus 1 to 2 px."""
    maps = encode_persons(torch.tensor([[[15.0, x]]]), torch.tensor([[True]]), torch.tensor([0]), 1, (32, 32), 2.0)
    column = maps[0, 0, :, 15]
    drawn = column.nonzero().flatten()
    assert (int(drawn[0]), int(drawn[-1]), int(column.argmax())) == (*rows, pixel)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_nobody_and_pictures_without_anybody(encoding):
    nobody = (torch.zeros(0, 3, 2), torch.zeros(0, 3, dtype=torch.bool), torch.zeros(0, dtype=torch.long))
    maps = encode_persons(*nobody, 2, (8, 6), 2.0, encoding)
    assert maps.shape == (2, 3, 8, 6)
    assert not maps.any()
    one = (torch.full((1, 3, 2), 3.0), torch.ones(1, 3, dtype=torch.bool), torch.tensor([1]))
    maps = encode_persons(*one, 3, (8, 6), 2.0, encoding)
    assert maps.flatten(1).any(dim=1).tolist() == [False, True, False]


def test_coordinates_that_no_integer_holds_are_outside():
    keypoints = torch.tensor([[[1e30, 3.0], [float("-inf"), 3.0], [float("nan"), 3.0], [3.0, 2.0**40]]])
    maps = encode_persons(keypoints, torch.ones(1, 4, dtype=torch.bool), torch.tensor([0]), 1, (8, 8), 2.0)
    assert not maps.any()
