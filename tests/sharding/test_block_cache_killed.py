"""The cache of blocks between processes, and under SIGKILL: the bound holds, and nothing half-written is served.

A fork server imports the package once and forks a child for each job, so that many can be killed.
"""

import contextlib
import fcntl
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from sharding import block_cache, block_file, block_folder
from sharding.block_cache import BlockCache
from sharding.file_lock import hold

BLOCK_BYTES = 6000
FILE_BYTES = BLOCK_BYTES + block_file.file_size(b"")
BOUND = 12 + 10 * FILE_BYTES

Start = Callable[..., BaseProcess]


def content(key: str) -> bytes:
    return random.Random(key).randbytes(BLOCK_BYTES)


def fill(cache: BlockCache, *keys: str) -> None:
    for key in keys:
        assert cache.get(key, lambda key=key: content(key)) == content(key)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def unfinished(folder: Path) -> list[Path]:
    return list((folder / ".unfinished").iterdir())


def assert_sound(folder: Path) -> None:
    """The bound holds, and the ledger, if it says anything, says the truth. Bytes only change under its lock."""
    with hold(f"{folder}/.ledger", 60) as ledger:
        used = bytes_in(folder)
        assert block_folder._unpack(os.pread(ledger, 100, 0)) in (None, used)
    assert used <= BOUND


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """A function that runs a function of this file in another process."""
    context = multiprocessing.get_context("forkserver")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # without it the server imports nothing beforehand
    context.set_forkserver_preload([__name__])
    started: list[BaseProcess] = []

    def run(job: Callable[..., None], *args: Any) -> BaseProcess:
        process = context.Process(target=job, args=args)
        process.start()
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.join()


def wait_for(condition: Callable[[], Any], limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


# Two jobs at once


def get_and_note(folder: Path, key: str, fetch_s: float) -> None:
    """Every fetch appends a line to FOLDER.fetches as it begins."""

    def fetch() -> bytes:
        with Path(f"{folder}.fetches").open("a") as notes:
            notes.write(f"{os.getpid()}\n")
        time.sleep(fetch_s)
        return content(key)

    assert BlockCache(folder, BOUND).get(key, fetch) == content(key)


def fetches(folder: Path) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return [int(line) for line in Path(f"{folder}.fetches").read_text().split()]
    return []


def test_processes_that_want_one_block_fetch_it_once(tmp_path: Path, start: Start) -> None:
    jobs = [start(get_and_note, tmp_path / "cache", "a-1", 0.3) for _ in range(4)]
    for job in jobs:
        job.join(60)
        assert job.exitcode == 0
    assert len(fetches(tmp_path / "cache")) == 1


def test_if_the_one_who_fetches_is_killed_the_next_fetches(tmp_path: Path, start: Start) -> None:
    first = start(get_and_note, tmp_path / "cache", "a-1", 60)
    wait_for(lambda: fetches(tmp_path / "cache"))
    others = [start(get_and_note, tmp_path / "cache", "a-1", 0.1) for _ in range(3)]
    time.sleep(0.1)
    assert fetches(tmp_path / "cache") == [first.pid]
    first.kill()
    for job in others:
        job.join(60)
        assert job.exitcode == 0
    assert len(fetches(tmp_path / "cache")) == 2


def get_with_child(folder: Path) -> None:
    def fetch() -> bytes:
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        Path(f"{folder}.child").write_text(f"{child}.")
        time.sleep(60)
        return b""

    BlockCache(folder, BOUND).get("a-1", fetch)


def test_a_child_that_outlives_the_killed_keeps_no_lock(tmp_path: Path, start: Start) -> None:
    job, note = start(get_with_child, tmp_path / "cache"), tmp_path / "cache.child"
    wait_for(lambda: note.exists() and note.read_text().endswith("."))
    job.kill()
    job.join()
    begin = time.monotonic()
    try:
        fill(BlockCache(tmp_path / "cache", BOUND), "a-1")
        assert time.monotonic() - begin < 60
    finally:
        os.kill(int(note.read_text()[:-1]), signal.SIGKILL)


# Killed at every step

STEPS = ["open", "close", "fstat", "stat", "ftruncate", "pread", "pwrite", "utime"]
STEPS += ["scandir", "mkdir", "rmdir", "replace", "unlink"]


def fill_until_step(folder: Path, key: str, fatal: int) -> None:
    """Fills, and dies before the system call number `fatal`; writing a block counts as two, with half of it between."""
    step = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def count(*args: Any, **more: Any) -> Any:
            nonlocal step
            step += 1
            if step == fatal:
                die()
            return call(*args, **more)

        return count

    @counted
    def write_in_halves(key: str, block: bytes, descriptor: int) -> None:
        os.write(descriptor, block[: len(block) // 2])
        os.lseek(descriptor, 0, os.SEEK_SET)
        counted(block_file.write_block)(key, block, descriptor)

    cache = BlockCache(folder, BOUND)
    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))
    fcntl.flock = counted(fcntl.flock)
    block_cache.write_block = write_in_halves
    fill(cache, key)
    Path(f"{folder}.finished").write_text(str(step))
    os._exit(0)


def test_killed_at_every_step_of_a_fill(tmp_path: Path, start: Start) -> None:
    """The folder is full, so that it evicts, too, and it removes what somebody has left unfinished."""
    folder, kills, with_leftovers = tmp_path / "cache", 0, 0
    survivor = BlockCache(folder, BOUND)  # it never counts the files at its leisure, as a new one would
    while not Path(f"{folder}.finished").exists():
        fill(survivor, *(f"a-{number}" for number in range(10)))
        (folder / ".unfinished" / "of a dead process").touch()
        job = start(fill_until_step, folder, "b-1", kills + 1)
        job.join(60)
        kills += 1
        assert job.exitcode in (0, -signal.SIGKILL)
        with_leftovers += bytes_in(folder / ".unfinished") > 0
        assert bytes_in(folder) <= BOUND
        for path in folder.glob("*/*.block"):
            with open(path, "rb", buffering=0) as file:
                assert block_file.read_block(f"{path.parent.name}-{path.stem}", file, path.stat().st_size)
        fill(survivor, f"c-{kills}")
        assert unfinished(folder) == []
        fill(survivor, "b-1")
        assert_sound(folder)
        assert bytes_in(folder) == BOUND  # nothing is counted that is not there
        survivor.drop("b-1")
    assert kills == int(Path(f"{folder}.finished").read_text()) + 1
    assert kills > 40
    assert with_leftovers > 10


# Everything at once


def hammer(folder: Path, seed: int, seconds: float) -> None:
    """Two threads get blocks of every kind for a while; an assertion that fails ends the process with status 1."""
    cache, failed, deadline = BlockCache(folder, BOUND), [], time.monotonic() + seconds

    def use(seed: int) -> None:
        rng = random.Random(seed)
        while time.monotonic() < deadline:
            key = f"s{rng.randrange(5)}-{rng.randrange(10)}"

            def fetch(key: str = key) -> bytes:
                time.sleep(rng.random() * 0.002)
                return content(key)

            if cache.get(key, fetch) != content(key):
                failed.append(key)
                return
            if rng.random() < 0.02:
                cache.drop(key)

    threads = [threading.Thread(target=use, args=(2 * seed + number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert not cache._warned


def test_four_processes_that_are_killed_again_and_again(tmp_path: Path, start: Start) -> None:
    """50 blocks in the room of 10, two threads each, and damage done to the files."""
    folder, rng, seconds = tmp_path / "cache", random.Random(3), 3.0
    BlockCache(folder, BOUND)
    begin = time.monotonic()
    jobs = [start(hammer, folder, seed, seconds) for seed in range(4)]
    kills, next_kill = 0, 0.1
    while (now := time.monotonic() - begin) < seconds - 0.5:
        assert_sound(folder)
        if now > next_kill:
            number = rng.randrange(4)
            jobs[number].kill()
            jobs[number].join()
            assert jobs[number].exitcode == -signal.SIGKILL
            kills += 1
            jobs[number] = start(hammer, folder, 4 + kills, seconds - now)
            next_kill = now + rng.uniform(0.02, 0.15)
        if rng.random() < 0.1:
            damage_one(folder, rng)
        time.sleep(0.003)
    for job in jobs:
        job.join(60)
        assert job.exitcode == 0
    assert kills >= 10
    fill(BlockCache(folder, BOUND), *(f"t-{number}" for number in range(10)))
    assert_sound(folder)
    assert unfinished(folder) == []
    assert bytes_in(folder) == BOUND


def damage_one(folder: Path, rng: random.Random) -> None:
    """Overwrites some bytes of a block, as a rotting disk does: its size stays."""
    with hold(f"{folder}/.ledger", 60):  # nothing is evicted meanwhile
        for path in sorted(folder.glob("*/*.block"))[:1]:
            with path.open("r+b", buffering=0) as file:
                os.pwrite(file.fileno(), rng.randbytes(8), rng.randrange(BLOCK_BYTES))
