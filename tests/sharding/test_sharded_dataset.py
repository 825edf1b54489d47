"""Columns over all shards behave as one array; rows and ids lead to one another."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharding.dataset import Column, ShardedDataset, open_dataset
from sharding.manifest import Manifest
from sharding.statistics import statistics

Row = dict[str, Any]


def rows(dataset: ShardedDataset) -> list[Row]:
    return [row for sidecar in dataset.sidecars for row in sidecar.to_pylist()]


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=6),
    shape=st.sampled_from([(), (4,), (2, 3)]),
    data=st.data(),
)
def test_take_is_indexing(lengths: list[int], shape: tuple[int, ...], data: st.DataObject) -> None:
    total = sum(lengths)
    values = np.arange(total * int(np.prod(shape, dtype=int)), dtype=np.float64).reshape(total, *shape)
    column = Column(np.split(values, np.cumsum(lengths)[:-1]))
    indices = st.lists(st.integers(0, total - 1), max_size=12) if total else st.just([])
    chosen = np.array(data.draw(indices), dtype=np.int64)
    taken = column.take(chosen)
    assert len(column) == total
    assert np.array_equal(taken, values[chosen])
    assert np.array_equal(column.all(), values)
    assert not np.shares_memory(taken, values)
    naive = np.repeat(np.arange(len(lengths)), lengths)
    assert column.shard_of(chosen).tolist() == naive[chosen].tolist()


@pytest.mark.parametrize("row", [-1, -3, 5, 100])
def test_rows_outside_are_refused(row: int) -> None:
    column = Column([np.arange(3), np.arange(2)])
    with pytest.raises(IndexError):
        column.take(np.array([0, row]))


def test_columns_agree_with_the_rows(mini_coco: ShardedDataset) -> None:
    expected = rows(mini_coco)
    persons = [person for row in expected for person in row["instances"]]
    for name in ("image_id", "width", "height", "offset", "size", "crc32"):
        assert mini_coco.image_column(name).all().tolist() == [row[name] for row in expected]
    for name in ("instance_id", "box_xywh", "keypoints", "num_keypoints", "area", "iscrowd"):
        assert mini_coco.instance_column(name).all().tolist() == [person[name] for person in persons]
    counts = [len(row["instances"]) for row in expected]
    assert mini_coco.instance_counts.tolist() == counts
    assert mini_coco.instance_images.tolist() == np.repeat(np.arange(len(expected)), counts).tolist()
    assert mini_coco.num_images == len(expected)


def test_missing_values_are_nan(
    write_coco: Callable[..., Path],
    person: Callable[..., Row],
    jpeg: Callable[..., bytes],
    tmp_path: Path,
    to_shards: Callable[..., Manifest],
) -> None:
    images = [{"id": k, "file_name": f"{k}.jpg", "crowdIndex": 0.5 if k == 2 else None} for k in (1, 2, 3)]
    for image in images:
        (tmp_path / str(image["file_name"])).write_bytes(jpeg())
    persons = [person(id=1, image_id=1, area=7), person(id=2, image_id=1, area=...), person(id=3, image_id=3)]
    to_shards((write_coco(images, persons), tmp_path), tmp_path / "out", shard_bytes=1)
    dataset = open_dataset(tmp_path / "out")
    assert len(dataset.sidecars) == 3
    assert np.array_equal(dataset.instance_column("area").all(), [7, np.nan, 431.5], equal_nan=True)
    assert np.array_equal(dataset.image_column("crowd_index").all(), [np.nan, 0.5, np.nan], equal_nan=True)
    assert np.isnan(dataset.instance_column("center").all()).all()
    assert dataset.instance_column("center").all().shape == (3, 2)
    assert dataset.instance_column("keypoints").all().shape == (3, 17, 3)
    assert dataset.instance_counts.tolist() == [2, 0, 1]
    assert statistics(dataset).empty_images == 1


def test_a_split_without_any_instance(
    write_coco: Callable[..., Path], jpeg: Callable[..., bytes], tmp_path: Path, to_shards: Callable[..., Manifest]
) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg())
    to_shards((write_coco([{"id": 1, "file_name": "a.jpg"}], []), tmp_path), tmp_path / "out")
    dataset = open_dataset(tmp_path / "out")
    assert dataset.instance_column("keypoints").all().shape == (0, 17, 3)
    assert dataset.trainable.shape == (0,)
    assert statistics(dataset).instances == 0


@pytest.mark.parametrize("name", ["center", "scale", "head_size"])
def test_mpii_values(mini_mpii: ShardedDataset, name: str) -> None:
    persons = [person for row in rows(mini_mpii) for person in row["instances"]]
    assert mini_mpii.instance_column(name).all().tolist() == [person[name] for person in persons]


def test_trainable_persons_have_keypoints_a_box_and_are_no_crowd(
    write_coco: Callable[..., Path],
    person: Callable[..., Row],
    jpeg: Callable[..., bytes],
    tmp_path: Path,
    to_shards: Callable[..., Manifest],
) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg())
    unlabelled = {"keypoints": [0] * 51, "num_keypoints": 0}
    changes: list[Row] = [{}, {"iscrowd": 1}, unlabelled, {"bbox": [1, 2, 0, 5]}, {"bbox": [1, 2, 5, -5]}, {"area": 0}]
    persons = [person(id=number, **change) for number, change in enumerate(changes)]
    to_shards((write_coco([{"id": 1, "file_name": "a.jpg"}], persons), tmp_path), tmp_path / "out")
    assert open_dataset(tmp_path / "out").trainable.tolist() == [True, False, False, False, False, True]


def test_image_rows_are_found_in_any_order(mini_crowdpose: ShardedDataset) -> None:
    ids = mini_crowdpose.image_column("image_id").all()
    order = np.random.default_rng(0).permutation(len(ids))
    assert mini_crowdpose.image_rows(ids[order]).tolist() == order.tolist()
    assert mini_crowdpose.image_rows(np.array([], dtype=np.int64)).tolist() == []
    assert mini_crowdpose.image_rows(ids[[3, 3]]).tolist() == [3, 3]


def test_ids_in_no_order_and_beyond_floats(
    write_coco: Callable[..., Path], jpeg: Callable[..., bytes], tmp_path: Path, to_shards: Callable[..., Manifest]
) -> None:
    ids = [2**53 + 1, 5, 2**53, 2**63 - 1]
    (tmp_path / "a.jpg").write_bytes(jpeg())
    images = [{"id": number, "file_name": "a.jpg"} for number in ids]
    to_shards((write_coco(images, []), tmp_path), tmp_path / "out")
    dataset = open_dataset(tmp_path / "out")
    assert dataset.image_column("image_id").all().tolist() == ids
    assert dataset.image_rows(np.array([5, 2**53, 2**53 + 1])).tolist() == [1, 2, 0]


@pytest.mark.parametrize("unknown", [-1, 0, 10**15])
def test_unknown_image_ids_are_named(mini_crowdpose: ShardedDataset, unknown: int) -> None:
    known = mini_crowdpose.image_column("image_id").all()[:2]
    with pytest.raises(KeyError, match=rf"has no images \[{unknown}\]"):
        mini_crowdpose.image_rows(np.array([known[0], unknown, known[1], unknown]))


@pytest.mark.parametrize("as_uri", [False, True])
def test_a_split_opens_by_path_and_by_uri(mini_coco: ShardedDataset, as_uri: bool) -> None:
    path = Path(mini_coco.folder.path)
    dataset = open_dataset(path.as_uri() if as_uri else path)
    assert dataset.manifest == mini_coco.manifest
    assert dataset.folder.local == path
