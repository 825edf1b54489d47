"""The Arrow schema of a sidecar, and records → table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

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
    return pa.Table.from_pylist(
        [
            asdict(stored)
            | {
                "file_name": image.file_name,
                "image_id": image.image_id,
                "crowd_index": image.crowd_index,
                "crowd_regions": [asdict(region) for region in image.crowd_regions],
                "instances": [_instance_row(instance) for instance in image.instances],
            }
            for image, stored in rows
        ],
        schema=schema,
    )


def _instance_row(instance: InstanceRecord) -> dict[str, object]:
    return vars(instance) | {"keypoints": np.asarray(instance.keypoints, dtype=np.float64).tolist()}
