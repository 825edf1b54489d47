"""Random numbers as a pure function of (seed, epoch, id, stream): nothing to seed, save or replay.

SplitMix64's finaliser (Steele, Lea & Flood, OOPSLA 2014) hashes the four integers, so the numbers depend neither on a
library's version nor on other instances.
"""

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


Epoch = int | NDArray[np.int64]
"""One epoch, or one of each id."""


def random_bits(seed: int, epoch: Epoch, ids: NDArray[np.int64], stream: int) -> NDArray[np.uint64]:
    """(N,) independent 64-bit numbers, one for each of `ids`. Different streams are independent of each other."""
    state = np.zeros(1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for value in (seed, epoch, stream):
            state = _mix(state + _GOLDEN + _unsigned(value))
        return _mix(state + _GOLDEN + ids.astype(np.uint64))


def uniform(seed: int, epoch: Epoch, ids: NDArray[np.int64], stream: int) -> NDArray[np.float64]:
    """(N,) in [0, 1)."""
    return (random_bits(seed, epoch, ids, stream) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(seed: int, epoch: Epoch, ids: NDArray[np.int64], stream: int) -> NDArray[np.float64]:
    """(N,) standard normal, by Box and Muller from the streams `stream` and `stream` + 1."""
    radius = np.sqrt(-2 * np.log1p(-uniform(seed, epoch, ids, stream)))
    return radius * np.cos(2 * np.pi * uniform(seed, epoch, ids, stream + 1))


def _unsigned(value: Epoch) -> NDArray[np.uint64] | np.uint64:
    return np.uint64(value % 2**64) if isinstance(value, int) else value.astype(np.uint64)


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
