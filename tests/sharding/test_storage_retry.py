"""Retrying: what is tried again, for how long, and what the error says."""

import errno
import logging
import threading
import time
from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose.errors import UserError
from sharding.retry import RetryPolicy, StorageError, bounded, call, is_final

AT_ONCE = RetryPolicy(attempts=4, first_wait_s=0, longest_wait_s=0, timeout_s=5)


def failing(times: int, error: Exception) -> tuple[Callable[[], str], list[float]]:
    calls: list[float] = []

    def function() -> str:
        calls.append(time.monotonic())
        if len(calls) <= times:
            raise error
        return "done"

    return function, calls


@pytest.mark.parametrize(
    "changes",
    [
        {"attempts": 0},
        {"attempts": 1.5},
        {"first_wait_s": -1},
        {"first_wait_s": 9.0},
        {"longest_wait_s": float("inf")},
        {"first_wait_s": float("nan")},
        {"timeout_s": 0},
        {"timeout_s": float("inf")},
        {"timeout_s": float("nan")},
    ],
)
def test_senseless_policies_are_refused(changes: dict) -> None:
    with pytest.raises(StorageError, match=rf"{next(iter(changes))}={next(iter(changes.values()))}") as caught:
        RetryPolicy(**changes)
    assert isinstance(caught.value, UserError)


@given(st.integers(1, 30), st.text(max_size=5), st.floats(0, 2), st.floats(2, 20))
def test_waits_double_up_to_the_longest_with_jitter(failures: int, key: str, first: float, longest: float) -> None:
    policy = RetryPolicy(attempts=3, first_wait_s=first, longest_wait_s=longest)
    full = min(longest, first * 2 ** (failures - 1))
    assert full / 2 <= policy.wait_s(failures, key) <= full
    assert policy.wait_s(failures, key) == policy.wait_s(failures, key)


def test_two_processes_do_not_come_back_together() -> None:
    assert len({RetryPolicy().wait_s(3, f"process {number}") for number in range(20)}) == 20


def test_the_longest_time_is_that_of_all_attempts_and_waits() -> None:
    assert RetryPolicy(attempts=4, first_wait_s=1, longest_wait_s=3, timeout_s=10).longest_s == 40 + 1 + 2 + 3


def test_calls_are_repeated_until_they_succeed(caplog: pytest.LogCaptureFixture) -> None:
    function, calls = failing(3, OSError("curlCode: 56 of s3://key:hunter2@bucket"))
    with caplog.at_level(logging.INFO, "sharding.retry"):
        assert call(function, "read s3://b/x", AT_ONCE) == "done"
    assert len(calls) == 4
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING", "WARNING"]
    assert "read s3://b/x: attempt 1 failed" in caplog.text
    assert "hunter2" not in caplog.text


def test_the_last_error_says_all() -> None:
    function, calls = failing(9, OSError("curlCode: 56 of s3://key:hunter2@bucket"))
    with pytest.raises(StorageError) as caught:
        call(function, "read s3://b/x", RetryPolicy(attempts=3, first_wait_s=0.1, timeout_s=5))
    assert len(calls) == 3
    message = "cannot read s3://b/x: 3 attempts in 0.{} s failed, the last: curlCode: 56 of s3://***@bucket"
    assert str(caught.value) in [message.format(tenths) for tenths in range(1, 10)]
    assert calls[1] - calls[0] >= 0.05
    assert calls[2] - calls[1] >= 0.1


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(2, "Path does not exist"),
        PermissionError(13, "no"),
        OSError("AWS Error ACCESS_DENIED during GetObject operation: No response body."),
        OSError("AWS Error NO_SUCH_BUCKET during CreateMultipartUpload operation"),
        OSError("AWS Error INVALID_ACCESS_KEY_ID during GetObject operation"),
        OSError("AWS Error SIGNATURE_DOES_NOT_MATCH during GetObject operation"),
        OSError("Bucket 'x' not found. To create buckets, enable the allow_bucket_creation option."),
        OSError("AWS Error UNKNOWN (HTTP status 400) during GetObject operation: No response body."),
        OSError("AWS Error UNKNOWN (HTTP status 416) during GetObject operation: No response body."),
        OSError("google::cloud::Status(PERMISSION_DENIED: no)"),
        OSError("curlCode: 60, SSL peer certificate or SSH remote key was not OK"),
        pa.ArrowInvalid("cannot parse"),
        ValueError("no"),
    ],
    ids=str,
)
def test_what_no_attempt_mends_is_raised_at_once(error: Exception) -> None:
    function, calls = failing(9, error)
    with pytest.raises(StorageError) as caught:
        call(function, "read s3://b/x", AT_ONCE)
    assert len(calls) == 1
    assert str(error) in str(caught.value)
    assert "attempts" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "AWS Error NETWORK_CONNECTION during GetObject operation: curlCode: 56, Recv failure: Connection reset by peer",
        "AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 6, Could not resolve hostname",
        "AWS Error UNKNOWN (HTTP status 503) during GetObject operation: No response body.",
        "AWS Error UNKNOWN (HTTP status 429) during GetObject operation: No response body.",
        "AWS Error UNKNOWN (HTTP status 408) during GetObject operation: No response body.",
        "AWS Error SLOW_DOWN during GetObject operation: Please reduce your request rate.",
        "AWS Error INTERNAL_FAILURE during GetObject operation",
        "12 of the 4096 bytes asked for came",
    ],
)
def test_what_may_pass_is_tried_again(text: str) -> None:
    assert not is_final(OSError(text))
    assert not is_final(TimeoutError(text))
    assert is_final(OSError(errno.ENOSPC, "no space left on device"))


def test_an_error_that_says_all_stays_as_it_is() -> None:
    function, calls = failing(9, StorageError("said before"))
    with pytest.raises(StorageError, match=r"^said before$"):
        call(function, "read s3://b/x", AT_ONCE)
    assert len(calls) == 1


def test_one_attempt_is_one_attempt() -> None:
    with pytest.raises(StorageError, match=r"^cannot read s3://b/x: 1 attempt in 0\.\d s failed, the last: reset$"):
        call(failing(9, OSError("reset"))[0], "read s3://b/x", RetryPolicy(attempts=1))


def test_errors_of_the_program_are_not_dressed_up() -> None:
    function, calls = failing(1, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        call(function, "read s3://b/x", AT_ONCE)
    assert len(calls) == 1


def test_late_calls_are_left_behind() -> None:
    release = threading.Event()
    calls = []

    def function() -> str:
        calls.append(1)
        if len(calls) <= 2:
            release.wait(30)
        return "done"

    started = time.monotonic()
    assert call(function, "read s3://b/x", RetryPolicy(first_wait_s=0, timeout_s=0.1)) == "done"
    assert 0.2 <= time.monotonic() - started < 5
    release.set()


def test_a_late_call_says_so() -> None:
    release = threading.Event()
    with pytest.raises(StorageError, match=r"2 attempts in 0\.\d s failed, the last: no result within 0\.1 s"):
        call(lambda: release.wait(30), "read s3://b/x", RetryPolicy(2, 0, 0, 0.1))
    release.set()


def test_a_timeout_of_the_callee_keeps_its_words() -> None:
    def function() -> None:
        raise TimeoutError("the store said so")

    with pytest.raises(TimeoutError, match="the store said so"):
        bounded(function, 5)


def test_the_time_of_one_call_can_differ_from_the_policy() -> None:
    def slow() -> str:
        time.sleep(0.3)
        return "done"

    assert call(slow, "write s3://b/x", RetryPolicy(1, timeout_s=0.05), timeout_s=5) == "done"
