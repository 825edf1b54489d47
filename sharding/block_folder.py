"""A folder of blocks whose files never take more bytes than a bound, whoever writes to it and dies at it.

FOLDER/SHARD/BLOCK.block     finished blocks; the time of their last use is their modification time
FOLDER/.unfinished/…         blocks being written, from the start as long as they will be; locked by their writers
FOLDER/.ledger               how many bytes all files take; its lock is held by whoever changes that
FOLDER/.locks/…              empty files, one of which is locked by who fetches a block
"""

import heapq
import os
import secrets
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple

from sharding.file_lock import hold

_LEDGER = struct.Struct("<QI")
_UNKNOWN = b"\xff" * _LEDGER.size
_PATIENCE_S = 20.0
_REMEMBERED = 4096  # blocks to evict next; the folder is listed once for so many


class _Block(NamedTuple):
    last_use_ns: int
    path: str
    size: int


class BlockFolder:
    """All methods may be called by several threads. Those that take the ledger raise OSError and TimeoutError."""

    def __init__(self, path: str, max_bytes: int) -> None:
        self.path, self.max_bytes = path, max_bytes
        self._clock_ns = 0
        # Of use only to who holds the ledger's lock.
        self._used = 0
        self._oldest: list[_Block] = []  # the oldest comes last

    def touch(self, descriptor: int, last_use_ns: int = 0) -> None:
        """Note that a block is used now: later than before even if the machine's clock was set back."""
        self._clock_ns = max(time.time_ns(), self._clock_ns + 1, last_use_ns + 1)
        os.utime(descriptor, ns=(self._clock_ns, self._clock_ns))

    def trim(self) -> None:
        """Count the bytes afresh, remove what dead processes left unfinished, and evict what exceeds the bound."""
        with self._ledger():
            self._count()
            self._make_room(0)

    def add(self, path: str, size: int, write: Callable[[int], None]) -> None:
        """Add a file of `size` bytes once `write` has filled it; does nothing if there can be no room for it."""
        unfinished = f"{self.path}/.unfinished/{secrets.token_hex(8)}"
        with ExitStack() as writing:
            with self._ledger():
                if not self._make_room(size):
                    return
                descriptor = writing.enter_context(hold(unfinished, 0))
                os.ftruncate(descriptor, size)
                self._used += size
            try:
                write(descriptor)
                self.touch(descriptor)
                with self._ledger():
                    self._move(unfinished, path)
            except BaseException:
                with suppress(OSError):
                    self.remove(unfinished)
                raise

    def remove(self, path: str) -> None:
        """Remove a file if it is there."""
        with self._ledger():
            self._unlink(path)

    @contextmanager
    def _ledger(self) -> Iterator[None]:
        """Hold the ledger's lock. Who dies or fails in here leaves the count unknown, and the next one counts."""
        with hold(f"{self.path}/.ledger", _PATIENCE_S) as descriptor:
            used = _unpack(os.pread(descriptor, _LEDGER.size + 1, 0))
            os.pwrite(descriptor, _UNKNOWN, 0)
            if used is None:
                os.ftruncate(descriptor, _LEDGER.size)
                self._count()
            else:
                self._used = used
            yield
            os.pwrite(descriptor, _pack(self._used), 0)

    def _count(self) -> None:
        blocks = list(self._blocks())
        unfinished = sum(_size(entry.path) for entry in _entries(f"{self.path}/.unfinished"))
        self._used = _LEDGER.size + unfinished + sum(block.size for block in blocks)
        self._oldest = heapq.nsmallest(_REMEMBERED, blocks)[::-1]
        self._clock_ns = max([self._clock_ns, *(block.last_use_ns for block in blocks)])

    def _blocks(self) -> Iterator[_Block]:
        for shard in _entries(self.path):
            if shard.name.startswith(".") or not shard.is_dir(follow_symlinks=False):
                continue
            for entry in _entries(shard.path):
                if entry.name.endswith(".block"):
                    with suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        yield _Block(status.st_mtime_ns, entry.path, status.st_size)

    def _make_room(self, size: int) -> bool:
        """Whether `size` more bytes fit now; blocks are evicted only if that can make them fit."""
        if _LEDGER.size + self._remove_leftovers() + size > self.max_bytes:
            return False
        while self._used + size > self.max_bytes:
            if not self._oldest:
                self._count()
            if not self._oldest:
                return False
            self._evict(self._oldest.pop())
        return True

    def _remove_leftovers(self) -> int:
        """Remove the unfinished files of the dead; bytes of those of the living."""
        alive = 0
        for entry in _entries(f"{self.path}/.unfinished"):
            try:
                with hold(entry.path, 0):
                    self._unlink(entry.path)
            except TimeoutError:
                alive += _size(entry.path)
        return alive

    def _evict(self, block: _Block) -> None:
        """Remove a block, unless it was used or removed since the folder was listed; all used since are younger."""
        with suppress(FileNotFoundError):
            if os.stat(block.path).st_mtime_ns == block.last_use_ns:
                self._unlink(block.path)
                with suppress(OSError):  # other blocks of the shard are there
                    os.rmdir(os.path.dirname(block.path))

    def _move(self, unfinished: str, path: str) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        replaced = _size(path)
        os.replace(unfinished, path)
        self._used -= replaced

    def _unlink(self, path: str) -> None:
        size = _size(path)
        with suppress(FileNotFoundError):
            os.unlink(path)
        self._used -= size


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _size(path: str) -> int:
    """Bytes, 0 if there is no such file."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _pack(used: int) -> bytes:
    return _LEDGER.pack(used, zlib.crc32(used.to_bytes(8, "little")))


def _unpack(ledger: bytes) -> int | None:
    """The count, None if it is unknown: new, torn, or left by somebody who died while changing it."""
    if len(ledger) != _LEDGER.size:
        return None
    used: int = _LEDGER.unpack(ledger)[0]
    return used if ledger == _pack(used) else None
