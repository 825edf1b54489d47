"""Shards one after the other: the disk is waited for while the next shard is written, and files do not pile up."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sharding.convert import ConversionSettings, convert
from sharding.raw import read_raw
from sharding.storage import StorageError, open_folder

Source = tuple[Path, Path]


def convert_small(source: Source, out: Path, on_images: Callable[[int], None]) -> None:
    settings = ConversionSettings(source[1], "mini", shard_bytes=20_480)
    convert(read_raw("coco", source[0], "mini"), open_folder(out), settings, on_images)


def test_the_next_shard_is_read_while_the_disk_is_waited_for(
    twenty_four: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first shard's tar reaches the disk only after pictures of the second one were read."""
    seen, second = [], threading.Event()

    def on_images(count: int) -> None:
        seen.append(count)
        if len(seen) == 2:
            second.set()

    monkeypatch.setattr("sharding.storage.os.fsync", lambda descriptor: second.wait(20) or pytest.fail("stuck"))
    convert_small(twenty_four, tmp_path / "out", on_images)
    assert len(seen) > 2


def test_a_slow_disk_does_not_let_unfinished_files_pile_up(
    twenty_four: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfinished = []
    monkeypatch.setattr("sharding.storage.os.fsync", lambda descriptor: time.sleep(0.01))
    work = tmp_path / "out" / ".conversion"
    convert_small(twenty_four, tmp_path / "out", lambda count: unfinished.append(len(list(work.glob("*.tar.partial")))))
    assert max(unfinished) <= 2


def test_a_disk_that_fails_late_stops_the_conversion(
    twenty_four: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("sharding.storage.os.fsync", fail)
    seen: list[int] = []
    with pytest.raises(StorageError, match=r"cannot write .*mini-000000\.tar: .*Input/output error"):
        convert_small(twenty_four, tmp_path / "out", seen.append)
    assert sum(seen) < 20
    assert not list((tmp_path / "out").rglob("*.tar*"))
