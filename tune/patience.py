"""Ray's own calls to an object store, tried again while the store is away."""

from collections.abc import Callable
from typing import TypeVar

from sharding.retry import STORE_ERRORS, RetryPolicy, StorageError, failure, is_final, wait_after

_T = TypeVar("_T")
PATIENCE = RetryPolicy(attempts=20, first_wait_s=1.0, longest_wait_s=30.0)  # about nine minutes


def patiently(function: Callable[[], _T], action: str, patience: RetryPolicy = PATIENCE) -> _T:
    """What `function` returns, as `sharding.retry.call` does but in this thread and without a limit of time: Ray
    reports an epoch by a call that comes back when the search has decided what becomes of the trial.

    Raises:
        StorageError: no attempt succeeded, or another one cannot help.
    """
    for failures in range(1, patience.attempts + 1):
        try:
            return function()
        except StorageError:
            raise
        except STORE_ERRORS as error:
            if is_final(error):
                raise failure(action, error) from error
            if failures == patience.attempts:
                raise failure(action, error, failures) from error
            wait_after(error, action, failures, patience)
    raise AssertionError("a policy has at least one attempt")
