"""Missing keypoints and quarter pixels: loops over all pixels, persons and keypoints give the very same."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pose import tag_search
from pose.tag_grouping import GroupedPersons
from pose.tag_refinement import fill_missing, move_to_larger_neighbours
from pose.tag_search import best_pixels


def scene(
    seed: int,
    size: tuple[int, int] = (24, 32),
    kinds: int = 3,
    dimensions: int = 2,
    levels: int = 0,
    persons: int = 5,
    patch: int = 6,
) -> tuple[torch.Tensor, torch.Tensor, GroupedPersons]:
    """Heatmaps and tags that vary from patch to patch, and persons that miss half of their keypoints."""
    rng = np.random.default_rng(seed)
    heat = rng.normal(0, 0.3, (kinds, *size)).astype(np.float32)
    coarse = rng.uniform(-3, 9, (kinds, dimensions, size[0] // patch + 1, size[1] // patch + 1))
    tags = coarse.repeat(patch, 2).repeat(patch, 3)[..., : size[0], : size[1]] + rng.normal(
        0, 0.1, (kinds, dimensions, *size)
    )
    if levels:
        heat, tags = np.round(heat * levels) / levels, np.round(tags)
    there = rng.random((persons, kinds)) < 0.5
    there[:, 0] = True
    x, y = rng.integers(0, size[1], there.shape), rng.integers(0, size[0], there.shape)
    person_tags = (rng.uniform(-3, 9, (persons, kinds, dimensions)) * there[..., None]).astype(np.float32)
    scores = (rng.uniform(0.1, 1, there.shape) * there).astype(np.float32)
    positions = (np.stack([x, y], -1) * there[..., None]).astype(np.float32)
    found = GroupedPersons(positions, scores, person_tags, scores.mean(1))
    return torch.from_numpy(heat.astype(np.float32)), torch.from_numpy(tags.astype(np.float32)), found


def argmax_loop(heat: np.ndarray, tags: np.ndarray, mean: np.ndarray) -> tuple[int, int]:
    """x and y of the largest heat (h, w) − round(‖tags (T, h, w) − mean (T,)‖), everywhere."""
    distance = np.sqrt(sum((tags[t] - mean[t]) ** 2 for t in range(len(mean))))
    y, x = np.unravel_index(np.argmax(heat - np.round(distance)), heat.shape)
    return int(x), int(y)


def filled_loop(heat: np.ndarray, tags: np.ndarray, persons: GroupedPersons) -> GroupedPersons:
    positions, scores, person_tags = persons.positions.copy(), persons.scores.copy(), persons.tags.copy()
    for p, k in itertools.product(*(range(side) for side in scores.shape)):
        if persons.scores[p, k] > 0:
            continue
        mean = persons.tags[p].sum(0) / np.float32((persons.scores[p] > 0).sum())
        x, y = argmax_loop(heat[k], tags[k], mean)
        if heat[k, y, x] > 0:
            positions[p, k], scores[p, k], person_tags[p, k] = (x, y), heat[k, y, x], tags[k, :, y, x]
    return GroupedPersons(positions, scores, person_tags, persons.person_scores)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    dimensions=st.integers(1, 4),
    levels=st.sampled_from([0, 4]),
    persons=st.integers(0, 6),
)
def test_filled_in_as_by_looking_everywhere(
    seed: int, size: tuple[int, int], dimensions: int, levels: int, persons: int
) -> None:
    heat, tags, found = scene(seed, size, 3, dimensions, levels, persons)
    filled, expected = fill_missing(heat, tags, found), filled_loop(heat.numpy(), tags.numpy(), found)
    for name in ("positions", "scores", "tags", "person_scores"):
        np.testing.assert_array_equal(getattr(filled, name), getattr(expected, name), err_msg=name)


def test_found_persons_are_not_written_over() -> None:
    heat, tags, found = scene(0)
    before = found.positions.copy(), found.scores.copy(), found.tags.copy()
    assert (fill_missing(heat, tags, found).scores != found.scores).any()
    for old, new in zip(before, (found.positions, found.scores, found.tags), strict=True):
        np.testing.assert_array_equal(old, new)


def test_small_pieces_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    heat, tags, found = scene(1, (40, 56), 17, 2, 0, 30)
    expected = fill_missing(heat, tags, found)
    monkeypatch.setattr(tag_search, "_AT_ONCE", 200)
    np.testing.assert_array_equal(fill_missing(heat, tags, found).positions, expected.positions)


def test_few_pixels_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    heat, tags, found = scene(5, (96, 128), 17, 2, 0, 30, patch=32)
    looked_at = []

    def counted(maps: tag_search._Blocks, *where: torch.Tensor) -> torch.Tensor:
        looked_at.append((found_values := values(maps, *where)).numel())
        return found_values

    values = tag_search._Blocks._values
    monkeypatch.setattr(tag_search._Blocks, "_values", counted)
    fill_missing(heat, tags, found)
    assert 0 < sum(looked_at) < 0.2 * (found.scores == 0).sum() * 96 * 128


@pytest.mark.parametrize("heat", [0.0, -0.2, 0.3])
def test_flat_maps_answer_with_the_first_pixel(heat: float) -> None:
    places = best_pixels(
        torch.full((2, 20, 12), heat), torch.ones(2, 1, 20, 12), torch.tensor([0, 1]), torch.ones(2, 1)
    )
    assert places.tolist() == [[0, 0], [0, 0]]


def test_where_the_heatmap_is_not_above_zero_the_keypoint_stays_missing() -> None:
    _, tags, found = scene(2)
    filled = fill_missing(torch.zeros(3, 24, 32), tags, found)
    np.testing.assert_array_equal(filled.scores, found.scores)
    np.testing.assert_array_equal(filled.positions, found.positions)


def moved_loop(heat: np.ndarray, persons: GroupedPersons, shift: float) -> np.ndarray:
    moved = persons.positions.copy()
    _, height, width = heat.shape
    for p, k in itertools.product(*(range(side) for side in persons.scores.shape)):
        if persons.scores[p, k] > 0:
            x, y = persons.positions[p, k].astype(int)
            right, left = heat[k, y, min(x + 1, width - 1)], heat[k, y, max(x - 1, 0)]
            below, above = heat[k, min(y + 1, height - 1), x], heat[k, max(y - 1, 0), x]
            moved[p, k] += (0.25 if right > left else -0.25) + shift, (0.25 if below > above else -0.25) + shift
    return moved


@pytest.mark.parametrize("shift", [0.0, 0.5])
@pytest.mark.parametrize(("size", "levels"), [((24, 32), 0), ((3, 2), 2), ((1, 1), 0)])
def test_moved_as_by_a_loop(size: tuple[int, int], levels: int, shift: float) -> None:
    heat, _, found = scene(3, size, 17, 1, levels, 12)
    moved = move_to_larger_neighbours(heat, found, shift)
    np.testing.assert_array_equal(moved.positions, moved_loop(heat.numpy(), found, shift))
    np.testing.assert_array_equal(moved.scores, found.scores)


def test_nobody_is_moved() -> None:
    heat, _, found = scene(4, persons=0)
    assert move_to_larger_neighbours(heat, found).positions.shape == (0, 3, 2)
