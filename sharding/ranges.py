"""Byte ranges of one file in a store, for many threads at once, fetched with resume."""

import io
import threading
import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from sharding.retry import STORE_ERRORS, RetryPolicy, StorageError, bounded, call, failure, is_final, wait_after

PIECE_BYTES = 4 << 20
SMALLEST_PIECE_BYTES = 64 << 10
_UNWRITTEN = 0xA7
_GROW_AFTER = 8  # requests in a row without a fault


class RangeReader:
    """Reads ranges of one file in requests of at most `piece_bytes`; any number of threads may do so at once.

    What a request brought before it failed is lost, so after each failure the range is asked for again in quarters: a
    connection that never lives long still makes progress. Undisturbed requests make them grow again.

    Attributes:
        requests: sent so far, failed ones included. bytes_fetched: by those that succeeded.
    """

    def __init__(
        self,
        open_file: Callable[[], pa.NativeFile],
        where: str,
        retry: RetryPolicy,
        size: int | None = None,
        piece_bytes: int = PIECE_BYTES,
    ) -> None:
        if piece_bytes < 1:
            raise StorageError(f"piece_bytes={piece_bytes!r} is not a number of bytes above 0")
        self.requests = self.bytes_fetched = 0
        self._open_file, self._where, self._retry = open_file, where, retry
        self._size, self._piece_bytes = size, piece_bytes
        self._lock = threading.Lock()
        self._idle: list[pa.NativeFile] = []  # a file has one position, so a request needs one of its own
        self._request_bytes, self._undisturbed = piece_bytes, 0

    @property
    def size(self) -> int:
        if self._size is None:
            call(lambda: self._idle.append(self._file()), f"open {self._where}", self._retry)
        assert self._size is not None
        return self._size

    def read(self, offset: int, count: int) -> pa.Buffer:
        _require_inside(offset, count, self.size, self._where)
        pieces = self._fetch(offset, count)
        return pieces[0] if len(pieces) == 1 else pa.py_buffer(b"".join(pieces))

    def _fetch(self, offset: int, count: int) -> list[pa.Buffer]:
        """The pieces of a range, in order."""
        started, pieces = time.monotonic(), []
        longest_s = self._retry.longest_s * -(-count // self._piece_bytes)
        waiting = [(offset, count, 0)] if count else []  # ranges and how often each failed; the first one is last
        while waiting:
            (start, length, failures), most = waiting.pop(), self._request_bytes
            if length > most:
                waiting.append((start + most, length - most, failures))
                length = most
            action = f"read {self._where}, bytes {start} to {start + length}"
            try:
                pieces.append(self._attempt(start, length, longest_s - (time.monotonic() - started)))
            except StorageError:
                raise
            except STORE_ERRORS as error:
                seconds = time.monotonic() - started
                if is_final(error):
                    raise failure(action, error) from error
                if failures + 1 >= self._retry.attempts or seconds > longest_s:
                    raise failure(action, error, failures + 1, seconds) from error
                wait_after(error, action, failures + 1, self._retry)
                waiting.append((start, length, failures + 1))
        return pieces

    def _attempt(self, start: int, length: int, seconds_left: float) -> pa.Buffer:
        """One request, bounded in time, and what it teaches about the size of the next."""
        try:
            if seconds_left <= 0:
                raise TimeoutError("the store is too slow")
            content = bounded(lambda: self._request(start, length), self._retry.timeout_s)
        except STORE_ERRORS:
            with self._lock:
                self._undisturbed = 0
                if length > SMALLEST_PIECE_BYTES:
                    self._request_bytes = min(self._request_bytes, max(SMALLEST_PIECE_BYTES, length // 4))
            raise
        with self._lock:
            self.bytes_fetched += length
            self._undisturbed += 1
            if self._undisturbed % _GROW_AFTER == 0:
                self._request_bytes = min(self._piece_bytes, 2 * self._request_bytes)
        return content

    def _request(self, start: int, length: int) -> pa.Buffer:
        """What one request brings. After a failure its file is not used again, nor is its connection."""
        file, content = self._file(), pa.allocate_buffer(length)
        self._read_into(file, start, content)
        if _bytes_of(content)[-1] == _UNWRITTEN:  # by chance, once in 256 times, or because nothing was written there
            last = pa.allocate_buffer(1)
            self._read_into(file, start + length - 1, last, _UNWRITTEN ^ 0xFF)
            if _bytes_of(last)[0] != _UNWRITTEN:
                raise OSError(f"fewer than the {length} bytes asked for came")
        with self._lock:
            self._idle.append(file)
        return content

    def _read_into(self, file: pa.NativeFile, start: int, content: pa.Buffer, mark: int = _UNWRITTEN) -> None:
        """Fill `content`. Its last byte stays `mark` if too little comes: pyarrow counts bytes that were never sent."""
        _bytes_of(content)[-1] = mark
        with self._lock:
            self.requests += 1
        file.seek(start)
        got = file.readinto(content)
        if got != content.size:
            raise OSError(f"{got} of the {content.size} bytes asked for came")

    def _file(self) -> pa.NativeFile:
        """An idle file, or a new one, which costs a request of its own."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        file = self._open_file()
        size = file.size()
        if self._size not in (None, size):
            raise StorageError(f"{self._where} has {size} bytes, not {self._size}; it was replaced or damaged")
        self._size = size
        return file


def _bytes_of(content: pa.Buffer) -> memoryview:
    return memoryview(content).cast("B")


def _require_inside(offset: int, count: int, size: int, where: str) -> None:
    if offset < 0 or count < 0 or offset + count > size:
        raise StorageError(f"cannot read {where}, bytes {offset} to {offset + count}: the file has {size}")


class _RangeStream(io.RawIOBase):
    """Ranges as a file."""

    def __init__(self, ranges: RangeReader) -> None:
        self._ranges, self._position = ranges, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._ranges.size}[whence]
        return self._position

    def readinto(self, target: Any) -> int:
        view = memoryview(target).cast("B")
        count = max(0, min(len(view), self._ranges.size - self._position))
        view[:count] = _bytes_of(self._ranges.read(self._position, count))
        self._position += count
        return count


def as_stream(ranges: RangeReader, read_ahead: int = PIECE_BYTES) -> io.BufferedReader:
    """A seekable stream for one thread that fetches `read_ahead` bytes at a time."""
    return io.BufferedReader(_RangeStream(ranges), read_ahead)
