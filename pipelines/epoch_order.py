"""One epoch's order of samples: shuffled as a whole, or in windows whose pictures lie in a few long stretches of bytes.

Positions and counts only; the plan cuts the order into batches. Everything is a function of (seed, epoch) and the
arguments.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.counter_rng import random_bits

Ints = NDArray[np.int64]

LANES = 8
_ORDER_STREAM, _BLOCK_STREAM = 0, 1


@dataclass(frozen=True)
class EpochOrder:
    """What an epoch delivers, in this order.

    32 bits each: two epochs are kept in memory.

    Attributes:
        samples: (N,) sample numbers.
        passes: (N,) how often the sample's split has been gone through before; the epoch, if it is once per epoch.
        windows: (N,) the window that each position was shuffled within; pictures of one lie close together in their
            shards. All 0 where the epoch is shuffled as a whole or not at all.
    """

    samples: NDArray[np.int32]
    passes: NDArray[np.int32]
    windows: NDArray[np.int32]


@dataclass(frozen=True)
class Runs:
    """Neighbours that belong together: run i is the `sizes[i]` positions from `starts[i]` on."""

    starts: Ints
    sizes: Ints

    def __len__(self) -> int:
        return len(self.starts)

    def members(self, order: Ints) -> Ints:
        """The positions of the runs `order`, one run after the other."""
        starts, sizes = self.starts[order], self.sizes[order]
        ends = np.cumsum(sizes)
        return np.repeat(starts - (ends - sizes), sizes) + np.arange(sizes.sum())


def runs_of(*labels: Ints) -> Runs:
    """Runs of positions that have every label (N,) in common with their neighbour."""
    changes = np.zeros(len(labels[0]), dtype=bool)
    changes[0] = True
    for label in labels:
        changes[1:] |= label[1:] != label[:-1]
    starts = np.flatnonzero(changes)
    return Runs(starts, np.diff(starts, append=len(changes)))


def shuffled(seed: int, epoch: int, count: int, stream: int = _ORDER_STREAM, first: int = 0) -> Ints:
    """A permutation of 0 … count − 1."""
    return np.argsort(random_bits(seed, epoch, np.arange(first, first + count), stream), kind="stable")


def shuffle_whole(seed: int, epoch: int, images: Runs | None, count: int) -> Ints:
    """A permutation of `count` positions; those of one image stay together if their runs are given."""
    if images is None:
        return shuffled(seed, epoch, count)
    return images.members(shuffled(seed, epoch, len(images)))


def shuffle_in_windows(
    seed: int, epoch: int, blocks: Ints, images: Ints, batch_size: int, window: int, keep_images: bool
) -> tuple[Ints, NDArray[np.int32]]:
    """A permutation of N positions for shards that are read over a network, and each position's window.

    Blocks, a few MiB of neighbouring pictures each, are shuffled over the whole epoch and dealt to `LANES` lanes. In
    each lane a window of `window / LANES` pictures at a time is shuffled. Every batch takes its share from every lane,
    so it mixes `window` pictures out of blocks from all over the split; and ranks, which take slices of each batch,
    read lanes of their own, not all of them everything.

    Args:
        blocks, images: (N,) of each position; neighbours in a shard are neighbours here.
        keep_images: whether the positions of one image stay together.
    """
    units = runs_of(blocks)
    sequence = units.members(shuffled(seed, epoch, len(units), _BLOCK_STREAM))
    order, windows = np.empty_like(sequence), np.empty(len(sequence), dtype=np.int32)
    per_lane, first_window, first_run = max(1, window // LANES), 0, 0
    for start, targets in _deal_lanes(len(sequence), batch_size):
        lane = sequence[start : start + len(targets)]
        # By place in the lane: the same image may come twice, from different blocks or passes.
        pictures = runs_of(images[lane], blocks[lane])
        window_of_run = np.arange(len(pictures)) // per_lane
        window_of_place = np.repeat(window_of_run, pictures.sizes)
        if keep_images:
            bits = random_bits(seed, epoch, np.arange(first_run, first_run + len(pictures)), _ORDER_STREAM)
            shuffle = pictures.members(np.lexsort((bits, window_of_run)))
        else:
            bits = random_bits(seed, epoch, np.arange(start, start + len(lane)), _ORDER_STREAM)
            shuffle = np.lexsort((bits, window_of_place))
        order[targets] = lane[shuffle]
        windows[targets] = window_of_place + first_window  # shuffling moves nothing out of its window
        first_window += int(window_of_run[-1]) + 1
        first_run += len(pictures)
    return order, windows


def _deal_lanes(count: int, batch_size: int) -> Iterator[tuple[int, Ints]]:
    """Where each lane begins in the sequence, and the positions of the epoch's order that it fills, if there are any.

    Lane l fills the same rows of every batch; the last, shorter batch is shared in the same proportions.
    """
    full, rest = divmod(count, batch_size)
    share, last_share = (size * np.arange(LANES + 1) // LANES for size in (batch_size, rest))
    start = 0
    for lane in range(LANES):
        rows = np.arange(share[lane], share[lane + 1])
        places = (np.arange(full)[:, None] * batch_size + rows).reshape(-1)
        last = full * batch_size + np.arange(last_share[lane], last_share[lane + 1])
        targets = np.concatenate([places, last])
        if len(targets):
            yield start, targets
        start += len(targets)
