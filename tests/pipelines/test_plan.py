"""The plan: every sample once per epoch, the same order for ever, any step without the ones before it."""

import hashlib
import itertools
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_split import SimulatedSplit, coco_like, simulated_split

from pipelines.bad_samples import BadSamples
from pipelines.epoch_samples import Part
from pipelines.plan import PADDING, EmptyPlanError, Plan
from pipelines.preparation import Preparation
from pipelines.settings import LoaderSettings

ROOT = Path(__file__).parents[2]
SHUFFLES = ["image", "instance", "none"]
WINDOWS = [0, 1, 8, 100, 2048, 10**9]
GOLDEN = {"image": "1e3fa1a54b68f497", "instance": "e4be8bffd19dca8e", "none": "7834a26ef71c16f7"}


def images_of(samples, seed=0):
    """The image of each sample: between one and six samples share one, and some images have none."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 7, samples)
    rows = np.repeat(np.cumsum(rng.integers(1, 3, samples)), sizes)[:samples]
    return rows.astype(np.int64)


def epoch_of(plan, epoch):
    """Its batches, one after the other."""
    batches = [plan.batch(epoch * plan.steps_per_epoch + position) for position in range(plan.steps_per_epoch)]
    assert {batch.epoch for batch in batches} == {epoch}
    return [batch.samples for batch in batches]


def check_epoch(plan, epoch, expected):
    """Every sample exactly once, filling at the end of the last batch only."""
    batches = epoch_of(plan, epoch)
    assert len(batches) == plan.steps_per_epoch == -(-expected // plan.batch_size)
    together = np.concatenate(batches)
    assert together.shape == (len(batches) * plan.batch_size,)
    assert together.dtype == np.int64
    assert (together[expected:] == PADDING).all()
    np.testing.assert_array_equal(np.sort(together[:expected]), np.arange(expected))


@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("samples", [1, 2, 7, 1003])
def test_every_sample_exactly_once_per_epoch(samples, shuffle):
    split = simulated_split(1200).first(samples)
    assert len(split) == samples
    for batch_size, window in itertools.product([1, 3, 8, 24, 1000, 5000], WINDOWS):
        plan = split.plan(batch_size, seed=3, shuffle=shuffle, window=window)
        for epoch in (0, 5):
            check_epoch(plan, epoch, samples)
            assert (plan.order(epoch).passes == epoch).all()


@pytest.mark.parametrize("window", [0, 64, 2048, 10**9])
@pytest.mark.parametrize("shuffle", ["image", "instance"])
def test_every_sample_of_coco_exactly_once_per_epoch(shuffle, window):
    check_epoch(coco_like().plan(1000, shuffle=shuffle, window=window), 2, 149_813)


@settings(max_examples=60, deadline=None)
@given(
    images=st.integers(1, 300),
    seed=st.integers(0, 10**6),
    persons=st.integers(1, 30),
    block=st.integers(1, 60),
    batch_size=st.integers(1, 200),
    window=st.integers(0, 400),
    shuffle=st.sampled_from(SHUFFLES),
    cut=st.floats(0, 1),
)
def test_every_sample_exactly_once_whatever_the_split(images, seed, persons, block, batch_size, window, shuffle, cut):
    split = simulated_split(images, seed, persons, block)
    first = round(cut * (len(split) - 1))
    parts = [Part(count) for count in (first, len(split) - first)]
    plan = split.plan(batch_size, seed=seed, shuffle=shuffle, window=window, parts=parts)
    for epoch in (0, 1):
        check_epoch(plan, epoch, len(split))


class Recorded:
    """Stands for splits, pictures and graph: what a rank is given of each step, and what it reads for it."""

    def __init__(self, split):
        self.image_rows, self.index, self.parts = split.image_rows, self, [Part(len(split))]
        self.shares, self.read_rows = [], []

    def picture_sizes(self, rows):
        return np.ones((len(rows), 2), dtype=np.int32)

    def read(self, step, rows):
        self.read_rows.append((step, rows.tolist()))
        return [np.zeros(1, dtype=np.uint8)] * len(rows)

    def make(self, share):
        self.shares.append(share)
        return None, self


def shares_of_epoch(split, plan, rank, world_size, epoch):
    """Through the same code as every loader's."""
    maker = Recorded(split)
    options = LoaderSettings((1, 1), plan.batch_size, rank=rank, world_size=world_size)
    preparation = Preparation(maker, options, plan, BadSamples("raise", len(split), 0))
    for step in range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch):
        preparation.prepare(step, maker)
    return maker


@pytest.mark.parametrize("window", [0, 64])
@pytest.mark.parametrize("samples", [1, 3, 1003])
def test_ranks_share_each_batch_without_gap_or_overlap(samples, window):
    """Also ranks that find nothing left, and fewer samples than ranks."""
    split = simulated_split(1200).first(samples)
    alone = epoch_of(split.plan(24, window=window), 1)
    for world_size in (1, 2, 3, 4, 8):
        plans = [split.plan(24, window=window) for _ in range(world_size)]
        makers = [shares_of_epoch(split, plan, rank, world_size, 1) for rank, plan in enumerate(plans)]
        for step, batch in enumerate(alone):
            shares = [maker.shares[step] for maker in makers]
            assert all(len(share.samples) == 24 // world_size for share in shares)
            np.testing.assert_array_equal(
                np.concatenate([share.samples[share.valid] for share in shares]), batch[batch >= 0]
            )
            np.testing.assert_array_equal(np.concatenate([share.valid for share in shares]), batch >= 0)
            assert {row for share in shares for row in share.samples[~share.valid]} <= {batch[0]}
        read = [dict(maker.read_rows) for maker in makers]
        assert all(
            read[rank].get(len(alone) + step, []) == np.unique(split.image_rows[share.samples]).tolist()
            for rank, maker in enumerate(makers)
            for step, share in enumerate(maker.shares)
        )


@pytest.mark.parametrize("samples", [7, 1003])
def test_samples_of_an_image_stay_together(samples):
    rows = images_of(samples)
    plan = Plan(rows, 8, shuffle="image")
    for epoch in range(3):
        order = np.concatenate(epoch_of(plan, epoch))[:samples]
        groups = [(row, list(group)) for row, group in itertools.groupby(order, key=lambda sample: rows[sample])]
        assert len(groups) == len(set(rows))
        assert all(group == sorted(group) for _, group in groups)


def test_shuffles_shuffle_and_none_does_not():
    rows = images_of(1003)
    orders = {shuffle: np.concatenate(epoch_of(Plan(rows, 17, shuffle=shuffle), 0))[:1003] for shuffle in SHUFFLES}
    np.testing.assert_array_equal(orders["none"], np.arange(1003))
    for shuffle in ("image", "instance"):
        plans = [Plan(rows, 1003, seed, shuffle) for seed in range(20)]
        places = np.array([np.argsort(plan.batch(0)[1]) for plan in plans])
        correlations = [np.corrcoef(place, np.arange(1003))[0, 1] for place in places]
        assert np.abs(correlations).max() < 0.25
        assert np.mean(correlations) == pytest.approx(0, abs=0.04)
        assert places.mean() == 501
        assert places.mean(axis=0) == pytest.approx(501, abs=320)  # no place is preferred by any sample
    assert np.mean(np.diff(rows[orders["instance"]]) == 0) < 0.02  # neighbours seldom share an image


@pytest.mark.parametrize("window", [0, 64])
@pytest.mark.parametrize("shuffle", ["image", "instance"])
def test_epochs_and_seeds_differ(shuffle, window):
    rows = images_of(1003)
    blocks = np.arange(rows[-1] + 1) // 20
    first, second = (np.concatenate(epoch_of(Plan(rows, 8, 0, shuffle, window, blocks), epoch)) for epoch in (0, 1))
    other_seed = np.concatenate(epoch_of(Plan(rows, 8, 1, shuffle, window, blocks), 0))
    for order in (second, other_seed):
        assert np.mean(first == order) < 0.02


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_the_order_does_not_depend_on_the_batch_size(shuffle):
    rows = images_of(1003)
    orders = [np.concatenate(epoch_of(Plan(rows, size, 4, shuffle), 2))[:1003] for size in (1, 8, 100, 5000)]
    assert all((order == orders[0]).all() for order in orders)


@pytest.mark.parametrize("window", [0, 64])
@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_any_step_alone_equals_iterating(shuffle, window):
    split = simulated_split(60, seed=8)
    parts = [Part(50, 0.7), Part(len(split) - 50, 1.4)]

    def plan():
        return split.plan(8, seed=9, shuffle=shuffle, window=window, parts=parts)

    iterated, jumping = plan(), plan()
    expected = [iterated.batch(step) for step in range(5 * iterated.steps_per_epoch)]
    for step in np.random.default_rng(0).permutation(len(expected)).tolist():
        for asked in (jumping, plan()):
            epoch, samples, passes = asked.batch(step)
            assert epoch == expected[step].epoch == step // iterated.steps_per_epoch
            np.testing.assert_array_equal(samples, expected[step].samples)
            np.testing.assert_array_equal(passes, expected[step].passes)


def test_threads_that_ask_for_different_epochs_get_the_same_batches():
    split = simulated_split(100)
    plan, reference = split.plan(8, window=64), split.plan(8, window=64)
    expected = [reference.batch(step).samples for step in range(6 * plan.steps_per_epoch)]
    asked, started = [], threading.Barrier(4)

    def ask(number):
        started.wait()
        steps = np.random.default_rng(number).permutation(len(expected)).tolist()
        asked.extend((step, plan.batch(step).samples) for step in steps)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 4 * len(expected)
    assert all(np.array_equal(samples, expected[step]) for step, samples in asked)


def test_threads_that_ask_for_one_epoch_wait_for_the_first_to_plan_it():
    plan = simulated_split(100).plan(8)
    planned, make, started = [], plan._make_order, threading.Barrier(4)

    def make_slowly(epoch):
        planned.append(epoch)
        time.sleep(0.05)
        return make(epoch)

    plan._make_order = make_slowly
    threads = [threading.Thread(target=lambda: (started.wait(), plan.batch(0))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert planned == [0]


@pytest.mark.parametrize(("shuffle", "digest"), list(GOLDEN.items()))
def test_golden_order(shuffle, digest):
    """A change here changes every training run."""
    plan = Plan(images_of(1003), 64, seed=42, shuffle=shuffle)
    content = b"".join(batch.astype("<i8").tobytes() for epoch in range(3) for batch in epoch_of(plan, epoch))
    assert hashlib.sha256(content).hexdigest()[:16] == digest


WINDOWED = {
    ("image", 1): "2a0fed1b3150b8ee",
    ("image", 64): "cbbbd1fa99ad53d5",
    ("image", 2048): "f0e88a7a1576c02e",
    ("instance", 1): "01930c5bd51bb597",
    ("instance", 64): "6f3422c65948313d",
    ("instance", 2048): "4d27dab97be5421d",
}
MIXED = {
    ("image", 0): "5ca5c501d9818ced",
    ("image", 64): "1ada2d286a4cc3e3",
    ("instance", 0): "534d4c906cd1345f",
    ("instance", 64): "da4c536fa943c621",
    ("none", 0): "a46d9179203ad25b",
}


def digest_of(plan):
    """Of three epochs: samples, passes and windows."""
    content = hashlib.sha256()
    for epoch in range(3):
        for step in range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch):
            batch = plan.batch(step)
            content.update(batch.samples.astype("<i8").tobytes() + batch.passes.astype("<i8").tobytes())
        content.update(plan.order(epoch).windows.astype("<i4").tobytes())
    return content.hexdigest()[:16]


@pytest.mark.parametrize(("case", "digest"), list(WINDOWED.items()))
def test_golden_order_in_windows(case, digest):
    shuffle, window = case
    assert digest_of(golden_split().plan(64, seed=42, shuffle=shuffle, window=window)) == digest


@pytest.mark.parametrize(("case", "digest"), list(MIXED.items()))
def test_golden_order_of_mixed_splits(case, digest):
    shuffle, window = case
    parts = [Part(600, 1 / 3), Part(403, 1.7)]
    assert digest_of(golden_split().plan(64, seed=42, shuffle=shuffle, window=window, parts=parts)) == digest


def golden_split():
    """Image rows as above, in blocks of 20 images."""
    rows = images_of(1003)
    return SimulatedSplit(rows, np.arange(rows[-1] + 1) // 20, np.ones(rows[-1] + 1, dtype=np.int64))


def test_memory_does_not_grow_with_epochs():
    plan = Plan(images_of(50), 8)
    for step in range(40 * plan.steps_per_epoch):
        plan.batch(step)
    assert len(plan._orders) <= 2


@pytest.mark.parametrize("window", [0, 2048])
@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_a_resumed_training_waits_less_than_a_second_for_its_plan(shuffle, window):
    plan = coco_like().plan(128, shuffle=shuffle, window=window)
    started = time.perf_counter()
    plan.batch(123_457)
    assert time.perf_counter() - started < 1


LARGE_PLAN = """
import json, resource, sys, time
import numpy as np
from pipelines.fetch_schedule import fetch_groups
from pipelines.plan import Plan

shuffle, window = sys.argv[1], int(sys.argv[2])
rows = np.repeat(np.arange(4_000_000), np.arange(4_000_000) % 4 + 1)
plan = Plan(rows, 1024, shuffle=shuffle, window=window, blocks=np.arange(4_000_000) // 52)
sizes = np.full(4_000_000, 80_000)
before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
batch = plan.batch(5000)
planned = time.perf_counter()
group = next(fetch_groups(plan, 5000, None, 0, 8, sizes, 128 << 20))
scheduled = time.perf_counter()
assert set(rows[batch.samples[:128]]) <= set(group.image_rows)
mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
print(json.dumps({"samples": len(rows), "plan_s": planned - started, "group_s": scheduled - planned, "mb": mb}))
"""


SLOW = [pytest.param(*case, marks=pytest.mark.slow) for case in (("image", 0), ("instance", 0), ("instance", 2048))]


@pytest.mark.parametrize(("shuffle", "window"), [("image", 2048), *SLOW])
def test_ten_million_samples_are_planned_in_seconds_and_in_bounded_memory(shuffle, window):
    command = [sys.executable, "-c", LARGE_PLAN, shuffle, str(window)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["samples"] == 10_000_000
    assert found["plan_s"] < 30
    assert found["group_s"] < 15
    assert found["mb"] < 1500


def test_errors():
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        Plan(images_of(5), 0)
    with pytest.raises(ValueError, match=r"'image', 'instance' or 'none', got 'images'"):
        Plan(images_of(5), 4, shuffle="images")  # type: ignore[arg-type]
    with pytest.raises(EmptyPlanError, match="nobody to train"):
        Plan(np.zeros(0, dtype=np.int64), 4)
    for window, blocks in ((-1, np.zeros(5)), (8, None)):
        with pytest.raises(ValueError, match=f"window must be 0, or positive with blocks given, got {window}"):
            Plan(images_of(5), 4, window=window, blocks=blocks)
    with pytest.raises(ValueError, match=r"do not make up 5 samples"):
        Plan(images_of(5), 4, parts=[Part(2), Part(2)])
    for weight in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"a split's weight must be positive, got {weight}"):
            Part(5, weight)
