"""Encoded pictures out of the tars, at the offsets that the sidecars give; no tar is parsed."""

import zlib
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sharding.dataset import BrokenShardError, ShardedDataset

Encoded = NDArray[np.uint8]


class PictureReader:
    """Reads pictures by image row and checks them against their crc32.

    Local tars are memory-mapped and sliced without a copy; remote ones are read by range, one request a picture.
    """

    def __init__(self, dataset: ShardedDataset) -> None:
        self._dataset = dataset
        self._offsets, self._sizes, self._crc32 = (dataset.image_column(name) for name in ("offset", "size", "crc32"))
        self._tars: dict[int, Callable[[int, int], pa.Buffer]] = {}

    def read(self, image_rows: NDArray[np.int64]) -> list[Encoded]:
        """Encoded bytes of each image.

        Raises:
            BrokenShardError: a tar is missing or of the wrong size, or a picture does not match its crc32. The message
                names shard and key.
        """
        shards = self._offsets.shard_of(image_rows).tolist()
        offsets, sizes = self._offsets.take(image_rows).tolist(), self._sizes.take(image_rows).tolist()
        checksums = self._crc32.take(image_rows).tolist()
        pictures = []
        for row, shard, offset, size, crc32 in zip(image_rows, shards, offsets, sizes, checksums, strict=True):
            if shard not in self._tars:
                self._tars[shard] = self._open(shard, int(row))
            data = self._tars[shard](offset, size)
            if len(data) != size or zlib.crc32(data) != crc32:
                raise BrokenShardError(self._describe(shard, int(row)))
            pictures.append(np.frombuffer(data, dtype=np.uint8))
        return pictures

    def _open(self, shard: int, row: int) -> Callable[[int, int], pa.Buffer]:
        folder, info = self._dataset.folder, self._dataset.manifest.shards[shard]
        size = folder.size(info.tar)
        if size != info.tar_bytes:
            found = "is missing" if size is None else f"has {size} bytes"
            raise BrokenShardError(
                f"{self._locate(shard, row)} cannot be read: the shard {found}, the manifest says {info.tar_bytes}; "
                "restore it, or convert again"
            )
        if folder.local is not None:
            return folder.memory_map(info.tar).slice
        remote = folder.open(info.tar)
        return lambda offset, count: pa.py_buffer(remote.read_at(count, offset))

    def _locate(self, shard: int, row: int) -> str:
        """Shard and key of an image, for messages."""
        first_row = int(np.searchsorted(self._offsets.shard_of(np.arange(self._dataset.num_images)), shard))
        key = self._dataset.sidecars[shard].column("key")[row - first_row].as_py()
        return f"{self._dataset.folder.location(self._dataset.tar_name(shard))}: {key}"

    def _describe(self, shard: int, row: int) -> str:
        return (
            f"{self._locate(shard, row)}: the picture does not match its crc32; "
            f"`posestream verify {self._dataset.folder.uri}` lists all damage; restore the shard, or convert again"
        )
