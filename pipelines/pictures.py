"""Where the pictures of one or several splits lie, and what is said of one that cannot be used."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sharding.dataset import BrokenShardError, Column, ShardedDataset
from sharding.manifest import ShardInfo
from sharding.storage import Folder

Encoded = NDArray[np.uint8]

BLOCK_BYTES = 4 << 20
"""Pictures that begin in the same stretch of this length form a block: what is fetched and cached at once."""


@dataclass(frozen=True)
class BrokenPicture:
    """A picture that cannot be used: its shard and key, and why."""

    location: str
    reason: str

    def error(self) -> BrokenShardError:
        return BrokenShardError(f"{self.location}: {self.reason}")


class Place(NamedTuple):
    """A picture's bytes: which shard's tar, where in it, and their crc32."""

    shard: int
    offset: int
    size: int
    crc32: int


class PictureIndex:
    """The pictures of all splits. Image rows are numbered through them, in the order of splits, shards and tars."""

    def __init__(self, datasets: Sequence[ShardedDataset]) -> None:
        self.datasets = list(datasets)
        self._shards = [(dataset, number) for dataset in datasets for number in range(len(dataset.manifest.shards))]
        self._offsets, self.sizes, self._crc32, self._image_ids, self._heights, self._widths = (
            Column([part for dataset in datasets for part in dataset.image_column(name).parts])
            for name in ("offset", "size", "crc32", "image_id", "height", "width")
        )

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def is_local(self) -> bool:
        return all(dataset.folder.local is not None for dataset in self.datasets)

    def image_ids(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._image_ids.take(rows)

    def picture_sizes(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """(P, 2), height and width in px, of the encoded pictures."""
        return np.stack([self._heights.take(rows), self._widths.take(rows)], axis=1)

    def places(self, rows: NDArray[np.int64]) -> list[Place]:
        columns = (self._offsets.shard_of(rows), *(c.take(rows) for c in (self._offsets, self.sizes, self._crc32)))
        return [Place(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]

    def shard(self, number: int) -> tuple[Folder, ShardInfo]:
        dataset, own = self._shards[number]
        return dataset.folder, dataset.manifest.shards[own]

    @cached_property
    def blocks(self) -> NDArray[np.int64]:
        """(images,) the number of each picture's block, ascending; a block lies in one shard."""
        blocks, first = [], 0
        for part in self._offsets.parts:
            blocks.append(part // BLOCK_BYTES + first)
            first += int(part[-1]) // BLOCK_BYTES + 1 if len(part) else 0
        return np.concatenate(blocks)

    def rows_of_block(self, row: int) -> NDArray[np.int64]:
        """Every picture of the block that `row` belongs to."""
        ends = (
            np.searchsorted(self.blocks, self.blocks[row], side="left"),
            np.searchsorted(self.blocks, self.blocks[row], side="right"),
        )
        return np.arange(*ends)

    def location(self, row: int) -> str:
        """Shard and key of a picture, for messages."""
        shard = int(self._offsets.shard_of(np.array([row]))[0])
        dataset, own = self._shards[shard]
        first = sum(len(part) for part in self._offsets.parts[:shard])
        key = dataset.sidecars[own].column("key")[row - first].as_py()
        return f"{dataset.folder.location(dataset.tar_name(own))}: {key}"

    def broken(self, row: int, reason: str) -> BrokenPicture:
        return BrokenPicture(self.location(row), reason)

    def mismatch(self, row: int) -> BrokenPicture:
        """For a picture whose bytes are not those that were converted."""
        dataset, _ = self._shards[int(self._offsets.shard_of(np.array([row]))[0])]
        return self.broken(
            row,
            "the picture does not match its crc32; "
            f"`posestream verify {dataset.folder.uri}` lists all damage; restore the shard, or convert again",
        )
