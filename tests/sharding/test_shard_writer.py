"""One shard's files: checksums and offsets, however far hashing lags behind, and nothing visible before its end."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from sharding.records import ImageRecord, Rejection
from sharding.schema import StoredImage, sidecar_schema
from sharding.shard_writer import write_shard
from sharding.storage import open_folder
from sharding.tar_format import tar_header, tar_padding
from sharding.tar_piece import TarPiece


def piece(number: int) -> TarPiece:
    """One picture of 700 bytes."""
    name, data = f"{number:012d}", bytes([number]) * 700
    stored = StoredImage(name, "jpg", 4, 3, 512, len(data), 0)
    content = tar_header(f"{name}.jpg", len(data)) + data + tar_padding(len(data))
    return TarPiece(content, [(ImageRecord(number, f"{number}.jpg"), stored)], [])


class LastMoment(ThreadPoolExecutor):
    """Does everything only when its result is asked for."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> SimpleNamespace:
        return SimpleNamespace(result=lambda: function(*arguments))


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def test_checksums_are_of_the_files_however_slow_hashing_is(tmp_path: Path, scratch: Path) -> None:
    pieces = [piece(number) for number in range(9)]
    shard = write_shard(open_folder(tmp_path), "a-000000", pieces, sidecar_schema(17, {}), scratch, LastMoment())()
    assert shard is not None
    tar, sidecar = (tmp_path / "a-000000.tar").read_bytes(), (tmp_path / "a-000000.arrow").read_bytes()
    assert (shard.images, shard.tar_bytes, shard.sidecar_bytes) == (9, len(tar), len(sidecar))
    assert shard.tar_sha256 == hashlib.sha256(tar).hexdigest()
    assert shard.sidecar_sha256 == hashlib.sha256(sidecar).hexdigest()
    offsets = pa.ipc.open_file(sidecar).read_all().column("offset").to_pylist()
    assert [tar[offset : offset + 700] for offset in offsets] == [bytes([number]) * 700 for number in range(9)]


def test_nothing_is_visible_before_the_end(tmp_path: Path, scratch: Path) -> None:
    with ThreadPoolExecutor(1) as hasher:
        finish = write_shard(open_folder(tmp_path), "a", [piece(1)], sidecar_schema(17, {}), scratch, hasher)
        assert [path.name for path in tmp_path.iterdir()] == ["scratch"]
        finish()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.arrow", "a.tar", "scratch"]
    assert not list(scratch.iterdir())


def test_without_pictures_there_is_no_shard(tmp_path: Path, scratch: Path) -> None:
    empty = TarPiece(b"", [], [Rejection("image", "x.jpg", 1, "none")])
    with ThreadPoolExecutor(1) as hasher:
        finish = write_shard(open_folder(tmp_path), "a", [empty, empty], sidecar_schema(17, {}), scratch, hasher)
        assert finish() is None
    assert [path.name for path in tmp_path.iterdir()] == ["scratch"]
