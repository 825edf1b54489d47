"""Centres and offsets, against loops over persons, positions and keypoints."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pose.center_offsets import OffsetTargets, encode_centers, encode_offsets, person_centers
from pose.person_heatmaps import encode_persons

SIZE = (16, 21)  # height, width
OVERLAPS, SIZES = ("nearest", "smaller"), ("diagonal", "area")


def inside(point):
    return 0 <= point[0] < SIZE[1] and 0 <= point[1] < SIZE[0]


def box_area(corners):
    return math.dist(corners[0], corners[1]) * math.dist(corners[1], corners[2])


def candidates(position, image, crowd, radius):
    """Persons in whose region a position lies: (squared distance, area, number)."""
    found = []
    for m, center in enumerate(crowd["centers"]):
        if crowd["person_image"][m] != image or not crowd["with_center"][m] or not inside(center):
            continue
        steps = [position[axis] - int(center[axis]) for axis in (0, 1)]
        if all(-radius <= step < radius for step in steps):
            found.append((steps[0] ** 2 + steps[1] ** 2, box_area(crowd["box_corners"][m]), m))
    return found


def by_loops(crowd, images, radius, overlap, size):
    """Dense maps of offsets and weights, (B, 2K, h, w)."""
    num_keypoints = crowd["labelled"].shape[1]
    offsets, weights = np.zeros((2, images, 2 * num_keypoints, *SIZE))
    for image, k in np.ndindex(images, num_keypoints):
        for y, x in np.ndindex(SIZE):
            persons = candidates((x, y), image, crowd, radius)
            taught = {m for *_, m in persons if crowd["labelled"][m, k] and inside(crowd["keypoints"][m, k])}
            if overlap == "smaller":
                persons = [(0, area, m) for _, area, m in persons if m in taught]
            if not persons or (winner := min(persons)[2]) not in taught:
                continue
            corners = crowd["box_corners"][winner]
            length = math.dist(corners[0], corners[2]) if size == "diagonal" else math.sqrt(box_area(corners))
            offsets[image, 2 * k : 2 * k + 2, y, x] = crowd["keypoints"][winner, k] - np.array([x, y])
            weights[image, 2 * k : 2 * k + 2, y, x] = 1 / max(1, length)
    return offsets, weights


def dense(targets: OffsetTargets, images):
    """The same maps from what the loss gets; no place has two targets for one keypoint."""
    num_keypoints = targets.weights.shape[2]
    offsets, weights = np.zeros((2, images * SIZE[0] * SIZE[1], num_keypoints, 2))
    for m, s, k in np.argwhere(targets.weights.numpy() > 0):
        place = targets.places[m, s]
        assert not weights[place, k].any()
        offsets[place, k], weights[place, k] = targets.offsets[m, s, k].numpy(), targets.weights[m, s, k]
    maps = (array.reshape(images, *SIZE, -1).transpose(0, 3, 1, 2) for array in (offsets, weights))
    return tuple(maps)


def random_crowd(seed, persons, images=2, num_keypoints=3):
    """Centres close together, some in one pixel, some outside; boxes turned, some of one size; many unlabelled."""
    rng = np.random.default_rng(seed)
    centers = np.round(rng.uniform(-3, np.array(SIZE[::-1]) + 3, (persons, 2)) * 4) / 4
    if persons > 2:
        centers[2] = np.floor(centers[0]) + np.array([0.25, 0.75])
    sides, turn = rng.choice([0.25, 3.0, 6.0, 40.0], (persons, 2)), rng.uniform(0, 6, persons)
    along = np.stack([np.cos(turn), np.sin(turn)], axis=1) * sides[:, :1]
    down = np.stack([-np.sin(turn), np.cos(turn)], axis=1) * sides[:, 1:]
    first = rng.uniform(0, 10, (persons, 2))
    keypoints = rng.uniform(-6, 27, (persons, num_keypoints, 2))
    labelled = rng.random((persons, num_keypoints)) < 0.7
    keypoints[~labelled] = np.nan
    return {
        "keypoints": keypoints.astype(np.float32),
        "labelled": labelled,
        "centers": centers.astype(np.float32),
        "with_center": rng.random(persons) < 0.9,
        "box_corners": np.stack([first, first + along, first + along + down, first + down], 1).astype(np.float32),
        "person_image": rng.integers(0, images, persons),
    }


def encode(crowd, images=2, **options):
    tensors = {name: torch.from_numpy(np.asarray(array)) for name, array in crowd.items()}
    return encode_offsets(**tensors, images=images, heatmap_size=SIZE, **options)


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("radius", [1, 4])
def test_it_equals_loops(overlap, size, radius):
    # Areas that differ in the sixteenth digit would be equal here and not in the loops.
    crowd = random_crowd(radius, 12)
    crowd["box_corners"] *= np.linspace(0.9, 1.1, 12, dtype=np.float32)[:, None, None]
    offsets, weights = by_loops(crowd, 2, radius, overlap, size)
    found_offsets, found_weights = dense(encode(crowd, overlap=overlap, size=size, radius=radius), 2)
    np.testing.assert_allclose(found_weights, weights, rtol=1e-5)
    np.testing.assert_allclose(found_offsets, offsets, atol=1e-4)
    assert (weights > 0).any()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 7), st.sampled_from(OVERLAPS), st.sampled_from(SIZES))
def test_any_crowd_equals_loops(seed, persons, overlap, size):
    crowd = random_crowd(seed, persons, num_keypoints=2)
    crowd["box_corners"] *= np.linspace(0.9, 1.1, persons, dtype=np.float32)[:, None, None]
    offsets, weights = by_loops(crowd, 2, 2, overlap, size)
    found_offsets, found_weights = dense(encode(crowd, overlap=overlap, size=size, radius=2), 2)
    np.testing.assert_allclose(found_weights, weights, rtol=1e-5)
    np.testing.assert_allclose(found_offsets, offsets, atol=1e-4)


def persons(centers, sides, keypoints=None, labelled=None):
    """Persons of picture 0 with upright square boxes at the origin."""
    number = len(centers)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    keypoints = np.full((number, 1, 2), 5.0) if keypoints is None else np.asarray(keypoints)
    return {
        "keypoints": keypoints.astype(np.float32),
        "labelled": np.ones(keypoints.shape[:2], bool) if labelled is None else np.asarray(labelled),
        "centers": np.asarray(centers, np.float32),
        "with_center": np.ones(number, bool),
        "box_corners": np.asarray(sides, np.float32)[:, None, None] * corners,
        "person_image": np.zeros(number, np.int64),
    }


def winners(crowd, **options):
    """How many positions of each keypoint each person has, (M, K)."""
    return (encode(crowd, 1, **options).weights > 0).sum(dim=1).tolist()


def test_the_region_is_eight_by_eight_and_offsets_lead_to_the_keypoint():
    targets = encode(persons([(8.9, 7.2)], [10], [[(9.5, 3.25)]]), 1)
    places = targets.places[targets.weights[..., 0] > 0].numpy()
    y, x = np.divmod(places, SIZE[1])
    assert (set(x), set(y), len(places)) == (set(range(4, 12)), set(range(3, 11)), 64)
    np.testing.assert_allclose(targets.offsets[0, :, 0].numpy() + np.stack([x, y], 1), [[9.5, 3.25]] * 64)
    np.testing.assert_allclose(targets.weights.numpy(), 1 / math.hypot(10, 10), rtol=1e-6)
    np.testing.assert_allclose(encode(persons([(8.9, 7.2)], [10]), 1, size="area").weights.numpy(), 0.1, rtol=1e-6)


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_in_the_same_pixel_the_smaller_person_wins_then_the_first(overlap):
    same = [(8.1, 7.9), (8.8, 7.0), (8.5, 7.5)]
    assert winners(persons(same, [9, 5, 7]), overlap=overlap) == [[0], [64], [0]]
    assert winners(persons(same, [5, 5, 7]), overlap=overlap) == [[64], [0], [0]]


def test_between_two_centres_the_nearest_wins_or_the_smaller():
    """Centres 4 px apart: 4 columns each of their own and 4 common ones, at −4 … −1 from the right centre."""
    crowd = persons([(6.0, 7.0), (10.0, 7.0)], [5, 9])
    # The left one has the column in the middle, x = 8, because its person is smaller.
    assert winners(crowd) == [[8 * 7], [8 * 5]]
    assert winners(crowd, overlap="smaller") == [[64], [32]]


def test_who_lacks_a_keypoint_keeps_the_region_unless_keypoints_are_decided_one_by_one():
    crowd = persons([(8, 7), (8, 7)], [5, 9], np.full((2, 2, 2), 5.0), [[True, False], [True, True]])
    assert winners(crowd) == [[64, 0], [0, 0]]
    assert winners(crowd, overlap="smaller") == [[64, 0], [0, 64]]


@pytest.mark.parametrize("center", [(-0.5, 7), (8, -0.1), (21, 7), (8, 16), (1e30, 7), (float("nan"), 7)])
def test_centres_outside_of_the_map_have_no_target(center):
    crowd = persons([center, (8, 7)], [5, 9])
    assert winners(crowd) == [[0], [64]]
    with_center = torch.tensor([True, True])
    image = torch.tensor([1, 0])
    maps = encode_centers(torch.from_numpy(crowd["centers"]), with_center, image, 2, SIZE)
    assert maps.flatten(1).any(dim=1).tolist() == [True, False]


def test_a_region_at_the_border_is_cut():
    assert winners(persons([(0.0, 0.0)], [5])) == [[16]]
    assert winners(persons([(20.9, 15.9)], [5])) == [[25]]


def test_a_person_larger_than_the_crop_keeps_the_keypoints_in_it():
    crowd = persons([(8, 7)], [500], [[(-60.0, 7.0), (3.0, 4.0), (30.0, 99.0)]])
    assert winners(crowd) == [[0, 64, 0]]
    weights = encode(crowd, 1).weights
    np.testing.assert_allclose(weights[..., 1].numpy(), 1 / math.hypot(500, 500), rtol=1e-6)


def test_a_box_without_extent_counts_as_one_pixel():
    for size in SIZES:
        assert encode(persons([(8, 7)], [0]), 1, size=size).weights.max() == 1


def test_nobody():
    crowd = {name: array[:0] for name, array in random_crowd(0, 3).items()}
    for overlap in OVERLAPS:
        targets = encode(crowd, overlap=overlap)
        assert [tuple(part.shape) for part in (targets.places, targets.offsets, targets.weights)] == [
            (0, 64),
            (0, 64, 3, 2),
            (0, 64, 3),
        ]


def test_centres_are_means_of_labelled_keypoints_or_of_the_box():
    keypoints = torch.tensor([[[1.0, 2.0], [3.0, 8.0], [float("nan"), 99.0]]]).repeat(3, 1, 1)
    labelled = torch.tensor([[True, True, False], [False, True, False], [False, False, False]])
    corners = torch.tensor([[0.0, 0.0], [4.0, 2.0], [3.0, 4.0], [-1.0, 2.0]]).repeat(3, 1, 1)
    assert person_centers(keypoints, labelled, corners).tolist() == [[2, 5], [3, 8], [1.5, 2]]
    assert person_centers(keypoints[:0], labelled[:0], corners[:0]).shape == (0, 2)


def test_a_centre_map_is_a_gaussian_of_sigma_four():
    centers, chosen, image = torch.tensor([[8.3, 7.1], [3.0, 3.0]]), torch.tensor([True, False]), torch.tensor([1, 1])
    maps = encode_centers(centers, chosen, image, 2, SIZE)
    assert maps.shape == (2, 1, *SIZE)
    torch.testing.assert_close(maps, encode_persons(centers[:1, None], chosen[:1, None], image[:1], 2, SIZE, 4.0))
    torch.testing.assert_close(maps[1, 0, 7, 12], torch.tensor(math.exp(-(3.7**2 + 0.1**2) / 32)))


@pytest.mark.parametrize("option", ["overlap", "size"])
def test_options_that_do_not_exist_are_refused(option):
    with pytest.raises(ValueError, match=f"{option}.*'larger'"):
        encode(random_crowd(0, 2), **{option: "larger"})
