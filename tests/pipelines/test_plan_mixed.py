"""Splits mixed in proportions: every split's samples come round once before any comes again, each time as new."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_split import lanes_of, simulated_split

from pipelines.epoch_samples import Part, epoch_samples
from pipelines.plan import Plan

MODES = [("image", 0), ("instance", 0), ("none", 0), ("image", 64), ("instance", 64)]
WEIGHTS = [0.3, 1 / 3, math.sqrt(0.5), 1.0, 1.7, math.pi, 0.004]


def mixed(split, counts, weights, **options):
    """The plan of a split whose samples are those of several."""
    assert sum(counts) == len(split)
    parts = [Part(count, weight) for count, weight in zip(counts, weights, strict=True)]
    return split.plan(options.pop("batch_size", 16), parts=parts, **options)


def visits_of(plan, epochs):
    """(sample, pass) of every position that is no filling, epoch by epoch."""
    epoch_visits = []
    for epoch in range(epochs):
        steps = range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch)
        batches = [plan.batch(step) for step in steps]
        assert {batch.epoch for batch in batches} == {epoch}
        visits = [np.stack([batch.samples, batch.passes], axis=1)[batch.samples >= 0] for batch in batches]
        epoch_visits.append(np.concatenate(visits))
    return epoch_visits


def check_visits(plan, epochs):
    """Equal epochs; each sample comes as pass 0, 1, 2, … of its split, one after the other, as often as the others."""
    epoch_visits = visits_of(plan, epochs)
    assert {len(visits) for visits in epoch_visits} == {plan.epoch_size}
    passes_of = [[] for _ in range(len(plan.image_rows))]
    for visits in epoch_visits:
        for sample, number in sorted(visits.tolist()):
            passes_of[sample].append(number)
    assert all(numbers == list(range(len(numbers))) for numbers in passes_of)
    first = 0
    for part in plan.parts:
        counts = [len(numbers) for numbers in passes_of[first : first + part.count]]
        first += part.count
        assert sum(counts) == epochs * part.quota
        assert max(counts, default=0) - min(counts, default=0) <= 1


@pytest.mark.parametrize(("shuffle", "window"), MODES)
def test_weights_of_one_are_the_splits_one_after_the_other(shuffle, window):
    split = simulated_split(300)
    plain = split.plan(16, seed=4, shuffle=shuffle, window=window)
    plan = mixed(split, [50, 100, len(split) - 150], [1, 1.0, 1], seed=4, shuffle=shuffle, window=window)
    for step in range(3 * plain.steps_per_epoch):
        for ours, theirs in zip(plan.batch(step), plain.batch(step), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert all(sorted(visits[:, 0]) == list(range(len(split))) for visits in visits_of(plan, 3))


@pytest.mark.parametrize(("shuffle", "window"), MODES)
def test_a_third_takes_three_epochs(shuffle, window):
    split = simulated_split(200)
    first = 120
    plan = mixed(split, [first, len(split) - first], [1 / 3, 1], shuffle=shuffle, window=window)
    epochs = [visits[visits[:, 0] < first] for visits in visits_of(plan, 6)]
    assert [len(visits) for visits in epochs] == [40] * 6
    for number, thirds in enumerate((epochs[:3], epochs[3:])):
        together = np.concatenate(thirds)
        assert sorted(together[:, 0]) == list(range(first))
        assert (together[:, 1] == number).all()
    if shuffle != "none":
        assert set(epochs[0][:, 0].tolist()) != set(epochs[3][:, 0].tolist())  # other thirds the next time


@pytest.mark.parametrize(("shuffle", "window"), MODES)
def test_twice_in_each_epoch_as_different_passes(shuffle, window):
    split = simulated_split(200)
    plan = mixed(split, [100, len(split) - 100], [2, 1], shuffle=shuffle, window=window)
    for epoch, visits in enumerate(visits_of(plan, 3)):
        ours = visits[visits[:, 0] < 100]
        expected = [(sample, number) for sample in range(100) for number in (2 * epoch, 2 * epoch + 1)]
        assert sorted(map(tuple, ours.tolist())) == expected
        others = visits[visits[:, 0] >= 100]
        assert sorted(map(tuple, others.tolist())) == [(sample, epoch) for sample in range(100, len(split))]


@pytest.mark.parametrize(("shuffle", "window"), MODES)
@pytest.mark.parametrize("weight", WEIGHTS)
def test_any_weight_over_many_epochs(weight, shuffle, window):
    split = simulated_split(60)
    plan = mixed(split, [40, len(split) - 40], [weight, 0.7], shuffle=shuffle, window=window)
    assert plan.parts[0].quota == max(1, round(40 * weight))
    check_visits(plan, 23)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    cuts=st.lists(st.floats(0, 1), max_size=3),
    weights=st.lists(st.floats(0.01, 3.5), min_size=4, max_size=4),
    mode=st.sampled_from(MODES),
    batch_size=st.integers(1, 100),
)
def test_any_mixture(seed, cuts, weights, mode, batch_size):
    split = simulated_split(80, seed)
    borders = [0, *sorted(round(cut * len(split)) for cut in cuts), len(split)]
    counts = [end - begin for begin, end in itertools.pairwise(borders)]
    shuffle, window = mode
    check_visits(
        mixed(split, counts, weights[: len(counts)], seed=seed, shuffle=shuffle, window=window, batch_size=batch_size),
        7,
    )


@pytest.mark.parametrize("window", [0, 64])
def test_splits_are_mixed_within_batches(window):
    split = simulated_split(4000, seed=5)
    first = len(split) // 2
    plan = mixed(split, [first, len(split) - first], [0.5, 1], window=window, batch_size=128)
    order = plan.order(0).samples
    share = np.array([np.mean(order[begin : begin + 1280] < first) for begin in range(0, len(order) - 1280, 1280)])
    assert share.mean() == pytest.approx(1 / 3, abs=0.05)
    assert share.min() > 0.05
    assert share.max() < 0.75


def test_part_of_a_split_is_drawn_from_all_of_it():
    split = simulated_split(2000)
    for shuffle in ("image", "instance"):
        taken = np.sort(mixed(split, [len(split)], [0.25], shuffle=shuffle).order(0).samples)
        assert np.corrcoef(taken, np.arange(len(taken)))[0, 1] > 0.99
        assert 0.1 < np.mean(np.diff(split.image_rows[taken]) > 1) < 0.9  # images in between are left for later


def test_part_of_a_split_is_whole_images_or_whole_blocks():
    """Also with shuffled persons: what is read or decoded for an epoch is used in it."""
    split = simulated_split(2000)
    for shuffle, window in itertools.product(("image", "instance"), (0, 64)):
        unit_of_sample = (split.blocks if window else np.arange(2000))[split.image_rows]
        plan = mixed(split, [len(split)], [0.25], shuffle=shuffle, window=window)
        for epoch in range(4):
            taken = np.bincount(unit_of_sample[plan.order(epoch).samples], minlength=unit_of_sample[-1] + 1)
            whole = np.bincount(unit_of_sample)
            assert np.sum((taken > 0) & (taken < whole)) <= 2


@pytest.mark.parametrize("window", [0, 64])
def test_the_persons_of_an_image_stay_together_in_each_pass(window):
    split = simulated_split(500)
    plan = mixed(split, [len(split)], [2.0], window=window, batch_size=8)
    order = plan.order(1)
    lanes = lanes_of(plan) if window else np.zeros(plan.epoch_size)
    runs = 0
    for lane in np.unique(lanes):
        here = lanes == lane
        keys = np.stack([split.image_rows[order.samples[here]], order.passes[here]], axis=1)
        runs += 1 + np.sum((np.diff(keys, axis=0) != 0).any(axis=1))
    images = 2 * len(np.unique(split.image_rows))
    assert images <= runs <= images + 7


def test_two_splits_of_one_size_do_not_go_in_step():
    split = simulated_split(400, persons=1)
    half = len(split) // 2
    plan = mixed(split.first(2 * half), [half, half], [0.5, 0.5])
    taken = plan.order(0).samples
    ours, theirs = (set((taken[chosen] % half).tolist()) for chosen in (taken < half, taken >= half))
    assert len(ours & theirs) < 0.7 * len(ours)


def test_samples_of_an_epoch_are_sorted_by_split_pass_and_number():
    """The shuffles rely on it: samples of one image or block are neighbours."""
    parts = [Part(10, 1.5), Part(4, 0.5), Part(0, 2.0), Part(3, 1.0)]

    def backwards(first, count, number):
        return np.arange(first, first + count)[::-1]

    samples, passes = epoch_samples(parts, 1, backwards)
    assert samples.tolist() == [0, 1, 2, 3, 4, *range(10), 10, 11, 14, 15, 16]
    assert passes.tolist() == [1] * 5 + [2] * 10 + [0] * 2 + [1] * 3


@pytest.mark.parametrize("window", [0, 1])
def test_two_passes_over_two_images_are_four_images(window):
    """Also where the same image, or neighbouring blocks, end one pass and begin the next."""
    plan = Plan(np.array([0, 1]), 1, window=window, blocks=np.array([0, 1]), parts=[Part(2, 2.0)])
    orders = [plan.order(epoch) for epoch in range(300)]
    found = {tuple(zip(order.samples, order.passes - 2 * epoch, strict=True)) for epoch, order in enumerate(orders)}
    assert len(found) == 24
    alone = Plan(np.array([0, 0]), 1, window=window, blocks=np.array([0]), parts=[Part(2, 2.0)])
    assert {int(alone.order(epoch).passes[0]) - 2 * epoch for epoch in range(30)} == {0, 1}
