"""Random numbers as a function of (seed, epoch, id, stream): pinned, well spread, independent."""

import numpy as np
import pytest

from pipelines.counter_rng import normal, random_bits, uniform

MASK = 2**64 - 1
IDS = np.arange(20_000)
GOLDEN_BITS = [2391539541053276776, 7606012053026511699, 5729490520049822839, 7781118989244176115]
GOLDEN_UNIFORM = [0.1300857085561754, 0.24576818878809337, 0.3868049312912878, 0.10043693920842489]
GOLDEN_NORMAL = [0.27928295333154746, 0.4318788405771191, -0.9739344086176657, 0.4584000931464781]


def split_mix(state):
    """The first output of SplitMix64 seeded with `state`, in Python's integers."""
    state = (state + 0x9E3779B97F4A7C15) & MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def test_the_restated_generator_is_the_published_one():
    assert split_mix(1234567) == 6457827717110365317
    assert split_mix(0) == 0xE220A8397B1DCDAF


@pytest.mark.parametrize("seed", [0, 1, 2**63 + 5, -1])
@pytest.mark.parametrize("epoch", [0, 3])
@pytest.mark.parametrize("stream", [0, 15])
def test_bits_chain_the_published_generator(seed, epoch, stream):
    ids = [0, 1, 900_100_581_226, -1, 2**63 - 1]
    state = split_mix(seed & MASK)
    state = split_mix((state + epoch) & MASK)
    state = split_mix((state + stream) & MASK)
    expected = [split_mix((state + (number & MASK)) & MASK) for number in ids]
    assert random_bits(seed, epoch, np.array(ids), stream).tolist() == expected


def test_golden_values():
    """A change here changes every training run."""
    ids = np.array([0, 1, 2, 900_100_581_226])
    assert random_bits(0, 0, ids, 0).tolist() == GOLDEN_BITS
    assert uniform(1, 2, ids, 3).tolist() == pytest.approx(GOLDEN_UNIFORM, abs=1e-15)
    assert normal(1, 2, ids, 3).tolist() == pytest.approx(GOLDEN_NORMAL, abs=1e-12)


def test_uniform_is_uniform():
    values = uniform(3, 1, IDS, 14)
    assert 0 <= values.min() < 1e-3
    assert 1 - 1e-3 < values.max() < 1
    assert values.mean() == pytest.approx(0.5, abs=0.008)
    assert values.var() == pytest.approx(1 / 12, abs=0.003)
    assert np.histogram(values, bins=20, range=(0, 1))[0] == pytest.approx(np.full(20, 1000), abs=130)
    assert np.corrcoef(values[:-1], values[1:])[0, 1] == pytest.approx(0, abs=0.03)  # neighbouring ids


def test_normal_is_normal():
    values = normal(3, 1, IDS, 10)
    assert values.mean() == pytest.approx(0, abs=0.03)
    assert values.std() == pytest.approx(1, abs=0.02)
    assert (values**3).mean() == pytest.approx(0, abs=0.1)
    assert (values**4).mean() == pytest.approx(3, abs=0.25)
    assert (np.abs(values) < 1).mean() == pytest.approx(0.6827, abs=0.015)
    assert np.isfinite(values).all()


def test_seeds_epochs_and_streams_are_independent():
    base = uniform(0, 0, IDS, 15)
    for other in (uniform(1, 0, IDS, 15), uniform(0, 1, IDS, 15), uniform(0, 0, IDS, 16), uniform(1, 1, IDS, 15)):
        assert not np.isin(base, other).any()
        assert np.corrcoef(base, other)[0, 1] == pytest.approx(0, abs=0.03)
        shifted = np.corrcoef(base[1:], other[:-1])[0, 1]  # id + 1 must not stand for epoch + 1
        assert shifted == pytest.approx(0, abs=0.03)


def test_the_roles_of_seed_epoch_and_stream_are_not_exchangeable():
    ids = np.arange(100)
    values = {tuple(uniform(*order[:2], ids, order[2])) for order in [(0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1)]}
    assert len(values) == 4


@pytest.mark.parametrize("draw", [random_bits, uniform, normal])
def test_numbers_do_not_depend_on_the_batch(draw):
    alone = np.concatenate([draw(5, 2, IDS[n : n + 1], 12) for n in range(50)])
    np.testing.assert_array_equal(alone, draw(5, 2, IDS, 12)[:50])
    np.testing.assert_array_equal(alone[::-1], draw(5, 2, IDS[:50][::-1], 12))
    assert draw(5, 2, IDS[:0], 12).shape == (0,)
