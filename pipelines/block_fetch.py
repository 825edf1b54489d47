"""Pictures of one block from object storage or the cache, in as few and as long ranges as they need."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from pipelines.pictures import BrokenPicture, Encoded, PictureIndex, Place
from pipelines.reader import Tar, Tars
from sharding.block_cache import BlockCache

_LARGEST_GAP = 16 << 10  # bytes read for nothing, when that is cheaper than another request

Wanted = tuple[int, Place]
"""Image row and where its bytes are."""


class BlockFetcher:
    """Fetches pictures and checks every one against its crc32. Used by several threads.

    Args:
        tolerant: whether the whole pictures of a tar that is cut off can be used.
        cache: where blocks are kept; they are then fetched whole.
    """

    def __init__(self, index: PictureIndex, tolerant: bool, cache: BlockCache | None) -> None:
        self._index = index
        self._tars = Tars(index)
        self._tolerant = tolerant
        self._cache = cache

    def fetch(self, wanted: Sequence[Wanted]) -> dict[int, Encoded | BrokenPicture]:
        """The given pictures, all of one block, by image row.

        Raises:
            StorageError: object storage could not be read; the message names URI, attempts and cause.
        """
        shard = wanted[0][1].shard
        tar = self._tars.get(shard)
        usable = [(row, place) for row, place in wanted if tar.can_hold(place, self._tolerant)]
        pictures: dict[int, Encoded | BrokenPicture] = {
            row: self._index.broken(row, f"cannot be read: {tar.problem}")
            for row, place in wanted
            if not tar.can_hold(place, self._tolerant)
        }
        is_local = self._index.shard(shard)[0].local is not None
        cached = self._cache is not None and not is_local and tar.problem is None and usable
        for row, data in self._cached(usable, tar) if cached else _in_ranges(usable, tar):
            pictures[row] = self._index.mismatch(row) if data is None else np.frombuffer(data, dtype=np.uint8)
        return pictures

    def _cached(self, wanted: Sequence[Wanted], tar: Tar) -> Iterator[tuple[int, bytes | None]]:
        assert self._cache is not None
        block = self._whole_block(wanted)
        begin, end = block[0][1].offset, block[-1][1].offset + block[-1][1].size
        key = f"{self._index.shard(wanted[0][1].shard)[1].tar_sha256}-{begin:012d}"
        data = self._cache.get(key, lambda: _intact_block(block, begin, end, tar))
        for row, place in wanted:
            picture = data[place.offset - begin : place.offset - begin + place.size]
            intact = tar.intact(place, picture)
            if intact is not None and intact is not picture:  # it was the cache that had it wrong
                self._cache.drop(key)
            yield row, intact

    def _whole_block(self, wanted: Sequence[Wanted]) -> list[Wanted]:
        rows = self._index.rows_of_block(wanted[0][0])
        return list(zip(rows.tolist(), self._index.places(rows), strict=True))


def _intact_block(block: Sequence[Wanted], begin: int, end: int, tar: Tar) -> bytes:
    """The block's bytes, with pictures that came wrong over the network fetched again."""
    data = bytearray(tar.read(begin, end - begin))
    for _, place in block:
        here = slice(place.offset - begin, place.offset - begin + place.size)
        picture = bytes(data[here])
        data[here] = tar.intact(place, picture) or picture
    return bytes(data)


def _in_ranges(wanted: Sequence[Wanted], tar: Tar) -> Iterator[tuple[int, bytes | None]]:
    for group in _neighbours(wanted):
        begin, end = group[0][1].offset, group[-1][1].offset + group[-1][1].size
        data = memoryview(tar.read(begin, end - begin))
        for row, place in group:
            # Copied: a view would keep the whole range in memory until its last picture was used.
            yield row, tar.intact(place, bytes(data[place.offset - begin : place.offset - begin + place.size]))


def _neighbours(wanted: Iterable[Wanted]) -> Iterator[list[Wanted]]:
    """Pictures, ascending, in groups without large gaps."""
    group: list[Wanted] = []
    end = 0
    for row, place in wanted:
        if group and place.offset - end > _LARGEST_GAP:
            yield group
            group = []
        group.append((row, place))
        end = place.offset + place.size
    if group:
        yield group
