"""Splits that exist as numbers only: which image each person lies in, which block each image, how long each picture."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipelines.epoch_order import LANES
from pipelines.plan import Plan


@dataclass(frozen=True)
class SimulatedSplit:
    """image_rows (N,) of each sample; blocks and sizes (images,), numbers and bytes."""

    image_rows: np.ndarray
    blocks: np.ndarray
    sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.image_rows)

    def plan(self, batch_size: int, **options: Any) -> Plan:
        return Plan(self.image_rows, batch_size, blocks=self.blocks, **options)

    def first(self, samples: int) -> "SimulatedSplit":
        """Only its first samples."""
        return replace(self, image_rows=self.image_rows[:samples])


def simulated_split(images: int, seed: int = 0, persons: int = 30, block: int = 60) -> SimulatedSplit:
    """Images with 0 to `persons` persons, few rather than many, in blocks of 1 to `block`; the first has a person.

    Block numbers skip some, as those of a few large pictures do.
    """
    rng = np.random.default_rng(seed)
    counts = np.minimum(rng.geometric(0.38, images) - 1, persons)
    counts[0] = max(counts[0], 1)
    counts[rng.random(images) < 0.02] = persons
    numbers = np.cumsum(rng.integers(1, 3, images))
    blocks = np.repeat(numbers, rng.integers(1, block + 1, images))[:images]
    return SimulatedSplit(np.repeat(np.arange(images), counts), blocks, rng.integers(1000, 200_000, images))


def coco_like(images: int = 57_000, samples: int = 149_813, pictures_per_block: int = 52) -> SimulatedSplit:
    """As many persons and pictures as COCO train2017."""
    rng = np.random.default_rng(1)
    weights = rng.gamma(1.2, size=images)
    counts = 1 + rng.multinomial(samples - images, weights / weights.sum())
    sizes = rng.integers(20_000, 140_000, images)
    return SimulatedSplit(np.repeat(np.arange(images), counts), np.arange(images) // pictures_per_block, sizes)


def share_of_rank(samples: np.ndarray, rank: int, world_size: int) -> np.ndarray:
    """What `rank` takes of a global batch."""
    size = len(samples) // world_size
    return samples[rank * size : (rank + 1) * size]


def lanes_of(plan: Plan) -> np.ndarray:
    """The lane of each position of an epoch: the same rows of every batch, in proportion in the last one."""
    size = plan.epoch_size
    lanes: list[int] = []
    for begin in range(0, size, plan.batch_size):
        count = min(plan.batch_size, size - begin)
        borders = [count * lane // LANES for lane in range(LANES + 1)]
        lanes += [lane for lane in range(LANES) for _ in range(borders[lane], borders[lane + 1])]
    return np.array(lanes)
