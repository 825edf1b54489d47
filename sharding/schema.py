"""The Arrow schema of a sidecar, and records → table."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa

from pose.skeleton_file import skeleton_reference
from pose.skeletons import Skeleton
from sharding.records import ImageRecord, InstanceRecord

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class StoredImage:
    """Where a picture's bytes lie in the tar, and what its header says; width and height ignore EXIF rotation."""

    key: str
    extension: str
    width: int
    height: int
    offset: int
    size: int
    crc32: int


def sidecar_metadata(dataset: str, split: str, skeleton: Skeleton) -> dict[str, str]:
    """The names of all three, and the definition of a skeleton that is not built in."""
    metadata = {"dataset": dataset, "split": split, "skeleton": skeleton.name}
    reference = skeleton_reference(skeleton)
    return metadata if isinstance(reference, str) else metadata | {"skeleton_definition": json.dumps(reference)}


def sidecar_schema(num_keypoints: int, metadata: dict[str, str]) -> pa.Schema:
    """One row per image, in the tar's order. Missing values are null."""
    point = pa.list_(pa.float64(), 2)
    instance = pa.struct(
        [
            pa.field("instance_id", pa.int64(), nullable=False),
            pa.field("box_xywh", pa.list_(pa.float64(), 4), nullable=False),
            pa.field("area", pa.float64()),
            pa.field("iscrowd", pa.uint8(), nullable=False),
            pa.field("keypoints", pa.list_(pa.list_(pa.float64(), 3), num_keypoints), nullable=False),
            pa.field("num_keypoints", pa.int32(), nullable=False),
            pa.field("center", point),
            pa.field("scale", pa.float64()),
            pa.field("head_size", pa.float64()),
        ]
    )
    region = pa.struct(
        [
            pa.field("instance_id", pa.int64(), nullable=False),
            pa.field("iscrowd", pa.uint8(), nullable=False),
            pa.field("height", pa.int32(), nullable=False),
            pa.field("width", pa.int32(), nullable=False),
            pa.field("counts", pa.string(), nullable=False),
        ]
    )
    return pa.schema(
        [
            pa.field("key", pa.string(), nullable=False),
            pa.field("file_name", pa.string(), nullable=False),
            pa.field("extension", pa.string(), nullable=False),
            pa.field("image_id", pa.int64(), nullable=False),
            pa.field("width", pa.int32(), nullable=False),
            pa.field("height", pa.int32(), nullable=False),
            pa.field("offset", pa.int64(), nullable=False),
            pa.field("size", pa.int64(), nullable=False),
            pa.field("crc32", pa.uint32(), nullable=False),
            pa.field("crowd_index", pa.float64()),
            pa.field("crowd_regions", pa.list_(region), nullable=False),
            pa.field("instances", pa.list_(instance), nullable=False),
        ],
        metadata=metadata,
    )


def sidecar_table(rows: Sequence[tuple[ImageRecord, StoredImage]], schema: pa.Schema) -> pa.Table:
    """The sidecar's content, for the pictures of one tar."""
    images = [image for image, _ in rows]
    columns: dict[str, Any] = {name: [vars(stored)[name] for _, stored in rows] for name in _STORED}
    columns |= {name: [vars(image)[name] for image in images] for name in ("file_name", "image_id", "crowd_index")}
    columns["crowd_regions"] = [[asdict(region) for region in image.crowd_regions] for image in images]
    columns["instances"] = _instances_column(images, schema.field("instances").type)
    return pa.Table.from_pydict(columns, schema=schema)


_STORED = [field.name for field in fields(StoredImage)]


def _instances_column(images: Sequence[ImageRecord], kind: pa.ListType) -> pa.ListArray:
    """Built from arrays: a Python object for each of a person's numbers would take most of the conversion's time."""
    instances = [instance for image in images for instance in image.instances]
    offsets = np.cumsum([0, *(len(image.instances) for image in images)], dtype=np.int32)
    parts = [_instance_values(instances, field) for field in kind.value_type]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.StructArray.from_arrays(parts, fields=list(kind.value_type)))


def _instance_values(instances: Sequence[InstanceRecord], field: pa.Field) -> pa.Array:
    values = [vars(instance)[field.name] for instance in instances]
    if field.nullable or not pa.types.is_fixed_size_list(field.type):
        return pa.array(values, type=field.type)
    sizes, leaf = [], field.type
    while pa.types.is_fixed_size_list(leaf):
        sizes.append(leaf.list_size)
        leaf = leaf.value_type
    array = pa.array(np.array(values, dtype=np.float64).reshape(-1))
    for size in reversed(sizes):
        array = pa.FixedSizeListArray.from_arrays(array, size)
    return array
