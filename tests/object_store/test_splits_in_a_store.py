"""Whole splits in an object store: conversion, opening, verifying, webdataset, with and without faults."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import webdataset
from object_store.faults import CutOff, Fault, Request, Reset, Shorter, Stall, Status, at_rate
from object_store.store import ObjectStore

from sharding.convert import ConversionSettings, convert
from sharding.dataset import ShardedDataset, open_dataset
from sharding.raw import read_raw
from sharding.retry import RetryPolicy, StorageError
from sharding.storage import open_folder
from sharding.synthetic import SyntheticFiles
from sharding.testing import MINI_SHARD_BYTES
from sharding.verify import verify
from sharding.webdataset_view import as_webdataset

QUICK = RetryPolicy(attempts=6, first_wait_s=0.01, longest_wait_s=0.1, timeout_s=0.7)
FAULTS = [Reset(5_000), CutOff(9_000), Shorter(1), Status(503), Stall(30)]
Raw = Callable[[str], SyntheticFiles]
Shards = Callable[[str], Path]

CONVERT = """
import sys
from pathlib import Path
from sharding.convert import ConversionSettings, convert
from sharding.raw import read_raw
from sharding.storage import open_folder

annotations, images, uri, shard_bytes = sys.argv[1:]
settings = ConversionSettings(Path(images), "mini", shard_bytes=int(shard_bytes))
convert(read_raw("coco", Path(annotations), "mini"), open_folder(uri), settings)
"""


def convert_mini(files: SyntheticFiles, uri: str) -> None:
    settings = ConversionSettings(files.images, "mini", shard_bytes=MINI_SHARD_BYTES)
    convert(read_raw("coco", files.annotations, "mini"), open_folder(uri, QUICK), settings)


def stored(store: ObjectStore, path: str) -> dict[str, bytes]:
    return {name.removeprefix(f"{path}/"): store.get(name) for name in store.names(f"{path}/")}


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_conversion_gives_the_same_bytes_as_locally(
    object_store: ObjectStore, mini_raw: Raw, mini_shards: Shards
) -> None:
    convert_mini(mini_raw("coco"), object_store.uri("shards/mini"))
    assert {name: data for name, data in stored(object_store, "shards/mini").items() if name} == files_of(
        mini_shards("coco")
    )
    assert verify(open_folder(object_store.uri("shards/mini"))) == []


def test_conversion_through_faults_of_every_request(
    object_store: ObjectStore, mini_raw: Raw, mini_shards: Shards
) -> None:
    asked = 0

    def every_fifth(request: Request) -> Fault | None:
        nonlocal asked
        asked += 1
        return [Status(503), Reset(0)][asked // 5 % 2] if asked % 5 == 0 else None

    object_store.proxy.script = every_fifth
    convert_mini(mini_raw("coco"), object_store.uri("shards/mini"))
    assert len(object_store.proxy.faults) == 2
    assert {name: data for name, data in stored(object_store, "shards/mini").items() if name} == files_of(
        mini_shards("coco")
    )


@pytest.mark.parametrize("at_upload", [0, pytest.param(3, marks=pytest.mark.slow), 7])
def test_a_killed_conversion_shows_nothing_half_and_resumes(
    object_store: ObjectStore, mini_raw: Raw, mini_shards: Shards, at_upload: int
) -> None:
    """Killed while an upload is under way: its bytes are sent, its answer has not come."""
    reference, files = files_of(mini_shards("coco")), mini_raw("coco")
    arrived, uploads = threading.Event(), []

    def hold(request: Request) -> Fault | None:
        if request.method == "PUT" and request.key.endswith((".tar", ".arrow", ".json")):
            uploads.append(request.key)
        if len(uploads) <= at_upload:
            return None
        arrived.set()
        return Stall(60)

    object_store.proxy.script = hold
    arguments = [str(files.annotations), str(files.images), object_store.uri("shards/mini"), str(MINI_SHARD_BYTES)]
    process = subprocess.Popen(
        [sys.executable, "-c", CONVERT, *arguments], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert arrived.wait(60)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    for name, data in stored(object_store, "shards/mini").items():
        if name.endswith((".tar", ".arrow", ".jsonl")) or name == "manifest.json":
            assert data == reference[name]
    assert "shards/mini/manifest.json" not in object_store.names()

    object_store.proxy.script = lambda request: None
    object_store.proxy.reset_counts()
    convert_mini(files, object_store.uri("shards/mini"))
    assert {name: data for name, data in stored(object_store, "shards/mini").items() if name} == reference
    tars = {
        request.key for request in object_store.proxy.log if request.key.endswith(".tar") and request.method == "PUT"
    }
    assert len(tars) == sum(name.endswith(".tar") for name in reference) - at_upload // 3


def test_an_upload_that_is_killed_in_the_middle_is_not_visible(object_store: ObjectStore, tmp_path: Path) -> None:
    """Of several parts, the first of which have arrived."""
    program = (
        "import sys; from pathlib import Path; from sharding.storage import open_folder\n"
        "with open_folder(sys.argv[1]).write('big.bin', Path(sys.argv[2])) as file: file.write(bytes(40_000_000))\n"
    )
    arrived = threading.Event()

    def hold(request: Request) -> Fault | None:
        if "partNumber=3" in request.query:
            arrived.set()
        return Stall(60) if "partNumber=3" in request.query else None

    object_store.proxy.script = hold
    process = subprocess.Popen(
        [sys.executable, "-c", program, object_store.uri("folder"), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert arrived.wait(60)
    process.kill()
    process.wait()
    assert any("partNumber=1" in request.query for request in object_store.proxy.log)
    assert object_store.names() == []


def test_opening_and_verifying_through_faults(object_store: ObjectStore, mini_shards: Shards) -> None:
    uri = object_store.put_folder(mini_shards("coco"), "shards/mini")
    local = open_dataset(mini_shards("coco"))
    object_store.proxy.script = at_rate(0.3, FAULTS[:-1], seed=2)
    remote = open_dataset(uri)
    assert remote.manifest == local.manifest
    assert all(one.equals(other) for one, other in zip(remote.sidecars, local.sidecars, strict=True))
    assert verify(open_folder(uri, QUICK)) == []
    assert object_store.proxy.faults.total() >= 3


def test_opening_costs_few_requests(object_store: ObjectStore, mini_shards: Shards) -> None:
    uri = object_store.put_folder(mini_shards("coco"), "shards/mini")
    dataset = open_dataset(uri)
    assert object_store.proxy.requests <= 3 * (1 + len(dataset.manifest.shards))


def test_damage_is_found_in_the_store(object_store: ObjectStore, mini_shards: Shards) -> None:
    uri = object_store.put_folder(mini_shards("coco"), "shards/mini")
    tar = open_dataset(uri).tar_name(0)
    content = bytearray(object_store.get(f"shards/mini/{tar}"))
    content[3_000] ^= 1
    object_store.put(f"shards/mini/{tar}", bytes(content))
    assert any(tar in problem and "sha256" in problem for problem in verify(open_folder(uri)))


def samples(dataset: ShardedDataset, **options: Any) -> dict[str, tuple[bytes, dict]]:
    return {one["__key__"]: (one["jpg"], one["annotations"]) for one in as_webdataset(dataset, **options)}


def test_webdataset_reads_a_remote_split_through_faults(
    object_store: ObjectStore, mini_shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shell(*args: object, **options: object) -> None:
        raise AssertionError("webdataset opened a URL by itself")

    uri = object_store.put_folder(mini_shards("crowdpose"), "shards/mini")
    local = samples(open_dataset(mini_shards("crowdpose")))
    monkeypatch.setattr(sys.modules["webdataset.gopen"], "gopen", shell)
    monkeypatch.setattr("subprocess.Popen", shell)
    opened = open_dataset(uri)
    remote = ShardedDataset(open_folder(uri, QUICK), opened.manifest, opened.sidecars)
    object_store.proxy.script = at_rate(0.3, FAULTS, seed=5)
    assert samples(remote) == local
    assert samples(remote, shardshuffle=100) == local
    assert list(samples(remote)) == list(local)
    assert object_store.proxy.faults.total() >= 3
    batches = list(as_webdataset(remote).to_tuple("__key__", "annotations").batched(5))
    assert [len(keys) for keys, _ in batches] == [5, 5, 5, 1]


def test_webdataset_splits_by_node_and_worker(
    object_store: ObjectStore, mini_shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = open_dataset(object_store.put_folder(mini_shards("coco"), "shards/mini"))
    everything, parts = samples(remote), []
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        parts.append(samples(remote, nodesplitter=webdataset.split_by_node, empty_check=False))
    assert parts[0] | parts[1] == everything
    assert len(parts[0]) + len(parts[1]) == len(everything) > len(parts[0]) > 0


def test_webdataset_in_forked_workers(object_store: ObjectStore, mini_shards: Shards) -> None:
    """The parent's connections must not be used by its children."""
    remote = open_dataset(object_store.put_folder(mini_shards("coco"), "shards/mini"))
    everything = samples(remote)
    pipeline = as_webdataset(remote).to_tuple("__key__", "jpg", "annotations")
    for _ in range(3):
        loader = torch.utils.data.DataLoader(pipeline, num_workers=2, batch_size=None)
        assert {key: (jpg, row) for key, jpg, row in loader} == everything


def test_webdataset_reports_what_it_cannot_read(object_store: ObjectStore, mini_shards: Shards) -> None:
    uri = object_store.put_folder(mini_shards("coco"), "shards/mini")
    dataset = open_dataset(uri)
    broken = ShardedDataset(open_folder(uri, RetryPolicy(2, 0, 0, 2)), dataset.manifest, dataset.sidecars)
    first = dataset.manifest.shards[0]

    def refuse_the_first(request: Request) -> Fault | None:
        return Status(503) if request.key.endswith(first.tar) else None

    object_store.proxy.script = refuse_the_first
    with pytest.raises(StorageError, match=r"cannot open .*mini-000000\.tar.*2 attempts in .*503"):
        list(as_webdataset(broken))
    left = list(as_webdataset(broken, handler=webdataset.ignore_and_continue))
    assert len(left) == dataset.num_images - first.images
    assert list(as_webdataset(broken, handler=webdataset.ignore_and_stop, empty_check=False)) == []
