"""The plan: which instances make up each global batch, as a pure function of the split and a few settings."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.counter_rng import random_bits
from pose.errors import UserError

Shuffle = Literal["image", "instance", "none"]
PADDING = -1
_ORDER_STREAM = 0


class EmptyPlanError(UserError, ValueError):
    """There is nothing to plan."""


@dataclass
class Plan:
    """The sequence of global batches over samples 0 … N−1, in every epoch each sample exactly once.

    Attributes:
        image_rows: (N,) the image of each sample, ascending; samples of one image are neighbours.
        batch_size: samples in a global batch, all ranks together.
        seed: of the order.
        shuffle: "image" shuffles images and keeps the samples of one image together, so that it is decoded once for
            all of them; "instance" shuffles samples; "none" keeps the split's order.
    """

    image_rows: NDArray[np.int64]
    batch_size: int
    seed: int = 0
    shuffle: Shuffle = "image"
    _orders: dict[int, NDArray[np.int64]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if self.shuffle not in ("image", "instance", "none"):
            raise ValueError(f"shuffle must be 'image', 'instance' or 'none', got {self.shuffle!r}")
        if len(self.image_rows) == 0:
            raise EmptyPlanError("the split has nobody to train or evaluate on: none has labelled keypoints and a box")

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.image_rows) // self.batch_size)

    def batch(self, step: int) -> tuple[int, NDArray[np.int64]]:
        """Epoch and sample numbers (batch_size,) of global step `step`; an epoch's last batch is filled up with −1."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order = self._order(epoch)[position * self.batch_size : (position + 1) * self.batch_size]
        return epoch, np.pad(order, (0, self.batch_size - len(order)), constant_values=PADDING)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._orders:
            # Two epochs are in use when a loader reads ahead across their border.
            self._orders = {kept: order for kept, order in self._orders.items() if abs(kept - epoch) == 1}
            self._orders[epoch] = self._shuffled(epoch)
        return self._orders[epoch]

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        count = len(self.image_rows)
        if self.shuffle == "none":
            return np.arange(count)
        if self.shuffle == "instance":
            return np.argsort(random_bits(self.seed, epoch, np.arange(count), _ORDER_STREAM), kind="stable")
        _, starts, sizes = np.unique(self.image_rows, return_index=True, return_counts=True)
        order = np.argsort(random_bits(self.seed, epoch, np.arange(len(starts)), _ORDER_STREAM), kind="stable")
        starts, sizes = starts[order], sizes[order]
        ends = np.cumsum(sizes)
        return np.repeat(starts - (ends - sizes), sizes) + np.arange(count)
