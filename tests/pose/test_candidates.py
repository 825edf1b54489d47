"""Candidates: a loop over pixels finds the same peaks, on plateaus and small maps too."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pose import candidates
from pose.candidates import find_candidates, values_at


def loop(one: torch.Tensor, count: int, pool: int, threshold: float) -> list[tuple[float, int, int]]:
    """(score, x, y) of the peaks of a map (h, w), pixel by pixel."""
    found = []
    reach = pool // 2
    for y, x in itertools.product(range(one.shape[0]), range(one.shape[1])):
        window = one[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        if one[y, x] >= window.max() and one[y, x] > threshold:
            found.append((float(one[y, x]), x, y))
    return sorted(found, key=lambda peak: (-peak[0], peak[2], peak[1]))[:count]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    size=st.tuples(st.integers(1, 12), st.integers(1, 14)),
    count=st.integers(1, 12),
    pool=st.sampled_from([1, 3, 5, 7]),
    levels=st.sampled_from([3, 1000]),
    threshold=st.sampled_from([0.0, 0.1, 0.5]),
)
def test_as_a_loop_over_pixels(
    seed: int, size: tuple[int, int], count: int, pool: int, levels: int, threshold: float
) -> None:
    drawn = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(seed))
    heatmaps = (drawn * levels).round() / levels - 0.1  # few levels make plateaus
    found = find_candidates(heatmaps, count, pool, threshold)
    assert found.positions.shape == (2, 3, count, 2)
    assert found.scores.shape == found.valid.shape == (2, 3, count)
    for b, k in itertools.product(range(2), range(3)):
        expected = loop(heatmaps[b, k], count, pool, threshold)
        padding = [(0.0, 0, 0)] * (count - len(expected))
        listed = zip(found.scores[b, k].tolist(), *found.positions[b, k].unbind(1), strict=True)
        assert [(score, int(x), int(y)) for score, x, y in listed] == expected + padding
        assert found.valid[b, k].sum() == len(expected)


@pytest.mark.parametrize("pool", [1, 3, 5, 7])
def test_both_ways_to_find_peaks_agree(pool: int) -> None:
    maps = (torch.rand(5, 33, 47, generator=torch.Generator().manual_seed(0)) * 40).round() / 40 - 0.2
    maps[3] = 0
    one, other = (find(maps, pool, 0.1) for find in (candidates._peaks_dilated, candidates._peaks_pooled))
    assert len(one[0]) > 100
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_plateau_is_many_candidates_in_reading_order() -> None:
    heatmaps = torch.zeros(1, 1, 6, 8)
    heatmaps[0, 0, 2:4, 3:5] = 0.5
    found = find_candidates(heatmaps, 5)
    assert found.positions[0, 0].tolist() == [[3, 2], [4, 2], [3, 3], [4, 3], [0, 0]]
    assert found.scores[0, 0].tolist() == [0.5] * 4 + [0]


@pytest.mark.parametrize("batch", [0, 2])
def test_no_candidate(batch: int) -> None:
    found = find_candidates(torch.full((batch, 3, 4, 4), 0.1), 6, threshold=0.1)
    assert found.positions.shape == (batch, 3, 6, 2)
    assert not found.scores.any()
    assert not found.positions.any()


def test_half_precision_and_other_memory_layouts() -> None:
    heatmaps = torch.rand(1, 4, 16, 24).bfloat16()
    expected = find_candidates(heatmaps.float())
    found = find_candidates(heatmaps.to(memory_format=torch.channels_last).requires_grad_())
    assert torch.equal(found.positions, expected.positions)
    assert torch.equal(found.scores, expected.scores)


@pytest.mark.parametrize(("option", "value"), [("count", 0), ("pool", 4), ("pool", -1), ("threshold", -0.5)])
def test_wrong_options_are_refused(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{option}.*{value}"):
        find_candidates(torch.zeros(1, 1, 4, 4), **{option: value})  # type: ignore[arg-type]


def test_values_between_pixels_and_beyond_the_edge() -> None:
    y, x = torch.meshgrid(torch.arange(5.0), torch.arange(7.0), indexing="ij")
    maps = torch.stack([2 * x + 10 * y, x * y])[None]
    positions = torch.tensor([[1.5, 2.25], [0, 0], [6, 4], [-3, 1.5], [9, 9]]).expand(1, 2, 5, 2)
    expected = torch.tensor([[25.5, 0, 52, 15, 52], [3.375, 0, 24, 0, 24]])
    torch.testing.assert_close(values_at(maps, positions), expected[None])
    assert torch.equal(values_at(maps, positions.long()), values_at(maps, positions.long().float()))
