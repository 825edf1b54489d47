"""Locks between processes and between threads, which the kernel gives back when their holder dies."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

_SHORTEST_WAIT_S, _LONGEST_WAIT_S = 0.0005, 0.02

_open: set[int] = set()
"""Descriptors of this process that hold a lock or wait for one."""


@contextmanager
def hold(path: str, patience_s: float) -> Iterator[int]:
    """Hold the lock on a file; yields the file's descriptor. File and folder are created if they are missing.

    Nobody else holds it meanwhile: no other process, no other thread, and not the same thread a second time.

    Raises:
        TimeoutError: others held it for `patience_s` seconds.
        OSError: the file cannot be opened for writing, or its file system has no locks.
    """
    descriptor = _acquire(path, patience_s)
    try:
        yield descriptor
    finally:
        _release(descriptor)


def _acquire(path: str, patience_s: float) -> int:
    deadline = time.monotonic() + patience_s
    while True:
        descriptor = _open_or_create(path)
        _open.add(descriptor)
        try:
            _wait(descriptor, path, deadline)
            if _is_at(path, descriptor):
                return descriptor
        except BaseException:
            _release(descriptor)
            raise
        # Somebody deleted the file while we waited: a lock on it excludes nobody who comes later.
        _release(descriptor)


def _open_or_create(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


def _wait(descriptor: int, path: str, deadline: float) -> None:
    """Asks again and again, because flock itself would wait for ever for a holder that was stopped."""
    pause = _SHORTEST_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{path} stays locked by another process or thread") from error
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_WAIT_S)


def _is_at(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _release(descriptor: int) -> None:
    if descriptor not in _open:
        return  # in a forked child, where it is closed already
    _open.discard(descriptor)
    # Closing would not do while a child that was forked in between has the descriptor too.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _close_in_child() -> None:
    """A child that outlives its killed parent must not keep the parent's locks."""
    while _open:
        os.close(_open.pop())


os.register_at_fork(after_in_child=_close_in_child)
