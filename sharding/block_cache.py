"""A cache of blocks of remote shards on the local disk, shared by the processes and threads of a machine."""

import logging
import os
import re
import zlib
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from pose.errors import UserError
from sharding.block_file import DamagedBlockError, file_size, read_block, write_block
from sharding.block_folder import BlockFolder
from sharding.file_lock import hold

_KEY = re.compile(r"(?=.{1,200}\Z)(\w[\w.]*)-(\w[\w.-]*)", re.ASCII)
_SMALLEST_BOUND = 1024
_STRIPES = 1024  # so many that two blocks that are fetched at once seldom share a lock
_PATIENCE_S = 120.0

_log = logging.getLogger(__name__)


class BlockCacheError(UserError):
    """A cache that cannot be set up as asked."""


class BlockCache:
    """Blocks by key, least recently used evicted first.

    Whoever uses the same folder shares the blocks: what several want at once is fetched by one of them. Nothing is
    served that is not, by its checksum, what was fetched under that key. A disk that is full or cannot be written to
    costs one warning and the advantage of the cache, never a block.

    Args:
        folder: where the blocks lie; created if it is missing. On a local disk: over a network, locks and the order of
            use cannot be relied on. Other files in there are neither counted nor touched.
        max_bytes: what all files in there take together, at any moment. Jobs that disagree about it each keep to their
            own: they shrink the folder to it when they open it and when they add a block.
    Raises:
        BlockCacheError: the folder cannot be created, or max_bytes is no number of bytes.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        if not isinstance(max_bytes, int) or max_bytes < _SMALLEST_BOUND:
            wanted = f"a whole number of bytes, at least {_SMALLEST_BOUND}"
            raise BlockCacheError(f"the bound of the block cache {folder} is {max_bytes!r}; give {wanted}")
        path = os.path.abspath(os.path.expanduser(folder))
        try:
            os.makedirs(path, exist_ok=True)
        except OSError as error:
            raise BlockCacheError(f"cannot create the block cache {folder}: {error}; name another folder") from error
        self._folder = BlockFolder(path, max_bytes)
        self._warned = False
        self._refused: set[str] = set()
        self._tried(self._folder.trim)

    def get(self, key: str, fetch: Callable[[], bytes]) -> bytes:
        """The block's bytes: from disk, or fetched once and kept.

        Args:
            key: SHARD-BLOCK; says what the bytes are: other bytes, another key.
            fetch: gets the bytes, in any bytes-like object. It must not use a cache itself.
        Raises:
            ValueError: the key is no safe file name.
            Exception: whatever fetch raises; nothing is kept then.
        """
        path = self._path(key)
        block = self._read(key, path)
        return self._fill(key, path, fetch) if block is None else block

    def drop(self, key: str) -> None:
        """Forget a block that turned out to be damaged."""
        path = self._path(key)
        if not self._tried(partial(self._folder.remove, path)):
            self._refused.add(key)

    def _path(self, key: str) -> str:
        match = _KEY.fullmatch(key)
        if match is None:
            raise ValueError(f"{key!r} is no key of a block: SHARD-BLOCK, at most 200 of A-Z a-z 0-9 _ . and -")
        return f"{self._folder.path}/{match[1]}/{match[2]}.block"

    def _read(self, key: str, path: str) -> bytes | None:
        """The block as it is on disk; None if it is missing or damaged."""
        if key in self._refused:
            return None
        try:
            with open(path, "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                block = read_block(key, file, status.st_size)
                with suppress(OSError):  # a folder that can only be read serves blocks, too
                    self._folder.touch(file.fileno(), status.st_mtime_ns)
                return block
        except (OSError, DamagedBlockError):
            return None

    def _fill(self, key: str, path: str, fetch: Callable[[], bytes]) -> bytes:
        """Fetch and keep a block, unless somebody else is just doing that: then wait for it."""
        stripe = f"{self._folder.path}/.locks/{zlib.crc32(key.encode()) % _STRIPES:03x}"
        with ExitStack() as filling:
            locked = self._tried(lambda: filling.enter_context(hold(stripe, _PATIENCE_S)))
            if locked:
                block = self._read(key, path)
                if block is not None:
                    return block
                if os.path.exists(path):
                    _log.info("%s is damaged; fetching its block again", path)
                    self.drop(key)
            block = _as_bytes(fetch())
            if locked:
                write = partial(write_block, key, block)
                self._tried(partial(self._folder.add, path, file_size(block), write))
            return block

    def _tried(self, action: Callable[[], object]) -> bool:
        """Do something with the folder; whether it worked. The first failure is logged."""
        try:
            action()
        except OSError as error:
            if not self._warned:
                self._warned = True
                _log.warning(
                    "the block cache %s cannot keep blocks (%s); going on without: free some disk space, or make the "
                    "folder writable",
                    self._folder.path,
                    error,
                )
            return False
        return True


def _as_bytes(fetched: bytes) -> bytes:
    return fetched if isinstance(fetched, bytes) else bytes(memoryview(fetched))
