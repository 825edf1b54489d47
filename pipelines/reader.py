"""Encoded pictures out of the tars, at the offsets that the sidecars give; no tar is parsed."""

import os
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.pictures import BrokenPicture, Encoded, PictureIndex, Place
from sharding.dataset import ShardedDataset

_OPEN_TARS = 64

ReadAt = Callable[[int, int], Any]
"""offset, count → that many bytes."""


class PictureSource(Protocol):
    """Hands out pictures to the steps that need them, in the order of steps."""

    def read(self, step: int, image_rows: NDArray[np.int64]) -> list[Encoded | BrokenPicture]: ...

    def close(self) -> None: ...


class Tars:
    """The tars of an index, opened when they are wanted; the least recently used ones are closed."""

    def __init__(self, index: PictureIndex) -> None:
        self._index = index
        self._open: OrderedDict[int, tuple[int | None, ReadAt]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, shard: int) -> tuple[str | None, int, ReadAt]:
        """What is wrong with a tar as a whole, its bytes, and how to read them."""
        with self._lock:
            if shard not in self._open:
                self._open[shard] = self._open_tar(shard)
                while len(self._open) > _OPEN_TARS:
                    self._open.popitem(last=False)
            self._open.move_to_end(shard)
            size, read = self._open[shard]
        expected = self._index.shard(shard)[1].tar_bytes
        if size == expected:
            return None, size, read
        found = "is missing" if size is None else f"has {size} bytes"
        return (
            f"cannot be read: the shard {found}, the manifest says {expected}; restore it, or convert again",
            size or 0,
            read,
        )

    def _open_tar(self, shard: int) -> tuple[int | None, ReadAt]:
        folder, info = self._index.shard(shard)
        size = folder.size(info.tar)
        if size is None:
            return None, _nothing
        if folder.local is None:
            return size, folder.ranges(info.tar, size).read
        # Not mapped: a tar that is cut off while a training reads it would end the process.
        file = (folder.local / info.tar).open("rb", buffering=0)
        return size, lambda offset, count: os.pread(file.fileno(), count, offset)


class PictureReader:
    """Reads pictures at once, wherever they lie, and checks them against their crc32.

    Args:
        tolerant: whether the whole pictures of a tar that is cut off can be used.
    """

    def __init__(self, pictures: PictureIndex | ShardedDataset, tolerant: bool = False) -> None:
        self.index = PictureIndex([pictures]) if isinstance(pictures, ShardedDataset) else pictures
        self._tars = Tars(self.index)
        self._tolerant = tolerant

    def read(self, step: int, image_rows: NDArray[np.int64]) -> list[Encoded | BrokenPicture]:
        """What each image's bytes are, or why there are none. Of no importance: `step`."""
        places = self.index.places(image_rows)
        return [self._read_one(row, place) for row, place in zip(image_rows.tolist(), places, strict=True)]

    def encoded(self, image_rows: NDArray[np.int64]) -> list[Encoded]:
        """Encoded bytes of each image.

        Raises:
            BrokenShardError: a tar is missing or of the wrong size, or a picture does not match its crc32. The message
                names shard and key.
        """
        pictures = []
        for picture in self.read(0, image_rows):
            if isinstance(picture, BrokenPicture):
                raise picture.error()
            pictures.append(picture)
        return pictures

    def close(self) -> None:
        """Nothing is going on in between."""

    def _read_one(self, row: int, place: Place) -> Encoded | BrokenPicture:
        problem, size, read = self._tars.get(place.shard)
        if problem is not None and (not self._tolerant or place.offset + place.size > size):
            return self.index.broken(row, problem)
        data = read(place.offset, place.size)
        if not is_intact(data, place):
            return self.index.mismatch(row)
        return np.frombuffer(data, dtype=np.uint8)


def is_intact(data: Any, place: Place) -> bool:
    return len(data) == place.size and zlib.crc32(data) == place.crc32


def _nothing(offset: int, count: int) -> bytes:
    return b""
