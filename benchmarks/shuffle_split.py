"""A split that exists as numbers only, as large as COCO train2017, with labels that make its order mean something."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.pictures import BLOCK_BYTES
from pipelines.plan import Plan

PICTURES, PERSONS, BATCH = 57_000, 149_813, 128
PICTURE_BYTES = 80_000
_SHARD_BYTES, _CLIP = 256 << 20, 10

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Split:
    """image_rows (N,) of each person; per picture its block, its shard, its bytes and where in the shard they begin."""

    image_rows: Ints
    blocks: Ints
    shards: Ints
    sizes: Ints
    offsets: Ints

    def plan(self, seed: int, window: int) -> Plan:
        return Plan(self.image_rows, BATCH, seed, window=window, blocks=self.blocks)

    def persons_in(self, pictures: Ints) -> Ints:
        """The picture of each person, picture after picture."""
        return np.repeat(pictures, np.bincount(self.image_rows, minlength=PICTURES)[pictures])


def simulate() -> Split:
    rng = np.random.default_rng(1)
    crowdedness = rng.gamma(1.2, size=PICTURES)
    persons = 1 + rng.multinomial(PERSONS - PICTURES, crowdedness / crowdedness.sum())
    sizes = np.clip(rng.lognormal(np.log(PICTURE_BYTES), 0.4, PICTURES), 10_000, None).astype(np.int64)
    in_tar = (sizes + 512 + 511) // 512 * 512
    begins = np.cumsum(in_tar) - in_tar
    shards = begins // _SHARD_BYTES
    offsets = begins - begins[np.searchsorted(shards, shards)]
    borders = (np.diff(shards) != 0) | (np.diff(offsets // BLOCK_BYTES) != 0)
    return Split(np.repeat(np.arange(PICTURES), persons), np.cumsum(np.append(0, borders)), shards, sizes, offsets)


def labels_of(split: Split) -> dict[str, Floats]:
    """Four labels of each picture."""
    rng = np.random.default_rng(2)
    clips = np.arange(PICTURES) // _CLIP
    return {
        "drift": np.linspace(0, 1, PICTURES),
        "shard": rng.normal(size=split.shards[-1] + 1)[split.shards],
        "block": rng.normal(size=split.blocks[-1] + 1)[split.blocks],
        "clip": rng.normal(size=clips[-1] + 1)[clips],
    }


def through_buffer(split: Split, seed: int, size: int) -> Ints:
    """Pictures as a loader of tar streams delivers them: shards in random order, one after the other, each picture
    drawn from a buffer of `size`."""
    rng = np.random.default_rng(seed)
    stream = np.concatenate([np.flatnonzero(split.shards == shard) for shard in rng.permutation(split.shards[-1] + 1)])
    buffer, delivered = stream[:size].copy(), np.empty_like(stream)
    drawn = rng.integers(0, size, len(stream) - size)
    for place, (picture, slot) in enumerate(zip(stream[size:].tolist(), drawn.tolist(), strict=True)):
        delivered[place] = buffer[slot]
        buffer[slot] = picture
    delivered[len(stream) - size :] = rng.permutation(buffer)
    return delivered
