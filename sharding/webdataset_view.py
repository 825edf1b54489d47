"""For code that is built on the webdataset library: a split as its pipeline, with the annotations joined."""

from collections.abc import Iterator
from typing import Any

import webdataset

from sharding.dataset import ShardedDataset
from sharding.storage import StorageError


def as_webdataset(dataset: ShardedDataset, **options: Any) -> webdataset.WebDataset:
    """A webdataset pipeline over a local split.

    Samples hold the picture's bytes under "jpg" or "png", and the sidecar's row as a dictionary under "annotations".
    Nothing is decoded: webdataset's own `.decode()` runs pickles.

    Args:
        options: for webdataset.WebDataset; order, shuffling and sharding across workers are the library's.
    Raises:
        StorageError: the split is not local. webdataset opens remote URLs through a shell; posestream does not.
    """
    if dataset.folder.local is None:
        raise StorageError(f"{dataset.folder.uri} is not a local folder; copy the split, or use posestream's loader")
    urls = [str(dataset.folder.local / shard.tar) for shard in dataset.manifest.shards]
    tables = dict(zip(urls, dataset.sidecars, strict=True))

    def join(samples: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        rows: dict[str, dict[str, Any]] = {}
        for sample in samples:
            if sample["__key__"] not in rows:
                rows = {row["key"]: row for row in tables[sample["__url__"]].to_pylist()}
            yield sample | {"annotations": rows[sample["__key__"]]}

    options.setdefault("shardshuffle", False)
    return webdataset.WebDataset(urls, **options).compose(join)
