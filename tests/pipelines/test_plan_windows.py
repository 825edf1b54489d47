"""Shuffling in windows: pictures of a window lie close together, lanes are apart, ranks read lanes of their own."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_split import coco_like, lanes_of, share_of_rank, simulated_split

from pipelines import pictures
from pipelines.epoch_order import LANES
from pipelines.pictures import PictureIndex


def lane_sequences(plan, epoch):
    """The samples of each lane, in the order in which it delivers them."""
    order, lanes = plan.order(epoch), lanes_of(plan)
    return [order.samples[lanes == lane] for lane in range(LANES)]


def runs_in(labels):
    return [label for label, _ in itertools.groupby(labels.tolist())]


SPLITS = {"image": simulated_split(3000, seed=1), "instance": simulated_split(3000, seed=2)}


@pytest.mark.parametrize("batch_size", [1, 8, 24, 100, 128])
@pytest.mark.parametrize("window", [1, 8, 64, 800, 10**9])
@pytest.mark.parametrize("shuffle", ["image", "instance"])
def test_a_window_is_a_few_pictures_of_one_lane(shuffle, window, batch_size):
    split = SPLITS[shuffle]
    plan = split.plan(batch_size, shuffle=shuffle, window=window)
    order, lanes = plan.order(3), lanes_of(plan)
    for number in range(order.windows.max() + 1):
        here = order.windows == number
        pictures_here = np.unique(split.image_rows[order.samples[here]])
        assert 1 <= len(pictures_here) <= max(1, window // LANES)
        assert len(set(lanes[here].tolist())) == 1
    for lane in range(LANES):  # one window after the other, all but the last of them full
        numbers = order.windows[lanes == lane]
        assert (np.diff(numbers) >= 0).all()
        rows = split.image_rows[order.samples[lanes == lane]]
        counts = [len(set(rows[numbers == number].tolist())) for number in sorted(set(numbers.tolist()))]
        assert counts[:-1] == [max(1, window // LANES)] * (len(counts) - 1)


@pytest.mark.parametrize("batch_size", [24, 128])
@pytest.mark.parametrize("window", [8, 64, 2048])
def test_images_stay_together_but_for_those_between_two_lanes(window, batch_size):
    split = simulated_split(3000)
    plan = split.plan(batch_size, window=window)
    for epoch in range(3):
        rows_of_lanes = [split.image_rows[samples] for samples in lane_sequences(plan, epoch)]
        runs = [runs_in(rows) for rows in rows_of_lanes]
        assert all(len(images) == len(set(images)) for images in runs)
        cut = sum(map(len, runs)) - len(np.unique(split.image_rows))
        assert 0 <= cut <= LANES - 1
        samples = np.concatenate(lane_sequences(plan, epoch))
        inside = np.diff(np.concatenate(rows_of_lanes)) == 0
        assert (np.diff(samples)[inside] == 1).mean() > 0.99  # and in their own order


def test_shuffled_persons_of_an_image_stay_within_its_window():
    split = simulated_split(3000)
    plan = split.plan(128, shuffle="instance", window=64)
    order = plan.order(0)
    windows_of_image = {
        (row, window) for row, window in zip(split.image_rows[order.samples], order.windows, strict=True)
    }
    assert len(windows_of_image) <= len(np.unique(split.image_rows)) + LANES - 1
    neighbours = np.concatenate([np.diff(split.image_rows[samples]) == 0 for samples in lane_sequences(plan, 0)])
    together = np.concatenate(
        [np.diff(split.image_rows[samples]) == 0 for samples in lane_sequences(split.plan(128, window=64), 0)]
    )
    assert neighbours.mean() < 0.6 * together.mean()


@pytest.mark.parametrize("shuffle", ["image", "instance"])
def test_windows_of_a_lane_follow_the_shuffled_blocks(shuffle):
    """So that each block is read in one go: its samples lie in as many neighbouring windows as it needs."""
    split = simulated_split(3000)
    plan = split.plan(64, shuffle=shuffle, window=400)
    order = plan.order(0)
    blocks = split.blocks[split.image_rows[order.samples]]
    pieces = 0
    for block in np.unique(blocks):
        windows = np.unique(order.windows[blocks == block])
        pieces += len(windows)
        assert len(windows) <= 4  # at most 60 pictures in windows of 50, and once a border of lanes
    assert pieces < 2.3 * len(np.unique(blocks))


def test_blocks_come_in_another_order_in_every_epoch():
    split = coco_like()
    plan = split.plan(128, window=2048)
    blocks = split.blocks[split.image_rows]
    places = []
    for epoch in (0, 1, 7):
        step_of_sample = np.empty(len(split))
        step_of_sample[plan.order(epoch).samples] = np.arange(len(split)) // 128
        places.append(np.bincount(blocks, step_of_sample) / np.bincount(blocks))
    count = blocks[-1] + 1
    for place in places:
        assert abs(np.corrcoef(place, np.arange(count))[0, 1]) < 0.1
    for one, other in itertools.combinations(places, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.1


def test_a_batch_mixes_blocks_from_all_over_the_split():
    split = coco_like()
    plan = split.plan(128, window=2048)
    blocks = split.blocks[split.image_rows]
    for step in range(0, plan.steps_per_epoch - 1, 50):
        found = np.unique(blocks[plan.batch(step).samples])
        assert len(found) > 2 * LANES
        assert found.max() - found.min() > blocks[-1] / 2


@pytest.mark.parametrize("shuffle", ["image", "instance"])
@pytest.mark.parametrize("world_size", [1, 2, 4, 8])
def test_each_rank_reads_blocks_of_its_own(world_size, shuffle):
    split = coco_like()
    plan = split.plan(128, shuffle=shuffle, window=2048)
    blocks = split.blocks[split.image_rows]
    batches = [plan.batch(step).samples for step in range(plan.steps_per_epoch)]
    touched = []
    for rank in range(world_size):
        samples = np.concatenate([share_of_rank(batch, rank, world_size) for batch in batches])
        touched.append(len(np.unique(blocks[samples[samples >= 0]])))
    total = blocks[-1] + 1
    assert sum(touched) >= total
    # Beyond its lanes: the blocks between two lanes, and in the last batch those of the last windows of other lanes.
    assert max(touched) <= total / world_size + (2 + 48 if world_size > 1 else 0)
    assert max(touched[1:], default=0) <= 1.03 * total / world_size + 20


def test_no_window_or_no_shuffle_is_one_window():
    split = simulated_split(300)
    for plan in (split.plan(8, window=0), split.plan(8, shuffle="none", window=64)):
        assert (plan.order(0).windows == 0).all()
    np.testing.assert_array_equal(split.plan(8, shuffle="none", window=64).order(2).samples, np.arange(len(split)))


@settings(max_examples=60, deadline=None)
@given(
    images=st.integers(1, 300),
    seed=st.integers(0, 10**6),
    batch_size=st.integers(1, 200),
    window=st.integers(1, 400),
    shuffle=st.sampled_from(["image", "instance"]),
)
def test_windows_whatever_the_split(images, seed, batch_size, window, shuffle):
    split = simulated_split(images, seed)
    plan = split.plan(batch_size, seed=seed, shuffle=shuffle, window=window)
    order, lanes = plan.order(1), lanes_of(plan)
    rows = split.image_rows[order.samples]
    lane_of_window, pictures_of_window = {}, {}
    for number, lane, row in zip(order.windows.tolist(), lanes.tolist(), rows.tolist(), strict=True):
        assert lane_of_window.setdefault(number, lane) == lane
        pictures_of_window.setdefault(number, set()).add(row)
    assert max(map(len, pictures_of_window.values())) <= max(1, window // LANES)
    assert sorted(lane_of_window) == list(range(len(lane_of_window)))


def test_blocks_are_stretches_of_one_shard(mini_coco, mini_mpii, monkeypatch):
    monkeypatch.setattr(pictures, "BLOCK_BYTES", 40_000)
    index = PictureIndex([mini_coco, mini_mpii])
    places = index.places(np.arange(len(index)))
    assert len({place.shard for place in places}) > 3
    blocks = index.blocks.tolist()
    assert len(blocks) == len(index) == mini_coco.num_images + mini_mpii.num_images
    assert blocks == sorted(blocks)
    stretches = [(place.shard, place.offset // 40_000) for place in places]
    assert len(set(blocks)) == len(set(stretches)) > 4
    assert len(set(zip(blocks, stretches, strict=True))) == len(set(blocks))
    for row in range(len(index)):
        assert index.rows_of_block(row).tolist() == [
            other for other in range(len(index)) if blocks[other] == blocks[row]
        ]
