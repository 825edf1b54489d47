"""The plan: which instances make up each global batch, as a pure function of the splits and a few settings."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.epoch_order import EpochOrder, Ints, runs_of, shuffle_in_windows, shuffle_whole, shuffled
from pipelines.epoch_samples import Part, epoch_samples
from pose.errors import UserError

Shuffle = Literal["image", "instance", "none"]
PADDING = -1
_PASS_STREAM = 2


class EmptyPlanError(UserError, ValueError):
    """There is nothing to plan."""


class PlannedBatch(NamedTuple):
    """A global batch: the epoch, sample numbers (B,) filled up with −1, and the pass over its split of each (B,)."""

    epoch: int
    samples: Ints
    passes: Ints


@dataclass
class Plan:
    """The sequence of global batches over samples 0 … N−1, in every epoch each sample exactly once.

    Where splits are mixed with other weights than 1, each split is gone through in passes, which hold every sample
    exactly once, and an epoch takes the next stretch of them.

    Attributes:
        image_rows: (N,) the image of each sample, ascending; samples of one image are neighbours.
        batch_size: samples in a global batch, all ranks together.
        seed: of the order.
        shuffle: "image" shuffles images and keeps the samples of one image together, so that it is decoded once for
            all of them; "instance" shuffles samples; "none" keeps the splits' order.
        window: 0 shuffles the epoch as a whole; otherwise about that many pictures are mixed at a time, which lie in
            long stretches of their shards (see `shuffle_in_windows`).
        blocks: (images,) the block of neighbouring pictures that each image belongs to, ascending; needed by windows.
        parts: the splits that the samples come from, in this order. Default: one.
    """

    image_rows: Ints
    batch_size: int
    seed: int = 0
    shuffle: Shuffle = "image"
    window: int = 0
    blocks: Ints | None = None
    parts: Sequence[Part] = ()
    _orders: dict[int, EpochOrder] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if self.shuffle not in ("image", "instance", "none"):
            raise ValueError(f"shuffle must be 'image', 'instance' or 'none', got {self.shuffle!r}")
        if self.window < 0 or (self.window and self.blocks is None):
            raise ValueError(f"window must be 0, or positive with blocks given, got {self.window}")
        if len(self.image_rows) == 0:
            raise EmptyPlanError("the split has nobody to train or evaluate on: none has labelled keypoints and a box")
        self.parts = self.parts or (Part(len(self.image_rows)),)
        if sum(part.count for part in self.parts) != len(self.image_rows):
            raise ValueError(f"the parts {self.parts} do not make up {len(self.image_rows)} samples")

    @property
    def epoch_size(self) -> int:
        """Samples of an epoch."""
        return sum(part.quota for part in self.parts)

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.epoch_size // self.batch_size)

    def batch(self, step: int) -> PlannedBatch:
        """Global step `step`; an epoch's last batch is filled up."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order = self.order(epoch)
        here = slice(position * self.batch_size, (position + 1) * self.batch_size)
        samples, passes = order.samples[here].astype(np.int64), order.passes[here].astype(np.int64)
        filling = (0, self.batch_size - len(samples))
        return PlannedBatch(
            epoch, np.pad(samples, filling, constant_values=PADDING), np.pad(passes, filling, constant_values=epoch)
        )

    def order(self, epoch: int) -> EpochOrder:
        """All of an epoch."""
        with self._lock:  # the thread that reads ahead asks too
            if epoch not in self._orders:
                # Two epochs are in use when a loader reads ahead across their border.
                self._orders = {kept: order for kept, order in self._orders.items() if abs(kept - epoch) == 1}
                self._orders[epoch] = self._make_order(epoch)
            return self._orders[epoch]

    def _make_order(self, epoch: int) -> EpochOrder:
        samples, passes = epoch_samples(self.parts, epoch, self._pass_order)
        order, windows = self._shuffled(epoch, samples, passes)
        return EpochOrder(samples.astype(np.int32)[order], passes.astype(np.int32)[order], windows)

    def _shuffled(self, epoch: int, samples: Ints, passes: Ints) -> tuple[Ints | slice, NDArray[np.int32]]:
        """How to reorder an epoch's samples, and the window of each position."""
        one_window = np.zeros(len(samples), dtype=np.int32)
        if self.shuffle == "none":
            return slice(None), one_window
        rows, keep_images = self.image_rows[samples], self.shuffle == "image"
        if self.window and self.blocks is not None:
            blocks = self.blocks[rows] + passes * (int(self.blocks[-1]) + 1)
            return shuffle_in_windows(self.seed, epoch, blocks, rows, self.batch_size, self.window, keep_images)
        images = runs_of(rows, passes) if keep_images else None
        return shuffle_whole(self.seed, epoch, images, len(samples)), one_window

    def _pass_order(self, first: int, count: int, number: int) -> Ints:
        """The order of one pass over a split of which an epoch takes a part only."""
        samples = np.arange(first, first + count)
        if self.shuffle == "none":
            return samples
        rows = self.image_rows[samples]
        units = runs_of(self.blocks[rows] if self.window and self.blocks is not None else rows)
        return samples[units.members(shuffled(self.seed, number, len(units), _PASS_STREAM, first))]
