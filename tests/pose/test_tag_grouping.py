"""Grouping by tags: a plain loop gives the same persons, and the rules hold one by one."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from pose.tag_grouping import AE_HOURGLASS, HIGHER_HRNET, GroupedPersons, TagGrouping, _cost, group_by_tags

AS_IT_COMES = replace(HIGHER_HRNET, break_ties=False)


def loop(positions: np.ndarray, scores: np.ndarray, tags: np.ndarray, settings: TagGrouping) -> list[dict]:
    """Each person as {kind: (x, y, score, tag …)}, candidate by candidate."""
    persons: list[dict] = []
    for kind in settings.order(len(scores)):
        listed = [n for n in range(scores.shape[1]) if scores[kind, n] > settings.detection_threshold]
        known = persons[: settings.max_persons]
        if not listed or (settings.stop_when_full and len(known) == settings.max_persons):
            continue
        distance = np.zeros((len(listed), len(known)))
        for i, n in enumerate(listed):
            for j, person in enumerate(known):
                difference = tags[kind, n] - np.mean([entry[3:] for entry in person.values()], axis=0)
                square = difference.astype(np.float64) ** 2
                distance[i, j] = (square.mean() if settings.distance == "rms" else square.sum()) ** 0.5
        cost = np.round(distance) * 100 - scores[kind, listed][:, None]
        partner = dict(zip(*linear_sum_assignment(cost), strict=True)) if known else {}
        for i, n in enumerate(listed):
            entry = (*positions[kind, n], scores[kind, n], *tags[kind, n])
            if i in partner and distance[i, partner[i]] < settings.tag_threshold:
                known[partner[i]][kind] = entry
            else:
                persons.append({kind: entry})
    return persons


def drawn(seed: int, num_persons: int, gap: float, dimensions: int, kinds: int = 17, slots: int = 30) -> list:
    """Candidates of persons whose tags are `gap` apart, in random order; a third of the keypoints is missing."""
    rng = np.random.default_rng(seed)
    base = gap * rng.permutation(num_persons)
    positions = rng.integers(0, 99, (kinds, slots, 2))
    scores, tags = np.zeros((kinds, slots), np.float32), np.zeros((kinds, slots, dimensions), np.float32)
    for kind in range(kinds):
        here = rng.permutation(np.flatnonzero(rng.random(num_persons) < 0.67))[:slots]
        scores[kind, : len(here)] = np.sort(rng.uniform(0.05, 1, len(here)))[::-1]
        tags[kind, : len(here)] = base[here, None] + rng.normal(0, 0.2, (len(here), dimensions))
    return [positions, scores, tags]


@pytest.mark.parametrize("num_persons", [0, 1, 5, 30, 40])
@pytest.mark.parametrize("base", [AS_IT_COMES, replace(AE_HOURGLASS, break_ties=False)], ids=["higher", "ae"])
def test_as_a_loop_over_candidates(num_persons: int, base: TagGrouping) -> None:
    for seed, gap, dimensions, kinds in ((0, 2.5, 2, 17), (1, 0.9, 1, 14), (2, 0.4, 3, 17), (3, 1.5, 2, 16)):
        candidates = drawn(seed, num_persons, gap, dimensions, kinds)
        persons, expected = group_by_tags(*candidates, base), loop(*candidates, base)
        assert persons.positions.shape == (len(expected), kinds, 2)
        assert persons.scores.shape == (len(expected), kinds)
        assert persons.tags.shape == (len(expected), kinds, dimensions)
        for number, person in enumerate(expected):
            grouped = np.zeros((kinds, 3 + dimensions), np.float32)
            for kind, entry in person.items():
                grouped[kind] = entry
            np.testing.assert_array_equal(persons.positions[number], grouped[:, :2])
            np.testing.assert_array_equal(persons.scores[number], grouped[:, 2])
            np.testing.assert_array_equal(persons.tags[number], grouped[:, 3:])
            np.testing.assert_allclose(persons.person_scores[number], grouped[:, 2].mean(), rtol=1e-6)


@pytest.mark.parametrize("num_persons", [2, 12, 30])
def test_well_separated_persons_are_found_whole(num_persons: int) -> None:
    rng = np.random.default_rng(num_persons)
    kinds = 17
    who = np.stack([rng.permutation(num_persons) for _ in range(kinds)])
    tags = (3.0 * who[..., None] + rng.uniform(-0.4, 0.4, (kinds, num_persons, 1))).astype(np.float32)
    positions = np.stack([who, np.broadcast_to(np.arange(kinds)[:, None], who.shape)], axis=-1)
    persons = group_by_tags(positions, rng.uniform(0.2, 1, who.shape).astype(np.float32), tags)
    assert persons.positions.shape == (num_persons, kinds, 2)
    assert (persons.positions[..., 0] == persons.positions[:, :1, 0]).all()
    assert sorted(persons.positions[:, 0, 0]) == list(range(num_persons))
    assert (persons.scores > 0).all()


def few(entries: list[list[tuple[float, float]]], settings: TagGrouping = HIGHER_HRNET) -> GroupedPersons:
    """Persons from (score, tag) of each candidate of each kind; a candidate's x is its number."""
    slots = max(len(kind) for kind in entries)
    scores, tags = np.zeros((len(entries), slots), np.float32), np.zeros((len(entries), slots, 1), np.float32)
    for kind, listed in enumerate(entries):
        for number, (score, tag) in enumerate(listed):
            scores[kind, number], tags[kind, number] = score, tag
    positions = np.zeros((*scores.shape, 2), int) + np.arange(slots)[:, None]
    return group_by_tags(positions, scores, tags, settings)


def test_nobody() -> None:
    persons = few([[(0.0, 1.0)], [(0.05, 1.0)]])
    assert persons.positions.shape == (0, 2, 2)
    assert persons.person_scores.shape == (0,)


def test_one_candidate_is_one_person() -> None:
    persons = few([[], [(0.6, 4.0)], []])
    np.testing.assert_allclose(persons.scores, [[0, 0.6, 0]])
    np.testing.assert_allclose(persons.person_scores, [0.2])


def test_a_score_must_exceed_the_threshold() -> None:
    assert len(few([[(0.5, 0.0), (0.25, 9.0)]], TagGrouping(detection_threshold=0.25)).scores) == 1


@pytest.mark.parametrize(("tag", "persons"), [(0.99, 1), (1.0, 2)])
def test_a_tag_must_be_nearer_than_the_threshold(tag: float, persons: int) -> None:
    assert len(few([[(0.5, 0.0)], [(0.5, tag)]]).scores) == persons


def test_a_person_is_the_mean_of_its_tags() -> None:
    drifting = [[(0.5, 0.0)], [(0.5, 0.8)], [(0.5, 1.3)]]  # the third is 0.9 from the mean, 1.3 from the first
    assert len(few(drifting).scores) == 1


def test_what_is_too_much_makes_new_persons_and_the_low_scores_are_too_much() -> None:
    persons = few([[(0.9, 0.0)], [(0.8, 0.3), (0.95, 0.3), (0.7, 0.1)]])
    assert persons.scores[:, 1].tolist() == pytest.approx([0.95, 0.8, 0.7])


def test_only_so_many_persons_can_be_joined() -> None:
    far = [(0.5, 10.0 * n) for n in range(4)]
    limited = TagGrouping(max_persons=3)
    persons = few([far, far], limited)
    assert (persons.scores > 0).sum(1).tolist() == [2, 2, 2, 1, 1]
    assert (few([far, far], replace(limited, stop_when_full=True)).scores > 0).sum(1).tolist() == [1, 1, 1, 1]


def test_equal_tags_stay_two_persons() -> None:
    assert (few([[(0.9, 1.0), (0.5, 1.0)], [(0.8, 1.0), (0.7, 1.0)]]).scores > 0).all()


def test_tags_that_are_no_numbers_join_nobody() -> None:
    assert len(few([[(0.5, 0.0)], [(0.5, np.nan), (0.5, np.inf)], [(0.5, 0.1)]]).scores) == 3


def test_rms_divides_by_the_number_of_tags() -> None:
    tags = np.zeros((2, 1, 2), np.float32)
    tags[1] = 0.8  # Euclidean 1.13
    arguments = np.zeros((2, 1, 2), int), np.ones((2, 1), np.float32), tags
    assert len(group_by_tags(*arguments, HIGHER_HRNET).scores) == 2
    assert len(group_by_tags(*arguments, AE_HOURGLASS).scores) == 1


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), rows=st.integers(1, 30), columns=st.integers(1, 30))
def test_breaking_ties_costs_nothing(seed: int, rows: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    distance, scores = rng.uniform(0, 6, (rows, columns)), rng.uniform(0.1, 1, rows).astype(np.float32)
    published = _cost(distance, scores, AS_IT_COMES)
    least = published[linear_sum_assignment(published)].sum()
    assert published[linear_sum_assignment(_cost(distance, scores, HIGHER_HRNET))].sum() <= least + 1e-4


def test_of_persons_within_rounding_the_nearer_one_is_joined() -> None:
    close = [(0.9, 0.0), (0.8, 0.24), (0.7, 0.48)]
    for mixed in itertools.permutations(close):
        persons = few([close, [(score, tag - 0.01) for score, tag in mixed]])
        np.testing.assert_allclose(persons.tags[:, 1, 0] - persons.tags[:, 0, 0], -0.01, atol=1e-6)


def test_of_equally_near_persons_the_older_one_is_joined() -> None:
    twins = [(0.9, 1.0), (0.8, 1.0)]
    assert few([twins, [(0.7, 1.02)], [(0.7, 0.98)]]).scores[0].all()
    assert (np.diff(_cost(np.full((2, 9), 0.3), np.ones(2, np.float32), HIGHER_HRNET)) > 0).all()


def test_the_public_order_and_others() -> None:
    assert HIGHER_HRNET.order(17) == (0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16)
    assert HIGHER_HRNET.order(14) == (0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13)
    for kinds in (1, 9, 12, 13, 20):
        assert sorted(HIGHER_HRNET.order(kinds)) == list(range(kinds))
    assert TagGrouping(keypoint_order=(2, 0, 1)).order(3) == (2, 0, 1)
    with pytest.raises(ValueError, match=r"0 to 2 once: \(2, 0, 0\)"):
        TagGrouping(keypoint_order=(2, 0, 0)).order(3)


@pytest.mark.parametrize(
    ("option", "value"), [("distance", "cosine"), ("max_persons", 0), ("max_persons", 1001), ("tag_threshold", 0.0)]
)
def test_wrong_options_are_refused(option: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{option}.*{value}"):
        TagGrouping(**{option: value})  # type: ignore[arg-type]
