"""Blocks whose bytes follow from their keys, and what a cache folder holds of them."""

import random
from pathlib import Path

from sharding import block_file
from sharding.block_cache import BlockCache

BLOCK_BYTES = 1000
OVERHEAD = block_file.file_size(b"")


def content(key: str, size: int = BLOCK_BYTES) -> bytes:
    return random.Random(key).randbytes(size)


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def bound_for(blocks: int, size: int = BLOCK_BYTES) -> int:
    """The smallest bound that so many blocks fit."""
    return 12 + blocks * (size + OVERHEAD)


def never() -> bytes:
    raise AssertionError("fetched a block that should be there")


def fill(cache: BlockCache, *keys: str) -> None:
    for key in keys:
        assert cache.get(key, lambda key=key: content(key)) == content(key)


def kept(folder: Path) -> list[str]:
    """Keys of the blocks on disk."""
    return sorted(f"{path.parent.name}-{path.stem}" for path in folder.glob("*/*.block"))
