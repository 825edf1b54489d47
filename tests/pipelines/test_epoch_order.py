"""Runs of neighbours, and the two shuffles as plain permutations."""

import itertools

import numpy as np
import pytest

from pipelines.epoch_order import LANES, runs_of, shuffle_in_windows, shuffle_whole, shuffled

LABELS = np.array([4, 4, 1, 1, 1, 7, 4])
OTHERS = np.array([0, 0, 0, 2, 2, 2, 2])


def test_runs_are_neighbours_that_share_every_label():
    runs = runs_of(LABELS)
    assert (len(runs), runs.starts.tolist(), runs.sizes.tolist()) == (4, [0, 2, 5, 6], [2, 3, 1, 1])
    both = runs_of(LABELS, OTHERS)
    assert (both.starts.tolist(), both.sizes.tolist()) == ([0, 2, 3, 5, 6], [2, 1, 2, 1, 1])
    assert (runs_of(np.zeros(1, dtype=np.int64)).sizes == [1]).all()


def test_members_are_listed_run_after_run():
    runs = runs_of(LABELS)
    assert runs.members(np.array([2, 0, 1])).tolist() == [5, 0, 1, 2, 3, 4]
    assert runs.members(np.arange(len(runs))).tolist() == list(range(len(LABELS)))
    assert runs.members(np.zeros(0, dtype=np.int64)).tolist() == []


def test_shuffles_of_different_seeds_epochs_and_purposes_have_nothing_in_common():
    keys = list(itertools.product((0, 1, 2**40), (0, 1, 2, 1000), (0, 1, 2)))
    orders = [shuffled(seed, epoch, 500, stream) for seed, epoch, stream in keys]
    assert all(sorted(order) == list(range(500)) for order in orders)
    for one, other in itertools.combinations(orders, 2):
        assert np.mean(one == other) < 0.03
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.2


def test_parts_of_a_plan_are_shuffled_apart():
    """Two splits of the same size, one after the other, do not go in step."""
    assert np.mean(shuffled(0, 0, 500, first=0) == shuffled(0, 0, 500, first=500)) < 0.03


def test_a_whole_shuffle_is_uniform():
    """Every place of every sample equally often: chi-squared over 2,000 epochs of 6 samples, 25 degrees of freedom."""
    counts = np.zeros((6, 6))
    for epoch in range(2000):
        counts[shuffle_whole(3, epoch, None, 6), np.arange(6)] += 1
    assert ((counts - 2000 / 6) ** 2 / (2000 / 6)).sum() < 52.6  # 0.1 % of uniform shuffles are beyond


def test_a_shuffle_by_images_orders_images_uniformly():
    images = np.array([0, 0, 0, 1, 2, 2])
    seen = {}
    for epoch in range(1200):
        order = shuffle_whole(0, epoch, runs_of(images), 6)
        key = tuple(row for row, _ in itertools.groupby(images[order].tolist()))
        assert len(key) == 3
        assert all(np.diff(order[images[order] == row]).tolist() in ([1, 1], [], [1]) for row in key)
        seen[key] = seen.get(key, 0) + 1
    assert len(seen) == 6
    assert min(seen.values()) > 150


@pytest.mark.parametrize("keep_images", [True, False])
@pytest.mark.parametrize("batch_size", [1, 5, 8, 64, 400, 1000])
def test_a_shuffle_in_windows_is_a_permutation(batch_size, keep_images):
    images = np.repeat(np.arange(200), np.arange(200) % 4)
    for window in (1, 7, 8, 64, 10**9):
        order, windows = shuffle_in_windows(1, 2, images // 11, images, batch_size, window, keep_images)
        assert sorted(order) == list(range(len(images)))
        assert len(windows) == len(images)
        assert sorted(set(windows.tolist())) == list(range(windows.max() + 1))


def test_one_window_over_everything_mixes_each_lane_as_a_whole():
    """A sample is as likely at any place of its lane: no trace of its block's place is left."""
    count, batch_size = 800, 80
    images = np.arange(count)
    places = []
    for epoch in range(40):
        order, _ = shuffle_in_windows(5, epoch, images // 20, images, batch_size, 10**9, False)
        lanes = [order[np.arange(count) % batch_size // (batch_size // LANES) == lane] for lane in range(LANES)]
        assert all(len(set((lane // 20).tolist())) <= 7 for lane in lanes)  # 100 samples of a lane: whole blocks
        places.append(np.argsort(order))
    steps = np.array(places) // batch_size
    assert steps.mean(axis=0) == pytest.approx(4.5, abs=2.2)
    apart = np.abs(np.diff(np.array(places) // batch_size, axis=1))[:, np.arange(count - 1) % 20 != 19]
    assert apart.mean() == pytest.approx(3.3, abs=0.2)  # two independent steps out of ten are that far apart


@pytest.mark.parametrize("keep_images", [True, False])
def test_lanes_do_not_go_in_step(keep_images):
    """Lanes of one length, one window each: their shuffles have nothing in common."""
    images = np.arange(800)
    order, windows = shuffle_in_windows(0, 0, np.zeros(800, dtype=np.int64), images, 80, 10**9, keep_images)
    lanes = [order[windows == lane] - 100 * lane for lane in range(LANES)]
    assert all(sorted(lane) == list(range(100)) for lane in lanes)
    for one, other in itertools.combinations(lanes, 2):
        assert np.mean(one == other) < 0.1


def test_an_image_that_comes_twice_in_a_row_is_two_pictures():
    """In two passes over its split, whose blocks may become neighbours."""
    images, blocks = np.array([5, 5, 5, 5]), np.array([0, 0, 1, 1])
    order, windows = shuffle_in_windows(0, 0, blocks, images, 1, LANES, True)
    assert windows.tolist() == [0, 0, 1, 1]
    assert blocks[order].tolist() in ([0, 0, 1, 1], [1, 1, 0, 0])
