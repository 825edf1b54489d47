"""For code that is built on the webdataset library: a split as its pipeline, with the annotations joined."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import webdataset
from webdataset.cache import FileCache, StreamingOpen

from sharding.dataset import BrokenShardError, ShardedDataset
from sharding.storage import Folder

Sample = dict[str, Any]


def as_webdataset(dataset: ShardedDataset, **options: Any) -> webdataset.WebDataset:
    """A webdataset pipeline over a split, local or remote.

    Samples hold the picture's bytes under "jpg" or "png", and the sidecar's row as a dictionary under "annotations";
    `.decode("rgb", partial=True)` decodes the pictures. Nothing else of a tar is handed out, since webdataset's
    decoders run pickles. The tars are opened as all of posestream opens them, not by webdataset, which would hand
    remote URLs to a shell. So its cache options have no effect.

    Args:
        options: for webdataset.WebDataset; order, shuffling and sharding across nodes and workers are the library's.
    """
    folder = dataset.folder
    names = {_url(folder, shard.tar): shard.tar for shard in dataset.manifest.shards}
    options.setdefault("shardshuffle", False)
    pipeline = webdataset.WebDataset(list(names), **options)
    (opener,) = (place for place, stage in enumerate(pipeline.pipeline) if isinstance(stage, StreamingOpen | FileCache))
    pipeline.pipeline[opener] = _OpenTars(folder, names, pipeline.pipeline[opener].handler)
    return pipeline.compose(partial(_join, dict(zip(names, dataset.sidecars, strict=True))))


def _url(folder: Folder, tar: str) -> str:
    return folder.location(tar) if folder.local is None else str(folder.local / tar)


@dataclass(frozen=True)
class _OpenTars:
    """The stage that opens each tar. `names` maps what webdataset calls a tar to its name in the folder."""

    folder: Folder
    names: dict[str, str]
    handler: Callable[[Exception], bool]
    process: int = field(default_factory=os.getpid)

    def __call__(self, sources: Iterable[Sample]) -> Iterator[Sample]:
        folder = self.folder if os.getpid() == self.process else self.folder.reconnected()
        for source in sources:
            url = source["url"]
            try:
                opened = {"url": url, "stream": folder.stream(self.names[url])}
            except Exception as error:  # noqa: BLE001 - what to do about it is the user's choice, as in webdataset
                if self.handler(error):
                    continue
                return
            yield opened if self.folder.local is None else opened | {"local_path": url}


def _join(tables: dict[str, Any], samples: Iterable[Sample]) -> Iterator[Sample]:
    """Pictures with their annotations. Whatever else lies in a tar is left there: `.decode()` would run a pickle."""
    url, rows = None, dict[str, Sample]()
    for sample in samples:
        if sample["__url__"] != url:
            url = sample["__url__"]
            rows = {row["key"]: row for row in tables[url].to_pylist()}
        row = rows.get(sample["__key__"])
        if row is None or row["extension"] not in sample:
            raise BrokenShardError(
                f"{url}: {sample['__key__']} is no picture of its sidecar; restore the shard, or convert again"
            )
        kept = {name: value for name, value in sample.items() if name.startswith("__")}
        yield kept | {row["extension"]: sample[row["extension"]], "annotations": row}
