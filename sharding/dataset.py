"""Opening a sharded split: the manifest, and the sidecars as numpy views over all shards."""

import hashlib
import mmap
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pose.errors import UserError
from pose.skeletons import Skeleton
from sharding.manifest import Manifest, ShardInfo, read_manifest
from sharding.retry import RetryPolicy
from sharding.storage import Folder, open_folder

_SIDECARS_AT_ONCE = 8


class BrokenShardError(UserError, ValueError):
    """A shard whose content disagrees with its sidecar or manifest. The message names shard and key."""


class Column:
    """One value per row, kept as one array per shard; rows are numbered through all shards."""

    def __init__(self, parts: list[NDArray[Any]]) -> None:
        self.parts = parts
        self._starts = np.cumsum([0] + [len(part) for part in parts])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """The values of `rows`, in that order, as a new array; only the shards concerned are touched."""
        shards = self.shard_of(rows)
        first = self.parts[0]
        values = np.empty((len(rows), *first.shape[1:]), dtype=first.dtype)
        for shard in np.unique(shards):
            here = shards == shard
            values[here] = self.parts[shard][rows[here] - self._starts[shard]]
        return values

    def all(self) -> NDArray[Any]:
        """Every value as one new array; for columns of a few bytes per row."""
        return np.concatenate(self.parts)

    def shard_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self._starts, rows, side="right") - 1


@dataclass(frozen=True)
class ShardedDataset:
    """A split at a URI. Image rows and instance rows are numbered through all shards, in the tars' order."""

    folder: Folder
    manifest: Manifest
    sidecars: list[pa.RecordBatch]

    @property
    def skeleton(self) -> Skeleton:
        return self.manifest.skeleton

    @property
    def num_images(self) -> int:
        return self.manifest.images

    def tar_name(self, shard: int) -> str:
        return self.manifest.shards[shard].tar

    def image_column(self, name: str) -> Column:
        """A column of numbers per image: image_id, width, height, offset, size, crc32, crowd_index (NaN if unknown)."""
        return Column([sidecar.column(name).to_numpy(zero_copy_only=False) for sidecar in self.sidecars])

    def instance_column(self, name: str) -> Column:
        """A column per instance: views of the mapped files where nothing is missing, else copies with NaN."""
        return Column([_flatten(_instances(sidecar).field(name)) for sidecar in self.sidecars])

    @cached_property
    def instance_counts(self) -> NDArray[np.int64]:
        """Instances of each image (num_images,)."""
        counts = [np.diff(sidecar.column("instances").offsets.to_numpy()) for sidecar in self.sidecars]
        return np.concatenate(counts).astype(np.int64)

    @cached_property
    def instance_images(self) -> NDArray[np.int64]:
        """The image row of each instance."""
        return np.repeat(np.arange(self.num_images), self.instance_counts)

    @cached_property
    def trainable(self) -> NDArray[np.bool_]:
        """Which instances can be cropped and teach anything: those with labelled keypoints among the croppable."""
        # One shard at a time: the labels of a large split need not be in memory together.
        labelled = [(part[:, :, 2] > 0).any(axis=1) for part in self.instance_column("keypoints").parts]
        return np.concatenate(labelled) & self.croppable

    @cached_property
    def croppable(self) -> NDArray[np.bool_]:
        """Which instances are single persons in a box with an area."""
        boxes = self.instance_column("box_xywh").all()
        return (boxes[:, 2:] > 0).all(axis=1) & (self.instance_column("iscrowd").all() == 0)

    def file_names(self) -> list[str]:
        """The source's name of every image."""
        return [name for sidecar in self.sidecars for name in sidecar.column("file_name").to_pylist()]

    def image_rows(self, image_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Image rows of `image_ids`. Raises KeyError that names ids which the split does not have."""
        known = self.image_column("image_id").all()
        order = np.argsort(known, kind="stable")
        place = np.searchsorted(known, image_ids, sorter=order).clip(max=len(known) - 1)
        rows = order[place]
        unknown = known[rows] != image_ids
        if unknown.any():
            raise KeyError(f"{self.folder.uri} has no images {sorted(set(image_ids[unknown].tolist()))[:5]}")
        return rows


def open_dataset(uri: str | Path, retry: RetryPolicy = RetryPolicy()) -> ShardedDataset:  # noqa: B008 - it is frozen
    """Open a split for reading. Local sidecars are memory-mapped, and read once to compare their sha256.

    A flipped byte in a picture shows in its crc32 when it is read; one in a keypoint would show nowhere else.

    Args:
        retry: how patient to be with object storage.
    Raises:
        StorageError: the storage cannot be read. NotADatasetError: there is no readable manifest.
        BrokenShardError: a sidecar is missing, or is not the one that the manifest describes.
    """
    folder = open_folder(uri, retry)
    manifest = read_manifest(folder)
    with ThreadPoolExecutor(_SIDECARS_AT_ONCE) as pool:  # over a network most of the time is waiting
        return ShardedDataset(folder, manifest, list(pool.map(partial(open_sidecar, folder), manifest.shards)))


def open_sidecar(folder: Folder, shard: ShardInfo, check_sha256: bool = True) -> pa.RecordBatch:
    """A shard's sidecar. Raises BrokenShardError that names it."""
    size = folder.size(shard.sidecar)
    if size != shard.sidecar_bytes:
        found = "is missing" if size is None else f"has {size} bytes"
        raise BrokenShardError(f"{folder.location(shard.sidecar)} {found}, the manifest says {shard.sidecar_bytes}")
    content = folder.memory_map(shard.sidecar)
    if folder.local is None:
        content = _on_disk(content)
    if check_sha256 and hashlib.sha256(content).hexdigest() != shard.sidecar_sha256:
        raise BrokenShardError(
            f"{folder.location(shard.sidecar)} is not the manifest's by its sha256: damaged, or another shard's; "
            f"`posestream verify {folder.uri}` says more; restore it, or convert again"
        )
    try:
        sidecar = pa.ipc.open_file(content).get_batch(0)
    except (pa.ArrowException, ValueError, IndexError, OSError) as error:
        raise BrokenShardError(f"{folder.location(shard.sidecar)} is not an Arrow file: {error}") from error
    if sidecar.num_rows != shard.images:
        raise BrokenShardError(
            f"{folder.location(shard.sidecar)} has {sidecar.num_rows} images, the manifest says {shard.images}"
        )
    return sidecar


def _on_disk(content: pa.Buffer) -> pa.Buffer:
    """The same bytes, mapped from a nameless temporary file: the labels of a large remote split need no memory."""
    try:
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            return pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError):  # no room there, or nothing to map
        return content


def _instances(sidecar: pa.RecordBatch) -> pa.StructArray:
    return sidecar.column("instances").values


def _flatten(array: pa.Array) -> NDArray[Any]:
    """Fixed-size lists become trailing axes; nulls become NaN."""
    shape: list[int] = []
    leaf, missing = array, array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
    while pa.types.is_fixed_size_list(leaf.type):
        shape.append(leaf.type.list_size)
        leaf = leaf.values
    values = leaf.to_numpy(zero_copy_only=leaf.null_count == 0).reshape(len(array), *shape)
    if missing is not None and shape:
        values = np.where(missing.reshape(-1, *[1] * len(shape)), np.nan, values)
    return values
