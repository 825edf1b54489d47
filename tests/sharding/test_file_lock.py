"""Locks: nobody else is in at the same time, whatever happens to the file."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sharding.file_lock import hold


def test_a_lock_ends_even_if_a_child_has_its_descriptor(tmp_path: Path) -> None:
    with hold(f"{tmp_path}/x", 0) as descriptor:
        inherited = os.dup(descriptor)
    with hold(f"{tmp_path}/x", 0), pytest.raises(TimeoutError, match="stays locked"), hold(f"{tmp_path}/x", 0):
        pass
    os.close(inherited)


def test_a_deleted_lock_file_excludes_nobody_twice(tmp_path: Path) -> None:
    """Who waited for the deleted file must not go ahead beside who locks the new one."""
    path, inside, most = f"{tmp_path}/locks/x", [], []

    def enter(number: int) -> None:
        for _ in range(30):
            with hold(path, 10):
                inside.append(number)
                most.append(len(inside))
                time.sleep(0.0005)
                inside.remove(number)
                if number == 0:
                    os.unlink(path)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(enter, range(4)))
    assert max(most) == 1
