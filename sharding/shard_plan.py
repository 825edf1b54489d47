"""Which pictures go into which shard: decided by file sizes, before anything is read."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict

from pose.skeleton_file import skeleton_reference
from sharding.conversion_settings import ConversionSettings
from sharding.records import ImageRecord, RawDataset
from sharding.schema import SCHEMA_VERSION
from sharding.tar_format import tar_bytes, tar_member_bytes

PlannedShard = list[tuple[ImageRecord, int]]  # each image with the bytes that it takes in the tar


def plan_shards(images: list[ImageRecord], settings: ConversionSettings) -> Iterator[PlannedShard]:
    """Consecutive images whose tar is at most `shard_bytes`. A picture larger than that has a tar of its own."""
    shard: PlannedShard = []
    used = 0
    for image in images:
        try:
            size = tar_member_bytes(os.stat(os.path.join(settings.images, image.file_name)).st_size)
        except OSError:
            size = 0  # it will be refused when it is read
        if shard and tar_bytes(used + size) > settings.shard_bytes:
            yield shard
            shard, used = [], 0
        shard.append((image, size))
        used += size
    if shard:
        yield shard


def plan_digest(raw: RawDataset, plan: list[PlannedShard], settings: ConversionSettings) -> str:
    """Changes whenever a finished shard of an earlier, killed conversion must not be used again."""
    parts = [SCHEMA_VERSION, raw.dataset, raw.annotations_sha256, raw.notes, settings.split, settings.check_images]
    parts += [skeleton_reference(raw.skeleton), asdict(raw.category)]
    parts += [[sum(size for _, size in shard), *(image.key for image, _ in shard)] for shard in plan]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
