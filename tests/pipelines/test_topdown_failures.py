"""Damaged shards, undecodable pictures, closing at any moment: errors that name the place, and no hanging threads."""

import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines import topdown_batch
from pipelines.samples import annotated_samples
from pipelines.topdown import TopDownLoader, TopDownSettings
from sharding.dataset import BrokenShardError, open_dataset

pytestmark = pytest.mark.timeout(60)

BATCH_SIZE = 3


@pytest.fixture
def copied(mini_shards, tmp_path):
    """A copy of the mini split that may be damaged, with `None` for nothing."""
    shutil.copytree(mini_shards("coco"), tmp_path / "split")
    return open_dataset(tmp_path / "split")


def flip_a_byte(split, image_row):
    """In the middle of one picture; its key."""
    offset, size = (int(split.image_column(name).all()[image_row]) for name in ("offset", "size"))
    path = tar_of(split, image_row)
    data = bytearray(path.read_bytes())
    data[offset + size // 2] ^= 255
    path.write_bytes(data)
    return image_row


def truncate(split, image_row):
    path = tar_of(split, image_row)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return first_row_of_shard(split, image_row)


def remove(split, image_row):
    tar_of(split, image_row).unlink()
    return first_row_of_shard(split, image_row)


def tar_of(split, image_row):
    shard = split.image_column("offset").shard_of(np.array([image_row]))[0]
    return Path(split.folder.path) / split.tar_name(int(shard))


def first_row_of_shard(split, image_row):
    shards = split.image_column("offset").shard_of(np.arange(split.num_images))
    return int(np.flatnonzero(shards == shards[image_row])[0])


@pytest.mark.parametrize("prefetch", [1, 2, 4])
@pytest.mark.parametrize("damage", [flip_a_byte, truncate, remove])
def test_good_batches_come_first_then_an_error_that_names_shard_and_key(
    copied, mini_coco, make_annotated_loader, damage, prefetch
):
    bad_row = damage(copied, image_row=10)
    keys = [key for sidecar in copied.sidecars for key in sidecar.column("key").to_pylist()]
    rows = annotated_samples(copied).image_rows
    good = int(np.flatnonzero(rows >= bad_row)[0]) // BATCH_SIZE
    assert good > 2
    options = {"batch_size": BATCH_SIZE, "shuffle": "none", "prefetch": prefetch}
    expected = list(make_annotated_loader(mini_coco, **options, epochs=1))[:good]
    loader, got = make_annotated_loader(copied, **options), []
    message = rf"{tar_of(copied, 10).name}: {keys[rows[rows >= bad_row][0]]}"
    with pytest.raises(BrokenShardError, match=message):
        got.extend(loader)  # extend keeps what came before the error
    for batch, other in zip(got, expected, strict=True):
        assert torch.equal(batch.crops, other.crops)
        assert torch.equal(batch.instance_ids, other.instance_ids)
    assert loader.state_dict()["step"] == good
    with pytest.raises(BrokenShardError, match=message):  # again, at once, not for ever
        next(iter(loader))
    assert not reader_threads()


def test_a_restored_shard_is_read_again(copied, mini_shards, make_annotated_loader):
    path = tar_of(copied, 0)
    path.unlink()
    loader = make_annotated_loader(copied, batch_size=BATCH_SIZE)
    with pytest.raises(BrokenShardError, match="is missing"):
        list(loader)
    shutil.copy(mini_shards("coco") / path.name, path)
    remaining = len(loader) - loader.step
    assert len(list(loader)) == remaining > 0


def broken_picture_split(write_split, painted, encode):
    """Ten pictures of their own grey, one person each; the sixth ends in the middle, and conversion did not look."""
    pictures = []
    for number in range(10):
        data = encode(np.full((48, 64, 3), 20 * number, dtype=np.uint8), "PNG")
        data = data[: len(data) // 2] if number == 5 else data
        pictures.append(painted(data, (48, 64), [([0, 0, 64, 48], np.tile([9.0, 9.0, 2.0], (17, 1)))]))
    return write_split(pictures, check_images=False)


@pytest.mark.parametrize("prefetch", [1, 2, 3])
def test_an_undecodable_picture_never_puts_labels_beside_other_pixels(
    write_split, painted, encode, make_annotated_loader, prefetch
):
    """The graph loses the batch, so what was in flight behind it must not be handed out as if nothing had happened."""
    split = broken_picture_split(write_split, painted, encode)
    loader = make_annotated_loader(split, batch_size=2, shuffle="none", prefetch=prefetch, crop_size=(48, 64))
    seen = []
    for _ in range(3):
        with pytest.raises(BrokenShardError, match=r"split-000000.tar: 000000000105: cannot be decoded"):
            seen.extend(loader)
    assert [batch.image_ids.tolist() for batch in seen] == [[100, 101], [102, 103]]
    loader.load_state_dict({"step": 3})  # behind it
    seen.extend(loader)
    for batch in seen:
        greys = batch.crops[:, 0, 24, 32].double() / 20 + 100
        assert greys.tolist() == batch.image_ids.tolist()
    assert loader.state_dict()["step"] == 5


def test_an_error_while_preparing_reaches_the_consumer(make_loader, monkeypatch):
    loader = make_loader(batch_size=4)
    prepare = loader.maker.make

    calls = iter(range(100))

    def failing(share):
        if next(calls) == 3:
            raise ZeroDivisionError("step three")
        return prepare(share)

    monkeypatch.setattr(loader.maker, "make", failing)
    got = []
    with pytest.raises(ZeroDivisionError, match="step three"):
        got.extend(loader)
    assert len(got) == 3


def test_reading_past_the_planned_epochs_is_an_error_not_a_wait(make_loader):
    loader = make_loader(epochs=2)
    assert [len(list(loader)) for _ in range(2)] == [len(loader)] * 2
    with pytest.raises(RuntimeError, match=f"end before step {2 * len(loader)}"):
        list(loader)


def test_the_reader_ends_with_the_planned_epochs(make_loader):
    loader = make_loader(epochs=1)
    list(loader)
    wait_until(lambda: not reader_threads())
    assert not reader_threads()


def test_closing_at_any_moment_returns_at_once(make_loader):
    for consumed in (0, 1, 3):
        for prefetch in (1, 2, 6):
            loader = make_loader(batch_size=4, prefetch=prefetch)
            for _, _ in zip(range(consumed), loader, strict=False):
                pass
            started = time.perf_counter()
            loader.close()
            loader.close()  # a second time does nothing
            assert time.perf_counter() - started < 5
            assert not reader_threads()


def test_a_closed_loader_goes_on(make_loader):
    options = {"batch_size": 4, "seed": 1}
    expected = [batch.instance_ids.tolist() for batch in make_loader(**options)]
    loader, got = make_loader(**options), []
    while loader.step < len(loader):
        got.append(next(iter(loader)).instance_ids.tolist())
        loader.close()
    assert got == expected


def test_a_graph_that_cannot_be_built_leaves_no_thread(make_loader, monkeypatch):
    def refuse(*args, **kwargs):
        raise RuntimeError("no such device")

    monkeypatch.setattr(topdown_batch, "CropGraph", refuse)
    with pytest.raises(RuntimeError, match="no such device"):
        next(iter(make_loader()))
    assert not reader_threads()


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="native threads are counted in Linux's /proc")
def test_no_threads_are_left_behind(make_loader):
    """Python's and the graph's own: twenty loaders made, read and closed."""
    before = None
    for _ in range(20):
        loader = make_loader(batch_size=8)
        next(iter(loader))
        loader.close()
        del loader
        before = before or (threading.active_count(), native_threads())
    assert threading.active_count() <= before[0]
    wait_until(lambda: native_threads() <= before[1] + 2)


def native_threads():
    return len(os.listdir("/proc/self/task"))


def reader_threads():
    return [thread for thread in threading.enumerate() if thread.name == "posestream-reader"]


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_loader_that_is_dropped_without_closing_leaves_no_thread(mini_coco):
    loader = TopDownLoader(annotated_samples(mini_coco), TopDownSettings((32, 24), 4))
    next(iter(loader))
    assert reader_threads()
    del loader
    assert not reader_threads()
