"""Calls to a remote store: each bounded in time, and tried again where that can help."""

import atexit
import ctypes
import errno
import logging
import math
import os
import re
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa
from pyarrow import fs as arrow_fs

from pose.errors import UserError
from sharding.store_uri import redacted

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

STORE_ERRORS = (OSError, pa.ArrowException, ValueError)  # what pyarrow's file systems raise

_FINAL_KINDS = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError)
_FINAL_NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_FINAL_WORDS = re.compile(
    r"ACCESS_DENIED|NO_SUCH_|RESOURCE_NOT_FOUND|INVALID_ACCESS_KEY_ID|INVALID_CLIENT_TOKEN_ID|INVALID_SIGNATURE"
    r"|SIGNATURE_DOES_NOT_MATCH|UNRECOGNIZED_CLIENT|MISSING_AUTHENTICATION_TOKEN|ExpiredToken|InvalidToken"
    r"|REQUEST_TIME_TOO_SKEWED|PERMISSION_DENIED|UNAUTHENTICATED|NOT_FOUND|INVALID_ARGUMENT|Bucket '.*' not found"
    r"|curlCode: 60"  # the server's certificate is not trusted
)
_HTTP_STATUS = re.compile(r"HTTP status (\d{3})")
_TEMPORARY_4XX = (408, 429)


class StorageError(UserError, OSError):
    """A URI that cannot be opened, read or written; the message names it, the cause, and what was tried."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often a failing call to a remote store is tried, how long to wait in between, and how long each may take.

    Waits double from `first_wait_s` to `longest_wait_s`, less up to half so that processes do not come back together.
    """

    attempts: int = 6
    first_wait_s: float = 0.25
    longest_wait_s: float = 8.0
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        if not isinstance(self.attempts, int) or self.attempts < 1:
            raise StorageError(f"RetryPolicy: attempts={self.attempts!r} is not a whole number above 0")
        if not 0 <= self.first_wait_s <= self.longest_wait_s < math.inf:
            raise StorageError(
                f"RetryPolicy: first_wait_s={self.first_wait_s!r} and longest_wait_s={self.longest_wait_s!r} are not "
                "seconds of which the first is the shorter"
            )
        if not 0 < self.timeout_s < math.inf:
            raise StorageError(f"RetryPolicy: timeout_s={self.timeout_s!r} is not a number of seconds above 0")

    @property
    def longest_s(self) -> float:
        """Seconds after which a call that fails every time has failed for good."""
        waits = (self._full_wait_s(failures) for failures in range(1, self.attempts))
        return self.attempts * self.timeout_s + sum(waits)

    def wait_s(self, failures: int, key: str) -> float:
        """Seconds to wait after this many failures; a function of its arguments."""
        return self._full_wait_s(failures) * (1 - 0.5 * zlib.crc32(f"{key} {failures}".encode()) / 2**32)

    def _full_wait_s(self, failures: int) -> float:
        return min(self.longest_wait_s, self.first_wait_s * 2.0 ** (failures - 1))


def call(function: Callable[[], _T], action: str, retry: RetryPolicy, timeout_s: float | None = None) -> _T:
    """What `function` returns, after as many attempts as the policy allows.

    Args:
        action: such as "read s3://bucket/x", for messages.
        timeout_s: of one attempt, if not the policy's.
    Raises:
        StorageError: no attempt succeeded, or the error is one that another attempt cannot mend.
    """
    started, limit = time.monotonic(), timeout_s or retry.timeout_s
    for failures in range(1, retry.attempts + 1):
        try:
            return bounded(function, limit)
        except StorageError:
            raise
        except STORE_ERRORS as error:
            if is_final(error):
                raise failure(action, error) from error
            if failures == retry.attempts:
                raise failure(action, error, failures, time.monotonic() - started) from error
            wait_after(error, action, failures, retry)
    raise AssertionError("a policy has at least one attempt")


def bounded(function: Callable[[], _T], timeout_s: float) -> _T:
    """What `function` returns. Raises TimeoutError if that takes longer: it is left behind on a daemon thread."""
    outcome: Future[_T] = Future()

    def run() -> None:
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
            _running.discard(thread)
            outcome.set_exception(error)
        else:
            _running.discard(thread)
            outcome.set_result(result)

    thread = threading.Thread(target=run, name="store call", daemon=True)
    _running.add(thread)
    thread.start()
    try:
        return outcome.result(timeout_s)
    except TimeoutError as error:
        if outcome.done():
            raise
        raise TimeoutError(f"no result within {timeout_s:g} s") from error


def is_final(error: Exception) -> bool:
    """Is it an error that another attempt cannot mend: not found, not allowed, not understood?"""
    if isinstance(error, _FINAL_KINDS) or not isinstance(error, OSError) or error.errno in _FINAL_NUMBERS:
        return True
    status = _HTTP_STATUS.search(str(error))
    if status is not None and 400 <= int(status[1]) < 500:
        return int(status[1]) not in _TEMPORARY_4XX
    return _FINAL_WORDS.search(str(error)) is not None


def failure(action: str, error: Exception, attempts: int | None = None, seconds: float = 0.0) -> StorageError:
    """The error to raise in the end; of several attempts `error` is the last one's."""
    tried = ""
    if attempts is not None:
        tried = f"{attempts} attempt{'s' if attempts > 1 else ''} in {seconds:.1f} s failed, the last: "
    return StorageError(f"cannot {action}: {tried}{redacted(str(error))}")


def wait_after(error: Exception, action: str, failures: int, retry: RetryPolicy) -> None:
    """Say that another attempt follows, and wait for it."""
    wait_s = retry.wait_s(failures, f"{action} {os.getpid()} {threading.get_ident()}")
    level = logging.INFO if failures == 1 else logging.WARNING
    _log.log(level, "%s: attempt %d failed, the next in %.2f s: %s", action, failures, wait_s, redacted(str(error)))
    time.sleep(wait_s)


_running: set[threading.Thread] = set()


def _leave_late_calls_behind() -> None:
    """pyarrow's clean-up of S3 at exit waits for every call, so for ever for one that hangs.

    Without it the C++ destructors that follow pull the ground from under that call. So they are left out too: when the
    interpreter has ended in order, the process ends at once, with the status it was about to end with.
    """
    if _running:
        atexit.unregister(arrow_fs.ensure_s3_finalized)
        libc = ctypes.CDLL(None)
        libc.fflush(None)
        if hasattr(libc, "on_exit"):  # glibc
            libc.on_exit(libc._exit, None)


if hasattr(arrow_fs, "ensure_s3_finalized"):
    atexit.register(_leave_late_calls_behind)  # after pyarrow's own, so it runs before it
os.register_at_fork(after_in_child=_running.clear)
