"""The cache of blocks within one process: what it serves, keeps, evicts, and survives. See also …_killed."""

import errno
import logging
import os
import resource
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from blocks_of_bytes import BLOCK_BYTES, OVERHEAD, bound_for, bytes_in, content, fill, kept, never

from pose.errors import UserError
from sharding import block_cache
from sharding.block_cache import BlockCache


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_a_block_is_fetched_once(folder: Path) -> None:
    cache = BlockCache(folder, 10_000)
    fill(cache, "a-1", "a-2", "b-1")
    for key in ("a-1", "a-2", "b-1"):
        for again in (cache, BlockCache(folder, 10_000)):
            assert again.get(key, never) == content(key)
    assert kept(folder) == ["a-1", "a-2", "b-1"]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, pa.py_buffer])
@pytest.mark.parametrize("size", [0, 1, 5000])
def test_any_bytes_like_object_becomes_bytes(folder: Path, kind: Callable[[bytes], Any], size: int) -> None:
    cache = BlockCache(folder, 10_000)
    for fetch in (lambda: kind(content("a-1", size)), never):
        block = cache.get("a-1", fetch)
        assert type(block) is bytes
        assert block == content("a-1", size)


def test_what_is_no_bytes_like_object_is_refused(folder: Path) -> None:
    with pytest.raises(TypeError):
        BlockCache(folder, 10_000).get("a-1", lambda: 5)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("error", [ValueError, OSError, TimeoutError, FileNotFoundError, KeyboardInterrupt])
def test_an_exception_of_fetch_passes_and_nothing_is_kept(
    folder: Path, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    cache = BlockCache(folder, 10_000)

    def fetch() -> bytes:
        raise error("unreachable")

    for _ in range(2):
        with pytest.raises(error, match="unreachable"):
            cache.get("a-1", fetch)
    assert (kept(folder), bytes_in(folder), caplog.messages) == ([], 12, [])
    fill(cache, "a-1")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "a",
        "a-",
        "-1",
        "../a-1",
        "a-1/../../b",
        "a/b-1",
        ".a-1",
        "a-.1",
        "a-1\n",
        "a-1\0",
        "ä-1",
        "a b-1",
        "x-" + "y" * 199,
    ],
)
def test_keys_are_safe_file_names(folder: Path, key: str) -> None:
    cache = BlockCache(folder, 10_000)
    for use in (lambda: cache.get(key, never), lambda: cache.drop(key)):
        with pytest.raises(ValueError, match="is no key of a block"):
            use()


def test_a_real_key(folder: Path) -> None:
    key = "0123456789abcdef" * 4 + "-000012"
    fill(BlockCache(folder, 10_000), key, "a-b-c.d_e")
    assert (folder / ("0123456789abcdef" * 4) / "000012.block").is_file()
    assert kept(folder) == [key, "a-b-c.d_e"]


@pytest.mark.parametrize("bound", [0, -1, 1023, 1e9, "5 GB", None])
def test_a_bound_is_a_number_of_bytes(folder: Path, bound: Any) -> None:
    with pytest.raises(UserError, match=r"the bound of the block cache .*cache is"):
        BlockCache(folder, bound)


def test_a_folder_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "cache"):
        with pytest.raises(UserError, match=f"cannot create the block cache {folder}"):
            BlockCache(folder, 10_000)


# Damage


def damage_flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        damage_flip,
        lambda path: os.truncate(path, 700),
        lambda path: os.truncate(path, 0),
        lambda path: path.write_bytes(bytes(BLOCK_BYTES + OVERHEAD)),
        lambda path: path.write_bytes(path.read_bytes() + b"more"),
        lambda path: shutil.copy(path.parent / "2.block", path),
    ],
)
def test_a_damaged_block_is_noticed_and_fetched_again(folder: Path, damage: Callable[[Path], object]) -> None:
    cache = BlockCache(folder, bound_for(3))
    fill(cache, "a-1", "a-2")
    damage(folder / "a" / "1.block")
    fill(cache, "a-1")
    for key in ("a-1", "a-2"):
        assert cache.get(key, never) == content(key)
    fill(BlockCache(folder, bound_for(3)), "a-3", "a-4")
    assert bytes_in(folder) == bound_for(3)


def test_a_damaged_block_is_dropped_even_if_it_cannot_be_fetched(folder: Path) -> None:
    cache = BlockCache(folder, bound_for(3))
    fill(cache, "a-1", "a-2")
    damage_flip(folder / "a" / "1.block")
    with pytest.raises(AssertionError, match="fetched"):
        cache.get("a-1", never)
    assert kept(folder) == ["a-2"]
    assert bytes_in(folder) == bound_for(1)


def test_drop(folder: Path) -> None:
    cache = BlockCache(folder, bound_for(3))
    fill(cache, "a-1", "a-2", "a-3")
    cache.drop("a-2")
    cache.drop("a-2")
    cache.drop("b-9")
    assert kept(folder) == ["a-1", "a-3"]
    assert cache.get("a-2", lambda: b"new") == b"new"
    assert cache.get("a-2", never) == b"new"
    fill(cache, "a-4", "a-5", "a-6")
    assert bytes_in(folder) == bound_for(3)


# Disks that do not take blocks


@pytest.fixture
def read_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A function that makes the file system read-only (permissions would not stop root)."""
    real_open = os.open

    def open_to_read(path: Any, flags: int, *others: Any, **more: Any) -> int:
        if flags & (os.O_RDWR | os.O_WRONLY | os.O_CREAT):
            raise OSError(errno.EROFS, "Read-only file system", path)
        return real_open(path, flags, *others, **more)

    def refuse(*args: Any, **more: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    def make() -> None:
        monkeypatch.setattr(os, "open", open_to_read)
        for name in ("utime", "unlink", "replace", "mkdir", "rmdir", "ftruncate"):
            monkeypatch.setattr(os, name, refuse)

    return make


def test_a_folder_that_can_only_be_read(
    folder: Path, read_only: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    fill(BlockCache(folder, 10_000), "a-1")
    read_only()
    cache = BlockCache(folder, 10_000)
    assert cache.get("a-1", never) == content("a-1")
    fill(cache, "a-2", "a-3", "a-2")
    cache.drop("a-1")
    assert cache.get("a-1", lambda: b"new") == b"new"
    assert kept(folder) == ["a-1"]
    assert len(caplog.messages) == 1
    assert f"the block cache {folder} cannot keep blocks" in caplog.text
    assert "Read-only file system" in caplog.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder.mkdir()
    folder.chmod(0o500)
    cache = BlockCache(folder, 10_000)
    fill(cache, "a-1", "a-2", "a-1")
    folder.chmod(0o700)
    assert kept(folder) == []
    assert len(caplog.messages) == 1
    assert "Permission denied" in caplog.text


@contextmanager
def small_files(limit: int) -> Iterator[None]:
    """No file of this process grows beyond `limit` bytes, the log of a test run that writes to a file included."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_takes_no_more(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = BlockCache(folder, 10_000)
    fill(cache, "a-1")
    with small_files(500):
        fill(cache, "a-2", "a-3", "a-1", "a-2")
    with small_files(5000):
        fill(cache, "a-4")
    assert kept(folder) == ["a-1", "a-4"]
    assert bytes_in(folder) == bound_for(2)
    assert len(caplog.messages) == 1


def test_a_disk_that_becomes_full_while_a_block_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache = BlockCache(folder, 10_000)
    fill(cache, "a-1")
    before = bytes_in(folder)

    def write_half(key: str, block: bytes, descriptor: int) -> None:
        os.write(descriptor, block[:500])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(block_cache, "write_block", write_half)
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda number: fill(cache, f"b-{number}"), range(20)))
        assert bytes_in(folder) == before
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "No space left" in caplog.text
    fill(cache, "b-1")
    assert kept(folder) == ["a-1", "b-1"]


# Shared by threads


def test_threads_that_want_one_block_fetch_it_once(folder: Path) -> None:
    caches, fetched, start = [BlockCache(folder, 10_000) for _ in range(2)], [], threading.Barrier(8)

    def fetch() -> bytes:
        fetched.append(threading.get_ident())
        time.sleep(0.05)
        return content("a-1")

    def use(number: int) -> bytes:
        start.wait(10)
        return caches[number % 2].get("a-1", fetch)

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(use, range(8))) == {content("a-1")}
    assert len(fetched) == 1


def test_different_blocks_are_fetched_at_the_same_time(folder: Path) -> None:
    cache, together = BlockCache(folder, 100_000), threading.Barrier(8)

    def use(number: int) -> bytes:
        return cache.get(f"a-{number}", lambda: bytes(together.wait(10) * 0) + content(f"a-{number}"))

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(use, range(8))) == [content(f"a-{number}") for number in range(8)]


def test_after_a_failed_fetch_the_next_one_fetches(folder: Path) -> None:
    cache, fetching, attempts = BlockCache(folder, 10_000), threading.Event(), []

    def fetch() -> bytes:
        attempts.append(None)
        fetching.set()
        time.sleep(0.05)
        if len(attempts) == 1:
            raise ConnectionError("reset")
        return content("a-1")

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(cache.get, "a-1", fetch)
        fetching.wait(10)
        second = threads.submit(cache.get, "a-1", fetch)
        with pytest.raises(ConnectionError):
            first.result()
        assert second.result() == content("a-1")


def test_nobody_waits_for_ever_for_one_who_was_stopped(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(block_cache, "_PATIENCE_S", 0.05)
    cache, fetching, go_on = BlockCache(folder, 10_000), threading.Event(), threading.Event()

    def fetch_for_long() -> bytes:
        fetching.set()
        go_on.wait(10)
        return content("a-1")

    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(cache.get, "a-1", fetch_for_long)
        fetching.wait(10)
        fill(cache, "a-1")
        assert kept(folder) == []
        go_on.set()
        assert first.result() == content("a-1")
    assert cache.get("a-1", never) == content("a-1")
    assert "stays locked" in caplog.text


# Fast


def test_a_hit_costs_little_more_than_reading_the_file(folder: Path) -> None:
    """About 1.7 times; with a crc32 of the block it would be over 5 times."""
    cache, size = BlockCache(folder, 64 << 20), 4 << 20
    fill_once = content("a-1", size)
    cache.get("a-1", lambda: fill_once)
    path = folder / "a" / "1.block"

    def fastest(read: Callable[[], object]) -> float:
        times = []
        for _ in range(30):
            start = time.perf_counter()
            read()
            times.append(time.perf_counter() - start)
        return min(times)

    assert fastest(lambda: cache.get("a-1", never)) < 4 * fastest(path.read_bytes)
