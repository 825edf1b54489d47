"""Encoded pictures out of the tars, at the offsets that the sidecars give; no tar is parsed."""

import os
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.pictures import BrokenPicture, Encoded, PictureIndex, Place
from sharding.dataset import ShardedDataset

_OPEN_TARS = 64
_CRC_ATTEMPTS = 2  # more than the first; a network may have had them wrong

ReadAt = Callable[[int, int], Any]
"""offset, count → that many bytes."""


class PictureSource(Protocol):
    """Hands out pictures to the steps that need them, in the order of steps."""

    def read(self, step: int, image_rows: NDArray[np.int64]) -> list[Encoded | BrokenPicture]: ...

    def close(self) -> None: ...


class Tars:
    """The tars of an index, opened when they are wanted. Of local ones the least recently used are closed."""

    def __init__(self, index: PictureIndex) -> None:
        self._index = index
        self._local: OrderedDict[int, Tar] = OrderedDict()
        self._remote: dict[int, Tar] = {}
        self._lock = threading.Lock()

    def get(self, shard: int) -> "Tar":
        with self._lock:
            known = self._remote.get(shard) or self._local.get(shard)
            if shard in self._local:
                self._local.move_to_end(shard)
        return known or self._open(shard)

    def _open(self, shard: int) -> "Tar":
        """Not under the lock: asking a store takes a while, and two threads that ask the same do no harm."""
        folder, info = self._index.shard(shard)
        size = folder.size(info.tar)
        if size == info.tar_bytes:
            problem = None
        else:
            found = "is missing" if size is None else f"has {size} bytes"
            problem = f"the shard {found}, the manifest says {info.tar_bytes}; restore it, or convert again"
        if size is None:
            return Tar(problem, 0, _nothing)
        if folder.local is None:
            tar = Tar(problem, size, folder.ranges(info.tar, size).read)
            with self._lock:
                return self._remote.setdefault(shard, tar)
        # Not mapped: a tar that is cut off while a training reads it would end the process.
        file = (folder.local / info.tar).open("rb", buffering=0)
        tar = Tar(problem, size, lambda offset, count: os.pread(file.fileno(), count, offset))
        with self._lock:
            self._local[shard] = tar
            while len(self._local) > _OPEN_TARS:
                self._local.popitem(last=False)
        return tar


class Tar(NamedTuple):
    """What is wrong with a tar as a whole, its bytes, and how to read them."""

    problem: str | None
    size: int
    read: ReadAt

    def can_hold(self, place: Place, tolerant: bool) -> bool:
        """Whether a picture may be read from it; `tolerant` of a tar that is cut off behind the picture."""
        return self.problem is None or (tolerant and place.offset + place.size <= self.size)

    def intact(self, place: Place, data: Any = None) -> bytes | None:
        """A picture's bytes, `data` if they are right, read again if not; None if they are wrong where they lie."""
        for _ in range(_CRC_ATTEMPTS):
            if data is not None and len(data) == place.size and zlib.crc32(data) == place.crc32:
                return data
            data = self.read(place.offset, place.size)
        return data if len(data) == place.size and zlib.crc32(data) == place.crc32 else None


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
        tar = self._tars.get(place.shard)
        if not tar.can_hold(place, self._tolerant):
            return self.index.broken(row, f"cannot be read: {tar.problem}")
        data = tar.intact(place)
        return self.index.mismatch(row) if data is None else np.frombuffer(data, dtype=np.uint8)


def _nothing(offset: int, count: int) -> bytes:
    return b""
