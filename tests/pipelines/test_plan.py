"""The plan: every sample once per epoch, the same order for ever, any step without the ones before it."""

import hashlib
import itertools

import numpy as np
import pytest

from pipelines.plan import PADDING, Plan

SHUFFLES = ["image", "instance", "none"]
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
    assert {number for number, _ in batches} == {epoch}
    return [samples for _, samples in batches]


@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("batch_size", [1, 2, 7, 8, 64, 2000])
@pytest.mark.parametrize("samples", [1, 7, 1003])
def test_every_sample_exactly_once_per_epoch(samples, batch_size, shuffle):
    plan = Plan(images_of(samples), batch_size, seed=3, shuffle=shuffle)
    assert plan.steps_per_epoch == -(-samples // batch_size)
    for epoch in (0, 1, 5):
        batches = epoch_of(plan, epoch)
        assert all(batch.shape == (batch_size,) for batch in batches)
        assert all((batch != PADDING).all() for batch in batches[:-1])
        last = batches[-1]
        real = samples - (len(batches) - 1) * batch_size
        assert (last[:real] != PADDING).all()
        assert (last[real:] == PADDING).all()
        assert sorted(np.concatenate(batches)[:samples]) == list(range(samples))


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


@pytest.mark.parametrize("shuffle", ["image", "instance"])
def test_epochs_and_seeds_differ(shuffle):
    rows = images_of(1003)
    first, second = (np.concatenate(epoch_of(Plan(rows, 8, 0, shuffle), epoch)) for epoch in (0, 1))
    other_seed = np.concatenate(epoch_of(Plan(rows, 8, 1, shuffle), 0))
    for order in (second, other_seed):
        assert np.mean(first == order) < 0.02


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_the_order_does_not_depend_on_the_batch_size(shuffle):
    rows = images_of(1003)
    orders = [np.concatenate(epoch_of(Plan(rows, size, 4, shuffle), 2))[:1003] for size in (1, 8, 100, 5000)]
    assert all((order == orders[0]).all() for order in orders)


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_any_step_alone_equals_iterating(shuffle):
    rows = images_of(103)
    iterated = Plan(rows, 8, 9, shuffle)
    expected = [iterated.batch(step) for step in range(5 * iterated.steps_per_epoch)]
    jumping = Plan(rows, 8, 9, shuffle)
    for step in np.random.default_rng(0).permutation(len(expected)).tolist():
        for plan in (jumping, Plan(rows, 8, 9, shuffle)):
            epoch, samples = plan.batch(step)
            assert epoch == expected[step][0] == step // iterated.steps_per_epoch
            np.testing.assert_array_equal(samples, expected[step][1])


@pytest.mark.parametrize(("shuffle", "digest"), list(GOLDEN.items()))
def test_golden_order(shuffle, digest):
    """A change here changes every training run."""
    plan = Plan(images_of(1003), 64, seed=42, shuffle=shuffle)
    content = b"".join(batch.astype("<i8").tobytes() for epoch in range(3) for batch in epoch_of(plan, epoch))
    assert hashlib.sha256(content).hexdigest()[:16] == digest


def test_memory_does_not_grow_with_epochs():
    plan = Plan(images_of(50), 8)
    for step in range(40 * plan.steps_per_epoch):
        plan.batch(step)
    assert len(plan._orders) <= 2


def test_errors():
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        Plan(images_of(5), 0)
    with pytest.raises(ValueError, match=r"'image', 'instance' or 'none', got 'images'"):
        Plan(images_of(5), 4, shuffle="images")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nobody to train"):
        Plan(np.zeros(0, dtype=np.int64), 4)
