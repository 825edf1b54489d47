"""What the cache of blocks keeps: never more bytes than its bound, and of the blocks those used last."""

import os
import random
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from blocks_of_bytes import BLOCK_BYTES, OVERHEAD, bound_for, bytes_in, content, fill, kept, never

from sharding import block_cache, block_file, block_folder
from sharding.block_cache import BlockCache
from sharding.file_lock import hold


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_the_bytes_never_exceed_the_bound(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at whenever a file can have become larger, in the middle of writing, too."""
    bound, seen = bound_for(10), []

    def write_slowly(key: str, block: bytes, descriptor: int) -> None:
        seen.append(bytes_in(folder))
        os.write(descriptor, block[:500])
        seen.append(bytes_in(folder))
        os.lseek(descriptor, 0, os.SEEK_SET)
        block_file.write_block(key, block, descriptor)
        seen.append(bytes_in(folder))

    monkeypatch.setattr(block_cache, "write_block", write_slowly)
    cache, rng = BlockCache(folder, bound), random.Random(0)
    for number in range(100):
        size = rng.randrange(2000)
        assert len(cache.get(f"a-{number}", lambda size=size: bytes(size))) == size
        seen.append(bytes_in(folder))
    assert max(seen) <= bound
    assert min(seen[100:]) > bound - 4 * 2000  # and the room is used


def test_as_much_as_fits_is_kept(folder: Path) -> None:
    cache = BlockCache(folder, bound_for(10))
    keys = [f"a-{number}" for number in range(10)]
    fill(cache, *keys)
    assert kept(folder) == keys
    assert bytes_in(folder) == bound_for(10)


def test_a_block_larger_than_the_bound_passes_and_evicts_nothing(folder: Path) -> None:
    cache = BlockCache(folder, bound_for(3))
    fill(cache, "a-1", "a-2", "a-3")
    for _ in range(2):
        assert cache.get("b-1", lambda: bytes(bound_for(3) - 12 - OVERHEAD + 1)) == bytes(bound_for(3) - 11 - OVERHEAD)
    assert kept(folder) == ["a-1", "a-2", "a-3"]
    cache.get("b-2", lambda: bytes(bound_for(3) - 12 - OVERHEAD))
    assert kept(folder) == ["b-2"]


def test_what_others_are_writing_counts(folder: Path) -> None:
    """Eight threads in the room of three: some blocks pass uncached, none waits for room, the bound holds."""
    cache, bound, all_fetched = BlockCache(folder, bound_for(3)), bound_for(3), threading.Barrier(8)
    seen: list[int] = []

    def use(number: int) -> bytes:
        def fetch() -> bytes:
            all_fetched.wait(10)
            return content(f"a-{number}")

        block = cache.get(f"a-{number}", fetch)
        with hold(f"{folder}/.ledger", 10):
            seen.append(bytes_in(folder))
        return block

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(use, range(8))) == [content(f"a-{number}") for number in range(8)]
    assert max(seen) <= bound
    assert len(kept(folder)) <= 3


def test_nothing_is_evicted_in_vain(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block that cannot fit beside one that is being written evicts nothing."""
    cache = BlockCache(folder, bound_for(5))
    fill(cache, "a-1", "a-2")

    def write_beside(*block: Any) -> None:
        monkeypatch.undo()
        assert cache.get("c-1", lambda: bytes(4 * BLOCK_BYTES)) == bytes(4 * BLOCK_BYTES)
        block_file.write_block(*block)

    monkeypatch.setattr(block_cache, "write_block", write_beside)
    cache.get("b-1", lambda: bytes(2 * BLOCK_BYTES))
    assert kept(folder) == ["a-1", "a-2", "b-1"]


def test_a_block_that_replaces_another_is_counted_once(folder: Path) -> None:
    """Two may write the same block after all, if somebody deleted the lock that they share."""
    blocks = block_folder.BlockFolder(str(folder), bound_for(5))
    for size in (3000, 500, 2000):
        blocks.add(f"{folder}/a/1.block", size, lambda descriptor: None)
        assert (folder / ".ledger").read_bytes() == block_folder._pack(12 + size)
        assert bytes_in(folder) == 12 + size


def test_the_folder_is_seldom_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, listed, scandir = BlockCache(folder, bound_for(50)), [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (listed.append(path), scandir(path))[1])
    for number in range(300):
        fill(cache, f"a-{number}")
    assert listed.count(str(folder)) <= 250 / 50 + 1


@pytest.mark.parametrize("ledger", [None, b"", b"\0" * 12, b"\xff" * 12, b"torn", b"x" * 100])
def test_a_damaged_ledger_is_made_anew(folder: Path, ledger: bytes | None) -> None:
    cache = BlockCache(folder, bound_for(3))
    fill(cache, "a-1", "a-2", "a-3")
    (folder / ".ledger").unlink()
    if ledger is not None:
        (folder / ".ledger").write_bytes(ledger)
    fill(cache, "a-4")
    assert kept(folder) == ["a-2", "a-3", "a-4"]
    assert bytes_in(folder) == bound_for(3)
    assert (folder / ".ledger").read_bytes() == block_folder._pack(bound_for(3))


def test_a_ledger_of_before_a_power_cut_is_not_believed(folder: Path) -> None:
    fill(BlockCache(folder, bound_for(10)), "a-1")
    old = (folder / ".ledger").read_bytes()
    fill(BlockCache(folder, bound_for(10)), "a-2", "a-3", "a-4")
    (folder / ".ledger").write_bytes(old)
    fill(BlockCache(folder, bound_for(4)), "a-5")
    assert bytes_in(folder) == bound_for(4)


def test_files_that_somebody_deleted_make_room(folder: Path) -> None:
    cache = BlockCache(folder, bound_for(5))
    fill(cache, *(f"a-{number}" for number in range(5)))
    for path in list(folder.glob("a/*.block"))[:4]:
        path.unlink()
    fill(cache, *(f"b-{number}" for number in range(5)))
    assert len(kept(folder)) == 5
    shutil.rmtree(folder)
    fill(cache, *(f"c-{number}" for number in range(7)))
    assert kept(folder) == [f"c-{number}" for number in range(2, 7)]


def test_files_of_others_are_left_alone(folder: Path) -> None:
    (folder / "mine").mkdir(parents=True)
    others = [folder / "note.txt", folder / "mine" / "note.txt"]
    for path in others:
        path.write_bytes(bytes(50_000))
    cache = BlockCache(folder, bound_for(2))
    fill(cache, "a-1", "a-2", "a-3", "a-4")
    assert all(path.stat().st_size == 50_000 for path in others)
    assert kept(folder) == ["a-3", "a-4"]


def test_two_bounds(folder: Path) -> None:
    """Each job keeps to its own: the smaller shrinks the folder when it opens it and when it adds a block."""
    large = BlockCache(folder, bound_for(8))
    fill(large, *(f"a-{number}" for number in range(8)))
    small = BlockCache(folder, bound_for(3))
    assert kept(folder) == ["a-5", "a-6", "a-7"]
    fill(large, *(f"b-{number}" for number in range(4)))
    assert len(kept(folder)) == 7
    fill(small, "b-3")  # a hit needs no room
    assert len(kept(folder)) == 7
    fill(small, "c-0")
    assert kept(folder) == ["b-2", "b-3", "c-0"]
    fill(large, *(f"d-{number}" for number in range(6)))
    assert bytes_in(folder) == bound_for(8)


# Least recently used


def test_the_least_recently_used_goes_first(folder: Path) -> None:
    cache = BlockCache(folder, bound_for(4))
    fill(cache, "a-1", "a-2", "a-3", "a-4", "a-1", "a-5")
    assert kept(folder) == ["a-1", "a-3", "a-4", "a-5"]
    fill(cache, "a-3", "a-4", "a-6", "a-7")
    assert kept(folder) == ["a-3", "a-4", "a-6", "a-7"]
    fill(cache, "b-1", "b-2", "b-3", "b-4")
    assert not (folder / "a").exists()


def test_eviction_agrees_with_a_model(folder: Path) -> None:
    """Two caches of one folder, as two processes have them, against a list in order of use."""
    caches, rng, model = [BlockCache(folder, bound_for(10)) for _ in range(2)], random.Random(1), []
    for _ in range(600):
        key = f"a-{int(rng.triangular(0, 30, 0))}"
        fill(rng.choice(caches), key)
        model = [*[other for other in model if other != key][-9:], key]
        assert kept(folder) == sorted(model)


def test_a_clock_that_goes_backwards(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = BlockCache(folder, bound_for(4))
    fill(cache, "a-1", "a-2", "a-3")
    yesterday = time.time_ns() - 86_400 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: yesterday)
    for _ in range(2):
        fill(cache, "a-1", "a-4", "a-5")
        assert kept(folder) == ["a-1", "a-3", "a-4", "a-5"]
        fill(cache, "a-3", "a-1", "a-2", "a-3")
        assert kept(folder) == ["a-1", "a-2", "a-3", "a-5"]
    for key in ("b-1", "b-2"):
        fill(BlockCache(folder, bound_for(4)), key)
    assert kept(folder) == ["a-2", "a-3", "b-1", "b-2"]


def test_a_use_makes_no_block_older(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even by a process whose clock is behind."""
    behind = BlockCache(folder, bound_for(4))
    fill(BlockCache(folder, bound_for(4)), "a-1")
    before = (folder / "a" / "1.block").stat().st_mtime_ns
    monkeypatch.setattr(time, "time_ns", lambda: before - 10**9)
    fill(behind, "a-1")
    assert (folder / "a" / "1.block").stat().st_mtime_ns == before + 1


def test_eviction_does_not_disturb_a_reader(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, other = BlockCache(folder, bound_for(2)), BlockCache(folder, bound_for(2))
    fill(cache, "a-1")

    def read_evicted(*what: Any) -> bytes:
        monkeypatch.undo()
        fill(other, "a-2", "a-3")
        assert kept(folder) == ["a-2", "a-3"]
        return block_file.read_block(*what)

    monkeypatch.setattr(block_cache, "read_block", read_evicted)
    assert cache.get("a-1", never) == content("a-1")
