"""A local split that is read as if it lay in an object store, each request answered after a while."""

import time
from dataclasses import replace
from typing import Any

from pyarrow import fs as arrow_fs

from sharding.dataset import ShardedDataset
from sharding.storage import Folder

LATENCY_S = 0.03


class _FarFolder(Folder):
    def ranges(self, name: str, size: int, *arguments: Any) -> Any:
        return _FarRanges(super().ranges(name, size, *arguments))


class _FarRanges:
    def __init__(self, near: Any) -> None:
        self._near = near

    def read(self, offset: int, count: int) -> Any:
        time.sleep(LATENCY_S)
        return self._near.read(offset, count)


def far_away(dataset: ShardedDataset) -> ShardedDataset:
    """The same split, not local, with LATENCY_S before each block; the bytes themselves come at the disk's speed."""
    folder = dataset.folder
    # pyarrow's own local file system behind another type is a remote one to posestream.
    remote = arrow_fs.SubTreeFileSystem("/", arrow_fs.LocalFileSystem())
    return replace(dataset, folder=_FarFolder(folder.uri, remote, folder.path.lstrip("/"), retry=folder.retry))
