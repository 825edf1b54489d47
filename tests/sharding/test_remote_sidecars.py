"""Sidecars of a remote split lie in nameless files on the disk, not in memory."""

import tempfile

import numpy as np
import pyarrow as pa
import pytest

from sharding.dataset import open_dataset
from sharding.storage import Folder


@pytest.fixture
def remote(monkeypatch):
    monkeypatch.setattr(Folder, "local", property(lambda folder: None))


def test_their_columns_take_no_memory_of_arrows_pool(mini_shards, remote):
    held = pa.total_allocated_bytes()
    dataset = open_dataset(mini_shards("coco"))
    keypoints = dataset.instance_column("keypoints")
    assert pa.total_allocated_bytes() - held < 1000
    assert len(keypoints) == dataset.manifest.instances


def test_nothing_is_left_where_they_lie(mini_shards, remote, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dataset = open_dataset(mini_shards("coco"))
    assert not list(tmp_path.iterdir())
    assert dataset.trainable.any()


def test_without_room_there_they_stay_in_memory(mini_shards, mini_coco, remote, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no such folder"))
    dataset = open_dataset(mini_shards("coco"))
    for name in ("box_xywh", "keypoints"):
        np.testing.assert_array_equal(dataset.instance_column(name).all(), mini_coco.instance_column(name).all())
