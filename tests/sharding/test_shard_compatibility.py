"""Shards in the hands of other tools: tar, webdataset, DALI, pyarrow, pandas, DuckDB, pycocotools."""

import io
import subprocess
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import webdataset

from sharding.dataset import ShardedDataset, open_dataset
from sharding.synthetic import SyntheticFiles
from sharding.webdataset_view import as_webdataset

COLUMNS = [
    "key", "file_name", "extension", "image_id", "width", "height", "offset", "size", "crc32", "crowd_index",
    "crowd_regions", "instances",
]  # fmt: skip
INSTANCE = ["instance_id", "box_xywh", "area", "iscrowd", "keypoints", "num_keypoints", "center", "scale", "head_size"]


def tars(dataset: ShardedDataset) -> list[str]:
    return [str(Path(dataset.folder.path) / shard.tar) for shard in dataset.manifest.shards]


def sidecars(dataset: ShardedDataset) -> list[str]:
    return [str(Path(dataset.folder.path) / shard.sidecar) for shard in dataset.manifest.shards]


def rows(dataset: ShardedDataset) -> list[dict]:
    return [row for sidecar in dataset.sidecars for row in sidecar.to_pylist()]


def test_tar_lists_keys_and_extracts_the_bytes(
    mini_coco: ShardedDataset, mini_raw: Callable[[str], SyntheticFiles], tmp_path: Path
) -> None:
    for path, sidecar in zip(tars(mini_coco), mini_coco.sidecars, strict=True):
        listed = subprocess.run(["tar", "tf", path], check=True, capture_output=True, text=True).stdout.split()
        assert listed == [f"{row['key']}.{row['extension']}" for row in sidecar.to_pylist()]
        subprocess.run(["tar", "xf", path, "-C", str(tmp_path)], check=True)
    for row in rows(mini_coco):
        original = (mini_raw("coco").images / row["file_name"]).read_bytes()
        assert (tmp_path / f"{row['key']}.jpg").read_bytes() == original


@pytest.mark.parametrize("dataset", ["coco", "mpii", "crowdpose"])
def test_tars_are_those_that_webdataset_writes(
    mini_shards: Callable[[str], Path], mini_raw: Callable[[str], SyntheticFiles], dataset: str
) -> None:
    shards = open_dataset(mini_shards(dataset))
    assert len(tars(shards)) > 1
    for path, sidecar in zip(tars(shards), shards.sidecars, strict=True):
        stream = io.BytesIO()
        with webdataset.TarWriter(stream, encoder=False, mtime=0, user="", group="") as writer:
            for row in sidecar.to_pylist():
                picture = (mini_raw(dataset).images / row["file_name"]).read_bytes()
                writer.write({"__key__": row["key"], row["extension"]: picture})
        assert Path(path).read_bytes() == stream.getvalue()


def test_webdataset_reads_every_byte(mini_coco: ShardedDataset, mini_raw: Callable[[str], SyntheticFiles]) -> None:
    samples = list(webdataset.WebDataset(tars(mini_coco), shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == [row["key"] for row in rows(mini_coco)]
    for sample, row in zip(samples, rows(mini_coco), strict=True):
        assert sample["jpg"] == (mini_raw("coco").images / row["file_name"]).read_bytes()


@pytest.mark.parametrize("shuffle", [False, 100])
def test_the_webdataset_view_joins_the_annotations(mini_crowdpose: ShardedDataset, shuffle: int | bool) -> None:
    expected = {row["key"]: row for row in rows(mini_crowdpose)}
    samples = list(as_webdataset(mini_crowdpose, shardshuffle=shuffle))
    assert {sample["__key__"]: sample["annotations"] for sample in samples} == expected
    assert all(len(sample["jpg"]) == sample["annotations"]["size"] for sample in samples)
    if not shuffle:
        assert [sample["__key__"] for sample in samples] == list(expected)


def test_dali_reads_and_decodes_the_tars(mini_coco: ShardedDataset, mini_raw: Callable[[str], SyntheticFiles]) -> None:
    from nvidia.dali import fn, pipeline_def

    count = mini_coco.num_images

    @pipeline_def(batch_size=count, num_threads=1, device_id=None)
    def pipeline() -> tuple:
        data = fn.readers.webdataset(paths=tars(mini_coco), ext=["jpg"], missing_component_behavior="error")
        return data, fn.peek_image_shape(data, adjust_orientation=False)

    pipe = pipeline()
    pipe.build()
    data, shapes = pipe.run()
    for place, row in enumerate(rows(mini_coco)):
        original = (mini_raw("coco").images / row["file_name"]).read_bytes()
        assert np.asarray(data.at(place)).tobytes() == original
        assert np.asarray(shapes.at(place)).tolist() == [row["height"], row["width"], 3]


def test_the_columns_are_those_of_the_design(mini_coco: ShardedDataset) -> None:
    with pa.memory_map(sidecars(mini_coco)[0]) as file:
        table = pa.ipc.open_file(file).read_all()
    assert table.schema.names == COLUMNS
    assert table.schema.field("instances").type.value_type.names == INSTANCE
    regions = table.schema.field("crowd_regions").type.value_type
    assert regions.names == ["instance_id", "iscrowd", "height", "width", "counts"]
    assert table.schema.metadata == {b"dataset": b"coco", b"split": b"mini", b"skeleton": b"coco_17"}


def test_each_benchmark_has_its_own_values(
    mini_coco: ShardedDataset, mini_mpii: ShardedDataset, mini_crowdpose: ShardedDataset
) -> None:
    coco, mpii, crowdpose = (
        [instance for row in rows(dataset) for instance in row["instances"]]
        for dataset in (mini_coco, mini_mpii, mini_crowdpose)
    )
    assert all(one["area"] is not None and one["center"] is None and len(one["keypoints"]) == 17 for one in coco)
    assert all(one["area"] is None and None not in (one["center"], one["scale"], one["head_size"]) for one in mpii)
    assert all(len(one["keypoints"]) == 16 for one in mpii)
    assert all(one["area"] is None and one["head_size"] is None and len(one["keypoints"]) == 14 for one in crowdpose)
    assert all(row["crowd_index"] is not None for row in rows(mini_crowdpose))
    assert all(row["crowd_index"] is None for row in rows(mini_coco))


def test_pandas_reads_a_sidecar(mini_coco: ShardedDataset) -> None:
    frame = pd.read_feather(sidecars(mini_coco)[0])
    expected = mini_coco.sidecars[0].to_pylist()
    assert list(frame.columns) == COLUMNS
    assert frame["image_id"].tolist() == [row["image_id"] for row in expected]
    assert [len(instances) for instances in frame["instances"]] == [len(row["instances"]) for row in expected]


def test_duckdb_queries_nested_instances(mini_coco: ShardedDataset) -> None:
    images = pa.Table.from_batches(mini_coco.sidecars)
    connection = duckdb.connect()
    connection.register("images", images)
    found = connection.execute(
        "SELECT image_id, person.instance_id, person.area, person.keypoints[1][3] "
        "FROM (SELECT image_id, unnest(instances) AS person FROM images) "
        "WHERE person.iscrowd = 0 AND person.num_keypoints > 4 ORDER BY person.instance_id"
    ).fetchall()
    expected = sorted(
        (row["image_id"], one["instance_id"], one["area"], one["keypoints"][0][2])
        for row in rows(mini_coco)
        for one in row["instances"]
        if one["iscrowd"] == 0 and one["num_keypoints"] > 4
    )
    assert found == sorted(expected, key=lambda row: row[1])
    assert len(found) > 5


@pytest.mark.parametrize("name", ["keypoints", "box_xywh", "area", "instance_id", "num_keypoints", "iscrowd"])
def test_instance_columns_are_views_of_the_mapped_file(mini_coco: ShardedDataset, name: str) -> None:
    column = mini_coco.instance_column(name)
    again = mini_coco.instance_column(name)
    for part, same, sidecar in zip(column.parts, again.parts, mini_coco.sidecars, strict=True):
        assert not part.flags.owndata
        assert not part.flags.writeable
        assert np.shares_memory(part, same)
        leaf = sidecar.column("instances").values.field(name)
        while pa.types.is_fixed_size_list(leaf.type):
            leaf = leaf.values
        start = leaf.buffers()[1].address
        assert start <= part.__array_interface__["data"][0] < start + leaf.buffers()[1].size


@pytest.mark.parametrize("name", ["image_id", "width", "height", "offset", "size", "crc32"])
def test_image_columns_are_views(mini_coco: ShardedDataset, name: str) -> None:
    assert not any(part.flags.owndata for part in mini_coco.image_column(name).parts)
