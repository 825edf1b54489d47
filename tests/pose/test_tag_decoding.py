"""From maps to persons: drawn people come back, picture by picture."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pose.tag_decoding import decode_tags
from pose.tag_grouping import HIGHER_HRNET

KINDS = 5


def drawn(people: list[np.ndarray], size: tuple[int, int] = (64, 80)) -> tuple[torch.Tensor, torch.Tensor]:
    """Heatmaps (K, h, w) and tags (K, 2, h, w) of people (K, 2), px, NaN where missing."""
    y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    heatmaps, tags = torch.zeros(KINDS, *size), torch.zeros(KINDS, 2, *size)
    for number, person in enumerate(people):
        for kind in np.flatnonzero(~np.isnan(person[:, 0])):
            spot = torch.exp(-((x - person[kind, 0]) ** 2 + (y - person[kind, 1]) ** 2) / 8)
            tags[kind] = torch.where(spot > heatmaps[kind], 2.0 * number + 2, tags[kind])
            heatmaps[kind] = torch.maximum(heatmaps[kind], spot)
    return heatmaps, tags


def people(number: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    places = rng.permutation(np.stack(np.meshgrid(np.arange(6, 74, 9), np.arange(6, 58, 9)), -1).reshape(-1, 2))
    return [places[n * KINDS : (n + 1) * KINDS] + rng.uniform(-0.4, 0.4, (KINDS, 2)) for n in range(number)]


@pytest.mark.parametrize("number", [1, 4, 8])
def test_drawn_people_come_back(number: int) -> None:
    expected = people(number)
    heatmaps, tags = drawn(expected)
    found = decode_tags(heatmaps[None], tags[None], replace(HIGHER_HRNET, shift=0.0))[0]
    assert found.positions.shape == (number, KINDS, 2)
    for person in expected:
        assert np.abs(found.positions - person).max((1, 2)).min() < 0.3
    np.testing.assert_allclose(found.person_scores, found.scores.mean(1), rtol=1e-6)


def test_each_picture_is_decoded_on_its_own_and_one_may_be_empty() -> None:
    pictures = [drawn(people(number, number)) for number in (3, 0, 6)]
    together = decode_tags(*(torch.stack(maps) for maps in zip(*pictures, strict=True)))
    assert [len(persons.scores) for persons in together] == [3, 0, 6]
    for (heatmaps, tags), persons in zip(pictures, together, strict=True):
        alone = decode_tags(heatmaps[None], tags[None])[0]
        np.testing.assert_array_equal(alone.positions, persons.positions)
        np.testing.assert_array_equal(alone.scores, persons.scores)


def test_what_was_below_the_threshold_is_filled_in_but_does_not_count() -> None:
    heatmaps, tags = drawn(people(1))
    heatmaps[2] *= 0.08
    plain, refined = (
        decode_tags(heatmaps[None], tags[None], replace(HIGHER_HRNET, refine=refine))[0] for refine in (False, True)
    )
    assert plain.scores[0, 2] == 0
    assert not plain.positions[0, 2].any()
    assert 0 < refined.scores[0, 2] < 0.08
    assert np.abs(refined.positions[0, 2] - 0.5 - people(1)[0][2]).max() < 0.8
    np.testing.assert_array_equal(plain.person_scores, refined.person_scores)


def test_without_adjustment_keypoints_are_at_whole_pixels() -> None:
    heatmaps, tags = drawn(people(3))
    whole, moved = (
        decode_tags(heatmaps[None], tags[None], replace(HIGHER_HRNET, adjust=adjust))[0] for adjust in (False, True)
    )
    np.testing.assert_array_equal(whole.positions, np.floor(whole.positions))
    assert set(np.unique(moved.positions - whole.positions)) <= {0.25, 0.75}


def test_half_precision_maps_are_decoded() -> None:
    heatmaps, tags = drawn(people(2))
    assert len(decode_tags(heatmaps[None].bfloat16(), tags[None].bfloat16())[0].scores) == 2


def test_maps_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(B, K, T, h, w\).*\(1, 5, 64, 80\)"):
        decode_tags(torch.zeros(1, KINDS, 64, 80), torch.zeros(1, KINDS, 64, 80))
