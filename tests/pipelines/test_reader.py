"""Encoded pictures at the sidecars' offsets, local and remote, checked against their crc32."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines.reader import PictureReader
from sharding.dataset import BrokenShardError, open_dataset
from sharding.storage import Folder


@pytest.fixture
def copied(mini_shards, tmp_path):
    """A copy of the mini split that may be damaged."""
    shutil.copytree(mini_shards("coco"), tmp_path / "split")
    return open_dataset(tmp_path / "split")


def key_of(split, row):
    return [key for sidecar in split.sidecars for key in sidecar.column("key").to_pylist()][row]


def test_reads_the_original_bytes_in_any_order(mini_coco, mini_raw):
    names = [name for sidecar in mini_coco.sidecars for name in sidecar.column("file_name").to_pylist()]
    images: Path = mini_raw("coco").images
    rows = np.array([11, 0, 15, 0, 7])
    for row, data in zip(rows, PictureReader(mini_coco).encoded(rows), strict=True):
        assert data.tobytes() == (images / names[row]).read_bytes()


def test_remote_folders_give_the_same_bytes(mini_coco, mini_shards, monkeypatch):
    rows = np.arange(mini_coco.num_images)
    local = [data.tobytes() for data in PictureReader(mini_coco).encoded(rows)]
    monkeypatch.setattr(Folder, "local", property(lambda folder: None))
    remote = open_dataset(mini_shards("coco"))
    assert remote.folder.local is None
    assert [data.tobytes() for data in PictureReader(remote).encoded(rows)] == local


@pytest.mark.parametrize("row", [0, 5, 9, 15])
@pytest.mark.parametrize("remote", [False, True])
def test_a_flipped_bit_is_found_and_named(copied, monkeypatch, row, remote):
    if remote:
        monkeypatch.setattr(Folder, "local", property(lambda folder: None))
    offset, size = (int(copied.image_column(name).all()[row]) for name in ("offset", "size"))
    shard = int(copied.image_column("offset").shard_of(np.array([row]))[0])
    tar = Path(copied.folder.path) / copied.tar_name(shard)
    data = bytearray(tar.read_bytes())
    data[offset + size - 1] ^= 1
    tar.write_bytes(data)
    reader = PictureReader(copied)
    reader.encoded(np.setdiff1d(np.arange(16), [row]))  # the others are intact
    with pytest.raises(BrokenShardError, match=rf"{tar.name}.*{key_of(copied, row)}.*crc32"):
        reader.encoded(np.array([row]))


@pytest.mark.parametrize("remote", [False, True])
def test_truncated_and_missing_shards_are_named_with_the_wanted_key(copied, monkeypatch, remote):
    if remote:
        monkeypatch.setattr(Folder, "local", property(lambda folder: None))
    shards = copied.image_column("offset").shard_of(np.arange(16))
    truncated, missing = (int(np.flatnonzero(shards == shard)[0]) for shard in (1, 2))
    tars = [Path(copied.folder.path) / copied.tar_name(shard) for shard in (1, 2)]
    tars[0].write_bytes(tars[0].read_bytes()[:-1])
    tars[1].unlink()
    reader = PictureReader(copied)
    with pytest.raises(BrokenShardError, match=rf"{tars[0].name}.*{key_of(copied, truncated)}.*bytes, the manifest"):
        reader.encoded(np.array([0, truncated]))
    with pytest.raises(BrokenShardError, match=rf"{tars[1].name}.*{key_of(copied, missing)}.*missing"):
        reader.encoded(np.array([missing]))
    assert len(reader.encoded(np.array([0]))) == 1
