"""Damaged and undecodable pictures with on_bad_sample="skip": a counted gap, and everybody else's order and crops."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.augmentation import Augmentation
from pipelines.bad_samples import TooManyBadSamplesError
from pipelines.dali_graph import CropGraph
from pipelines.samples import annotated_samples
from sharding.dataset import BrokenShardError, open_dataset
from sharding.storage import Folder

pytestmark = pytest.mark.timeout(120)

EVERYTHING = Augmentation(0.35, 45, 0.6, 0.5, 0.3, translation_factor=0.1)
EXACT = ("crops", "keypoints", "visibility", "image_to_crop", "instance_ids", "image_ids", "box_areas")


@pytest.fixture
def copied(mini_shards, tmp_path):
    """A copy of the mini split that may be damaged."""
    shutil.copytree(mini_shards("coco"), tmp_path / "split")
    return open_dataset(tmp_path / "split")


def tar_of(split, image_row):
    shard = split.image_column("offset").shard_of(np.array([image_row]))[0]
    return Path(split.folder.path) / split.tar_name(int(shard))


def place_of(split, image_row):
    return (int(split.image_column(name).all()[image_row]) for name in ("offset", "size"))


def flip_a_byte(split, image_row):
    offset, size = place_of(split, image_row)
    data = bytearray(tar_of(split, image_row).read_bytes())
    data[offset + size // 2] ^= 255
    tar_of(split, image_row).write_bytes(data)
    return {image_row}


def truncate(split, image_row):
    """In the middle of a picture: it is lost, and so are those behind it in the same tar."""
    offset, size = place_of(split, image_row)
    tar_of(split, image_row).write_bytes(tar_of(split, image_row).read_bytes()[: offset + size // 2])
    shards = split.image_column("offset").shard_of(np.arange(split.num_images))
    return set(np.flatnonzero((shards == shards[image_row]) & (np.arange(split.num_images) >= image_row)).tolist())


def exchange(split, image_row):
    """Another shard's tar under this one's name."""
    other = next(
        path for path in sorted(tar_of(split, image_row).parent.glob("*.tar")) if path != tar_of(split, image_row)
    )
    size = tar_of(split, image_row).stat().st_size
    tar_of(split, image_row).write_bytes(other.read_bytes().ljust(size, b"\0")[:size])
    shards = split.image_column("offset").shard_of(np.arange(split.num_images))
    return set(np.flatnonzero(shards == shards[image_row]).tolist())


def require_all_but(batches, expected, lost_images):
    """The same batches, row by row, except that the rows of lost images count for nothing."""
    lost = 0
    assert len(batches) == len(expected)
    for batch, other in zip(batches, expected, strict=True):
        gone = torch.isin(other.image_ids, torch.tensor(sorted(lost_images))) & other.valid
        lost += int(gone.sum())
        assert torch.equal(batch.valid, other.valid & ~gone)
        assert not batch.visibility[gone].any()
        assert torch.equal(batch.instance_ids, other.instance_ids)
        for name in EXACT:
            assert torch.equal(getattr(batch, name)[batch.valid], getattr(other, name)[batch.valid]), name
    return lost


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("prefetch", [1, 3])
@pytest.mark.parametrize("damage", [flip_a_byte, truncate, exchange])
def test_damage_is_left_out_counted_and_reported(
    copied, mini_coco, make_annotated_loader, monkeypatch, damage, prefetch, remote
):
    rows = damage(copied, image_row=10)
    lost_images = set(copied.image_column("image_id").all()[sorted(rows)].tolist())
    options = {"augmentation": EVERYTHING, "batch_size": 5, "prefetch": prefetch, "epochs": 2, "window": 8}
    clean = make_annotated_loader(mini_coco, **options)
    expected = [batch for _ in range(2) for batch in clean]
    if remote:
        monkeypatch.setattr(Folder, "local", property(lambda folder: None))
        copied = open_dataset(copied.folder.path)
    loader = make_annotated_loader(copied, on_bad_sample="skip", max_bad_share=1.0, **options)
    lost = require_all_but([batch for _ in range(2) for batch in loader], expected, lost_images)
    assert lost == 2 * loader.bad_samples.count > 0
    keys = [key for sidecar in copied.sidecars for key in sidecar.column("key").to_pylist()]
    trainable = {keys[row] for row in rows & set(annotated_samples(copied).image_rows.tolist())}
    assert {location.rsplit(": ", 1)[1] for location in loader.bad_samples.reasons} == trainable
    assert all(tar_of(copied, 10).name in location for location in loader.bad_samples.reasons)


def test_a_tar_that_is_gone_is_left_out_whole(copied, mini_coco, make_annotated_loader):
    tar_of(copied, 10).unlink()
    loader = make_annotated_loader(copied, on_bad_sample="skip", max_bad_share=1.0, batch_size=4, epochs=1)
    list(loader)
    assert all("is missing" in reason for reason in loader.bad_samples.reasons.values())
    assert loader.bad_samples.count > 1


def test_too_many_are_an_error_that_says_so(copied, make_annotated_loader):
    flip_a_byte(copied, image_row=10)
    samples = len(annotated_samples(copied))
    persons = int((annotated_samples(copied).image_rows == 10).sum())
    assert persons
    enough = (persons + 0.5) / samples
    list(make_annotated_loader(copied, on_bad_sample="skip", max_bad_share=enough, batch_size=4))
    loader = make_annotated_loader(copied, on_bad_sample="skip", max_bad_share=enough - 1 / samples, batch_size=4)
    with pytest.raises(TooManyBadSamplesError, match=rf"{persons} of {samples} samples .*max_bad_share.*crc32"):
        list(loader)


def test_a_bad_picture_counts_once_however_often_it_comes(copied, make_annotated_loader):
    flip_a_byte(copied, image_row=10)
    loader = make_annotated_loader(copied, on_bad_sample="skip", max_bad_share=0.2, batch_size=4, shuffle="instance")
    for _ in range(5):
        list(loader)
    assert loader.bad_samples.count == int((annotated_samples(copied).image_rows == 10).sum())
    assert len(loader.bad_samples.reasons) == 1


@pytest.fixture(scope="module")
def greys(write_split, painted, encode):
    """Twenty pictures of a grey of their own, one person each; five cannot be decoded, and conversion did not look."""
    pictures = []
    for number in range(20):
        kind = "PNG" if number in UNDECODABLE else "JPEG"  # half a JPEG would decode to half a picture
        data = encode(np.full((48, 64, 3), 10 * number, dtype=np.uint8), kind)
        data = data[: len(data) // 2] if number in UNDECODABLE else data
        pictures.append(painted(data, (48, 64), [([0, 0, 64, 48], np.tile([9.0, 9.0, 2.0], (17, 1)))]))
    return write_split(pictures, check_images=False)


UNDECODABLE = (3, 7, 8, 9, 17)


@pytest.mark.parametrize("prefetch", [1, 2, 4])
@pytest.mark.parametrize("batch_size", [1, 4, 20])
def test_undecodable_pictures_are_left_out_one_by_one(greys, make_annotated_loader, device, batch_size, prefetch):
    """Several in one batch, several batches in flight: nobody else's pixels move."""
    loader = make_annotated_loader(
        greys, batch_size=batch_size, shuffle="none", prefetch=prefetch, crop_size=(48, 64), device=device,
        on_bad_sample="skip", max_bad_share=0.5,
    )  # fmt: skip
    for _ in range(2):
        batches = list(loader)
        ids = torch.cat([batch.image_ids for batch in batches])
        valid = torch.cat([batch.valid for batch in batches])
        crops = torch.cat([batch.crops for batch in batches]).cpu()
        assert ids.tolist() == [100 + number for number in range(20)]
        assert [number for number in range(20) if not valid[number]] == list(UNDECODABLE)
        middle = crops[:, 0, 24, 32].double()
        assert (middle[valid] - 10 * (ids[valid] - 100)).abs().max() <= 1
        assert not crops[~valid].any()
    assert loader.bad_samples.count == len(UNDECODABLE)
    reasons = loader.bad_samples.reasons.values()
    assert all("cannot be decoded: " in reason and "Critical error" not in reason for reason in reasons)


def test_an_undecodable_picture_stops_by_default_and_is_named(greys, make_annotated_loader):
    loader = make_annotated_loader(greys, batch_size=4, shuffle="none", crop_size=(48, 64))
    got = []
    with pytest.raises(BrokenShardError, match=r"split-000000.tar: 000000000103: cannot be decoded"):
        got.extend(loader)
    assert not got
    assert loader.state_dict()["step"] == 0


def test_a_failure_of_the_graph_itself_is_not_blamed_on_a_picture(make_loader, monkeypatch):
    run, calls = CropGraph.run, iter(range(1000))

    def failing(graph):
        outputs = run(graph)
        if next(calls) >= 1:
            raise RuntimeError("out of memory")
        return outputs

    monkeypatch.setattr(CropGraph, "run", failing)
    loader = make_loader(batch_size=8, on_bad_sample="skip", max_bad_share=1.0)
    with pytest.raises(RuntimeError, match="step 1: the graph fails: out of memory"):
        list(loader)
    assert not loader.bad_samples.count


def test_a_graph_that_failed_for_once_is_replaced(make_loader, monkeypatch):
    """Nothing is blamed and nothing is lost, whatever state the failure left it in."""
    expected = list(make_loader(batch_size=8, seed=1))
    run, failed = CropGraph.run, []

    def failing(graph):
        outputs = run(graph)
        if graph in failed or (len(failed) < 2 and calls.pop()):
            failed.append(graph)
            raise RuntimeError("once broken, always broken")
        return outputs

    calls = [False] * 50 + [True, False, True, False]
    monkeypatch.setattr(CropGraph, "run", failing)
    loader = make_loader(batch_size=8, seed=1, on_bad_sample="skip")
    for batch, other in zip(list(loader), expected, strict=True):
        assert torch.equal(batch.crops, other.crops)
        assert torch.equal(batch.valid, other.valid)
    assert len(set(map(id, failed))) == 2
    assert not loader.bad_samples.count
