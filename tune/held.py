"""A folder in which one command at a time runs trials."""

from collections.abc import Iterator
from contextlib import contextmanager

from engine.config import ConfigError
from sharding.file_lock import hold
from sharding.storage import Folder

_LOCK = "lock"


@contextmanager
def held(folder: Folder) -> Iterator[None]:
    """Hold a folder of this machine, or of a disk with locks. Object stores have none.

    Raises:
        ConfigError: another command runs there.
    """
    if folder.local is None:
        yield
        return
    folder.create()
    lock = hold(str(folder.local / _LOCK), patience_s=0)
    try:
        lock.__enter__()
    except TimeoutError as error:
        raise ConfigError(f"another command runs in {folder.uri}; wait for it, or choose another --out") from error
    try:
        yield
    finally:
        lock.__exit__(None, None, None)
