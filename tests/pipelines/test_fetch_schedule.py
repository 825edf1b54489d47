"""What a rank fetches: exactly the pictures of its steps, none later than it is needed, in a bounded memory."""

import itertools
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_split import coco_like, share_of_rank, simulated_split

from pipelines.epoch_samples import Part
from pipelines.fetch_schedule import fetch_groups
from pipelines.pictures import Place
from pipelines.remote_pictures import RemotePictures

LARGE = 10**12


def uses_of(plan, start, stop, rank, world_size):
    """step → the image rows that `rank` needs in it; filling repeats a batch's first sample."""
    uses = {}
    for step in range(start, stop):
        batch = plan.batch(step).samples
        samples = share_of_rank(np.where(batch >= 0, batch, batch[0]), rank, world_size)
        uses[step] = set(plan.image_rows[samples].tolist())
    return uses


def check_groups(groups, uses, sizes, max_bytes):
    """Against every step's needs. Returns the most bytes that a reader holds who fetches as late as it can."""
    assert [group.first_step for group in groups] == sorted(group.first_step for group in groups)
    steps_of = {}
    for step, rows in uses.items():
        for row in rows:
            steps_of.setdefault(row, []).append(step)
    assert {row for group in groups for row in group.image_rows.tolist()} == set(steps_of)
    for group in groups:
        rows, lasts = group.image_rows.tolist(), group.last_steps.tolist()
        assert rows == sorted(set(rows))
        assert len(rows) <= 1 or sizes[rows].sum() <= max_bytes
        for row, last in zip(rows, lasts, strict=True):
            assert last in steps_of[row]
        if rows:
            assert group.first_step in {step for row in rows for step in steps_of[row]}
            assert group.first_step <= min(lasts)
    waiting, held, most = list(reversed(groups)), {}, 0
    for step, rows in uses.items():
        while waiting and waiting[-1].first_step <= step:
            group = waiting.pop()
            for row, last in zip(group.image_rows.tolist(), group.last_steps.tolist(), strict=True):
                held[row] = max(last, held.get(row, 0))
        assert rows <= set(held)
        most = max(most, int(sizes[list(held)].sum()))
        held = {row: last for row, last in held.items() if last > step}
    assert not waiting
    assert not held
    return most


@pytest.mark.parametrize("max_bytes", [1, 500_000, 4_000_000, LARGE])
@pytest.mark.parametrize("world_size", [1, 2, 8])
@pytest.mark.parametrize(("shuffle", "window"), [("image", 0), ("image", 64), ("instance", 64), ("none", 0)])
def test_exactly_what_each_rank_needs(shuffle, window, world_size, max_bytes):
    split = simulated_split(300)
    plan = split.plan(16, shuffle=shuffle, window=window)
    start, stop = plan.steps_per_epoch // 3, 2 * plan.steps_per_epoch + 5  # from within an epoch over two borders
    for rank in {0, world_size - 1}:
        groups = list(fetch_groups(plan, start, stop, rank, world_size, split.sizes, max_bytes))
        check_groups(groups, uses_of(plan, start, stop, rank, world_size), split.sizes, max_bytes)


@settings(max_examples=60, deadline=None)
@given(
    images=st.integers(1, 150),
    seed=st.integers(0, 10**6),
    share=st.integers(1, 12),
    world_size=st.integers(1, 9),
    window=st.sampled_from([0, 1, 8, 40, 200]),
    shuffle=st.sampled_from(["image", "instance", "none"]),
    weight=st.sampled_from([1.0, 0.4, 2.3]),
    begin=st.floats(0, 1),
    steps=st.integers(1, 40),
    max_bytes=st.sampled_from([1, 200_000, 1_000_000, LARGE]),
)
def test_any_plan_and_rank(images, seed, share, world_size, window, shuffle, weight, begin, steps, max_bytes):
    split = simulated_split(images, seed)
    parts = [Part(len(split), weight)]
    plan = split.plan(share * world_size, seed=seed, shuffle=shuffle, window=window, parts=parts)
    start = round(begin * 2 * plan.steps_per_epoch)
    for rank in range(world_size):
        groups = list(fetch_groups(plan, start, start + steps, rank, world_size, split.sizes, max_bytes))
        check_groups(groups, uses_of(plan, start, start + steps, rank, world_size), split.sizes, max_bytes)


def test_a_window_is_fetched_at_once():
    split = coco_like()
    plan = split.plan(128, window=2048)
    groups = list(fetch_groups(plan, 0, plan.steps_per_epoch, 0, 1, split.sizes, LARGE))
    windows = len(np.unique(plan.order(0).windows))
    assert windows <= len(groups) <= windows + 1
    assert np.median([len(group.image_rows) for group in groups]) == 256
    blocks = [len(np.unique(split.blocks[group.image_rows])) for group in groups]
    assert np.median(blocks) <= 7


@pytest.mark.parametrize("shuffle", ["image", "instance"])
def test_a_window_is_cut_only_if_its_pictures_are_too_many(shuffle):
    """However often each of them is used."""
    split = simulated_split(2000)
    plan = split.plan(64, shuffle=shuffle, window=400)
    start = plan.steps_per_epoch
    stop = start + plan.steps_per_epoch
    at_once = list(fetch_groups(plan, start, stop, 0, 1, split.sizes, LARGE))
    largest = max(int(split.sizes[group.image_rows].sum()) for group in at_once)
    barely = list(fetch_groups(plan, start, stop, 0, 1, split.sizes, largest))
    assert [group.image_rows.tolist() for group in barely] == [group.image_rows.tolist() for group in at_once]
    assert len(list(fetch_groups(plan, start, stop, 0, 1, split.sizes, largest - 1))) > len(at_once)


def test_training_begins_with_a_small_group():
    split = coco_like()
    plan = split.plan(128, window=2048)
    for start in (0, 700, plan.steps_per_epoch - 1):
        first = next(fetch_groups(plan, start, None, 0, 1, split.sizes, LARGE))
        needed = set().union(*uses_of(plan, start, min(start + 2, plan.steps_per_epoch), 0, 1).values())
        assert set(first.image_rows.tolist()) == needed
        assert first.first_step == start


def test_nothing_that_was_consumed_before_is_fetched_again():
    split = simulated_split(600)
    plan = split.plan(16, window=64)
    whole = uses_of(plan, 0, plan.steps_per_epoch, 0, 1)
    start = plan.steps_per_epoch - 10
    groups = list(fetch_groups(plan, start, plan.steps_per_epoch, 0, 1, split.sizes, LARGE))
    fetched = {row for group in groups for row in group.image_rows.tolist()}
    assert fetched == set().union(*(whole[step] for step in range(start, plan.steps_per_epoch)))
    assert len(fetched) < 0.5 * len(set().union(*whole.values()))


def test_ranks_without_a_sample_fetch_what_fills_their_rows():
    split = simulated_split(10).first(3)
    plan = split.plan(8, window=8)
    for rank in range(8):
        groups = list(itertools.islice(fetch_groups(plan, 1, None, rank, 8, split.sizes, LARGE), 4))
        assert [group.first_step for group in groups] == [1, 2, 3, 4]
        for epoch, group in enumerate(groups, start=1):
            sample = plan.batch(epoch).samples[rank if rank < 3 else 0]
            assert group.image_rows.tolist() == [plan.image_rows[sample]]


def test_an_epoch_is_not_planned_before_it_is_asked_for():
    split = simulated_split(300)
    plan = split.plan(16, window=64)
    planned, make = [], plan._make_order
    plan._make_order = lambda epoch: planned.append(epoch) or make(epoch)
    groups = fetch_groups(plan, plan.steps_per_epoch + 3, None, 0, 1, split.sizes, LARGE)
    assert planned == []
    while next(groups).first_step < 2 * plan.steps_per_epoch:
        assert planned == [1]
    assert planned == [1, 2]


@pytest.mark.parametrize(("shuffle", "window"), [("image", 0), ("instance", 0), ("image", 2048), ("instance", 2048)])
def test_memory_does_not_depend_on_the_size_of_the_split(shuffle, window):
    """Where windows are longer than memory allows, also if each of an image's persons comes at another time."""
    max_bytes = 2_000_000
    most = []
    for images in (1000, 4000):
        split = simulated_split(images, persons=5)
        plan = split.plan(32, shuffle=shuffle, window=window)
        groups = list(fetch_groups(plan, 0, plan.steps_per_epoch, 0, 1, split.sizes, max_bytes))
        most.append(check_groups(groups, uses_of(plan, 0, plan.steps_per_epoch, 0, 1), split.sizes, max_bytes))
    in_use = 8 if window else 1
    assert max(most) < (in_use + 2) * max_bytes + 32 * split.sizes.max()
    assert split.sizes.sum() > 10 * max(most)


class _Pictures:
    """Stands for an index and a fetcher; every picture is its row's number."""

    def __init__(self, split):
        self.split, self.sizes, self.blocks = split, self, split.blocks
        self.fetched = []

    def take(self, rows):
        return self.split.sizes[rows]

    def places(self, rows):
        return [Place(0, 0, int(self.split.sizes[row]), 0) for row in rows.tolist()]

    def fetch(self, wanted):
        self.fetched += [row for row, _ in wanted]
        return {row: np.array([row]) for row, _ in wanted}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("shuffle", ["image", "instance"])
def test_a_reader_with_little_memory_is_never_stuck(shuffle):
    """It fetches a group ahead of time only if there is room; the groups that a step waits for must not lie behind."""
    split = simulated_split(1500)
    plan = split.plan(64, shuffle=shuffle, window=1024)
    stop, ahead = plan.steps_per_epoch + 10, 4_000_000
    groups = fetch_groups(plan, 0, stop, 0, 1, split.sizes, ahead // 4)
    pictures = _Pictures(split)
    reader = RemotePictures(pictures, pictures, groups, plan.steps_per_epoch, 0, 2, ahead)
    timer = threading.Timer(30, reader.close)  # a reader that is closed raises instead of waiting
    timer.start()
    for step, rows in uses_of(plan, 0, stop, 0, 1).items():
        wanted = np.array(sorted(rows))
        assert [int(picture[0]) for picture in reader.read(step, wanted)] == wanted.tolist()
    timer.cancel()
    reader.close()
