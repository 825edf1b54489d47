"""Part targets against plain loops over lines and pixels."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pose.heatmaps import HeatmapCodec
from pose.part_heatmaps import encode_parts
from pose.part_hierarchy import HIERARCHIES

SIZE = (20, 28)
PARTS = (((0, 1),), ((2, 2),), ((0, 1), (1, 2)), ((3, 0), (3, 3), (1, 2)), ((1, 1),))


def line_by_loops(start, end):
    """Bresenham's line, step by step: the error stays in [−½, ½), so halves go upwards whatever the direction."""
    (x, y), (dx, dy) = start, (end[0] - start[0], end[1] - start[1])
    steps = max(abs(dx), abs(dy))
    error_x = error_y = Fraction(0)
    pixels = [(x, y)]
    for _ in range(steps):
        error_x, error_y = error_x + Fraction(dx, steps), error_y + Fraction(dy, steps)
        while error_x >= Fraction(1, 2):
            x, error_x = x + 1, error_x - 1
        while error_x < -Fraction(1, 2):
            x, error_x = x - 1, error_x + 1
        while error_y >= Fraction(1, 2):
            y, error_y = y + 1, error_y - 1
        while error_y < -Fraction(1, 2):
            y, error_y = y - 1, error_y + 1
        pixels.append((x, y))
    assert pixels[-1] == tuple(end)
    return pixels


def parts_by_loops(keypoints, weights, parts, size, sigma):
    """One channel, segment, line pixel and map pixel at a time; weights are those of the segments that show."""
    height, width = size
    reach = math.floor(3 * sigma)
    maps, kept = np.zeros((len(weights), len(parts), height, width)), np.zeros((len(weights), len(parts)))
    for b, c in np.ndindex(kept.shape):
        for first, last in parts[c]:
            if not (weights[b, first] > 0 and weights[b, last] > 0):
                continue
            ends = [[math.floor(value + 0.5) for value in keypoints[b, k]] for k in (first, last)]
            for x, y in line_by_loops(*ends):
                for v in range(max(0, y - reach), min(height, y + reach + 1)):
                    for u in range(max(0, x - reach), min(width, x + reach + 1)):
                        value = math.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * sigma**2))
                        maps[b, c, v, u] = max(maps[b, c, v, u], value)
                        kept[b, c] = max(kept[b, c], min(weights[b, first], weights[b, last]))
    return maps, kept


def encoded(keypoints, weights, parts=PARTS, size=SIZE, sigma=1.0):
    maps, kept = encode_parts(
        torch.as_tensor(keypoints, dtype=torch.float32),
        torch.as_tensor(weights, dtype=torch.float32),
        parts,
        size,
        sigma,
    )
    return maps.numpy(), kept.numpy()


def assert_equals_loops(keypoints, weights, parts=PARTS, size=SIZE, sigma=1.0):
    expected, kept = parts_by_loops(keypoints, weights, parts, size, sigma)
    maps, new_weights = encoded(keypoints, weights, parts, size, sigma)
    np.testing.assert_allclose(maps, expected, atol=1e-6)
    np.testing.assert_array_equal(maps > 0, expected > 0)
    np.testing.assert_array_equal(new_weights, kept.astype(np.float32))


@pytest.mark.parametrize("sigma", [0.2, 1.0, 1.75, 2.0])
@pytest.mark.parametrize("size", [(20, 28), (17, 9), (1, 5)])
def test_encode_equals_loops(size, sigma):
    rng = np.random.default_rng(0)
    span = np.array(size[::-1])
    keypoints = (np.round(rng.uniform(-span, 2 * span, (6, 4, 2)) * 4) / 4).astype(np.float32)
    weights = rng.choice([0.0, 1.0, 1.5], (6, 4))
    assert_equals_loops(keypoints, weights, size=size, sigma=sigma)


COORDINATES = st.one_of(st.integers(-80, 80), st.integers(-4, 30)).map(lambda value: value / 2)
INSTANCES = st.lists(st.tuples(COORDINATES, COORDINATES, st.sampled_from([0.0, 1.0, 1.0, 2.0])), min_size=4, max_size=4)


@settings(max_examples=60, deadline=None)
@given(instance=INSTANCES, sigma=st.sampled_from([0.5, 1.0, 4 / 3]))
def test_any_instance_equals_loops(instance, sigma):
    array = np.array(instance)[None]
    assert_equals_loops(array[..., :2], array[..., 2], size=(11, 16), sigma=sigma)


@settings(max_examples=60, deadline=None)
@given(instance=INSTANCES)
def test_the_order_of_a_segments_ends_and_of_segments_makes_no_difference(instance):
    array = np.array(instance)[None]
    turned = tuple(tuple((last, first) for first, last in reversed(part)) for part in PARTS)
    for one, other in zip(
        encoded(array[..., :2], array[..., 2]), encoded(array[..., :2], array[..., 2], turned), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@settings(max_examples=60, deadline=None)
@given(instance=INSTANCES, shift=st.tuples(st.integers(-9, 9), st.integers(-9, 9)))
def test_moving_an_instance_moves_its_maps(instance, shift):
    array = np.array(instance)[None]
    maps, _ = encoded(array[..., :2], array[..., 2], size=(40, 40))
    moved, _ = encoded(array[..., :2] + np.array(shift), array[..., 2], size=(40, 40))
    np.testing.assert_array_equal(
        moved[..., 9 + shift[1] : 31 + shift[1], 9 + shift[0] : 31 + shift[0]], maps[..., 9:31, 9:31]
    )


@settings(max_examples=60, deadline=None)
@given(instance=INSTANCES)
def test_a_part_is_the_maximum_of_its_children(instance):
    array = np.array(instance)[None]
    children = (((0, 1),), ((1, 2),), ((3, 3),))
    together = tuple(segment for part in children for segment in part)
    maps, weights = encoded(array[..., :2], array[..., 2], (*children, together))
    np.testing.assert_array_equal(maps[:, 3], maps[:, :3].max(axis=1))
    np.testing.assert_array_equal(weights[:, 3], weights[:, :3].max(axis=1))


@pytest.mark.parametrize("sigma", [0.7, 1.0, 1.4, 2.0, 3.0])
def test_a_keypoints_channel_is_the_rounded_heatmap_to_the_bit(sigma):
    rng = np.random.default_rng(1)
    keypoints = torch.from_numpy(rng.uniform(-30, 60, (16, 4, 2)).astype(np.float32))
    weights = torch.from_numpy(rng.choice([0.0, 1.0, 1.5], (16, 4)).astype(np.float32))
    parts = (((2, 2),), ((0, 1),), ((0, 0),), ((3, 3),))
    maps, kept = encode_parts(keypoints, weights, parts, SIZE, sigma)
    expected, expected_weights = HeatmapCodec(SIZE, SIZE, sigma).encode(keypoints, weights)
    assert torch.equal(maps[:, [2, 0, 3]], expected[:, [0, 2, 3]])
    assert torch.equal(kept[:, [2, 0, 3]], expected_weights[:, [0, 2, 3]])
    assert 0 < (kept > 0).sum() < kept.numel()


def test_a_line_peaks_at_every_pixel_of_it_and_halves_are_rounded_upwards():
    # 2 px up over 4 px: at the odd steps the exact height is a half; the nearest pixels of the ends are (2, 3), (6, 5).
    maps, _ = encoded([[[1.5, 3.4], [6.0, 4.5]]], [[1, 1]], (((0, 1),),))
    assert {(x, y) for y, x in np.argwhere(maps[0, 0] == 1)} == {(2, 3), (3, 4), (4, 4), (5, 5), (6, 5)}
    assert maps.max() == 1
    assert maps[0, 0, 3, 1] == pytest.approx(math.exp(-0.5))
    assert maps[0, 0, 0, 2] == pytest.approx(math.exp(-4.5))
    assert maps[0, 0, 0, 12] == 0


def test_a_bone_needs_both_keypoints_and_a_group_one_bone():
    parts = (((0, 1),), ((1, 2),), ((0, 1), (1, 2)), ((2, 2),))
    maps, weights = encoded([[[3, 3], [9, 3], [float("nan")] * 2]], [[1, 1, 0]], parts)
    assert weights.tolist() == [[1, 0, 1, 0]]
    assert not maps[0, [1, 3]].any()
    np.testing.assert_array_equal(maps[0, 0], maps[0, 2])
    _, weights = encoded([[[3, 3], [float("inf")] * 2, [5, 5]]], [[1, 0, 1]], parts)
    assert weights.tolist() == [[0, 0, 0, 1]]


@pytest.mark.parametrize("far", [60.0, 1e4, 1e6, 1e9, 1e30, float("inf")])
def test_ends_however_far_outside_cost_and_harm_nothing(far):
    parts = (((0, 1),), ((2, 3),), ((1, 3),), ((3, 3),))
    level_line = [[-far, 7.0], [far, 7.0], [4.0, 4.0], [far, far]]
    maps, weights = encoded([level_line], [[1, 1, 1, 1]], parts)
    np.testing.assert_array_equal(maps[0, 0, 7], np.ones(SIZE[1], np.float32))
    np.testing.assert_array_equal(maps[0, 0, :, 5], maps[0, 0, :, 20])
    assert [int(np.argmax(row)) for row in maps[0, 1, 6:18]] == list(range(6, 18))  # a diagonal
    assert weights.tolist() == [[1, 1, 0, 0]]
    assert not maps[0, 2:].any()


def test_a_line_beside_the_map_shows_as_far_as_its_gaussian_reaches():
    for outside, shows in [(3, True), (4, False)]:
        maps, weights = encoded([[[5.0, -outside], [15.0, -outside]]], [[1, 1]], (((0, 1),),))
        assert (weights.item() > 0) == shows == bool(maps.any())


def test_weights_are_the_smaller_of_two_ends_and_the_largest_of_those_that_show():
    parts = (((0, 1),), ((0, 1), (0, 2)), ((0, 1), (2, 3)))
    keypoints = [[[3, 3], [9, 3], [9, 9], [100, 9]]]
    assert encoded(keypoints, [[2, 0.5, 1, 1]], parts)[1].tolist() == [[0.5, 1, 1]]
    keypoints[0][2] = [90, 9]
    assert encoded(keypoints, [[2, 0.5, 1, 1]], parts)[1].tolist() == [[0.5, 1, 0.5]]


@pytest.mark.parametrize("name", HIERARCHIES)
def test_every_level_of_every_hierarchy_equals_loops(name):
    hierarchy = HIERARCHIES[name]
    rng = np.random.default_rng(2)
    keypoints = rng.uniform(-5, 21, (3, hierarchy.num_keypoints, 2))
    weights = rng.choice([0.0, 1.0, 1.0, 1.0], (3, hierarchy.num_keypoints))
    for level in hierarchy.levels:
        assert_equals_loops(keypoints, weights, level, (16, 16))


@pytest.mark.parametrize("parts", [PARTS, (((0, 1),),), (((0, 0),),), ()])
def test_shapes_dtypes_and_an_empty_batch(parts):
    for count in (0, 2):
        maps, weights = encode_parts(torch.zeros(count, 4, 2), torch.ones(count, 4), parts, SIZE, 1.0)
        assert maps.shape == (count, len(parts), *SIZE)
        assert weights.shape == (count, len(parts))
        assert maps.dtype == weights.dtype == torch.float32


def test_arguments_are_left_as_they_are_and_other_dtypes_pass():
    keypoints, weights = torch.tensor([[[3, 3], [90, 3], [4, 4], [5, 5]]], dtype=torch.float64), torch.ones(1, 4)
    before = keypoints.clone()
    maps, _ = encode_parts(keypoints, weights, PARTS, SIZE, 1.0)
    assert torch.equal(keypoints, before)
    assert weights.tolist() == [[1, 1, 1, 1]]
    assert maps.dtype == torch.float32
