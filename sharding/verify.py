"""Is a sharded split intact? Sizes, checksums, and every sidecar row against its tar."""

import hashlib
import tarfile
import zlib
from collections.abc import Callable, Iterator

import pyarrow as pa

from sharding.dataset import BrokenShardError, open_sidecar
from sharding.manifest import ShardInfo, read_manifest
from sharding.storage import Folder, StorageError

_CHUNK = 8 << 20


def verify(folder: Folder, on_shard: Callable[[ShardInfo], None] = lambda shard: None) -> list[str]:
    """Problems found, each naming shard and key; an empty list means that every byte is as it was written.

    Raises NotADatasetError if there is no manifest to check against.
    """
    problems: list[str] = []
    for shard in read_manifest(folder).shards:
        problems.extend(_verify_shard(folder, shard))
        on_shard(shard)
    return problems


def _verify_shard(folder: Folder, shard: ShardInfo) -> Iterator[str]:
    yield from _check_file(folder, shard.tar, shard.tar_bytes, shard.tar_sha256)
    yield from _check_file(folder, shard.sidecar, shard.sidecar_bytes, shard.sidecar_sha256)
    if folder.size(shard.tar) is None:
        return
    try:
        sidecar = open_sidecar(folder, shard)
    except BrokenShardError as error:
        yield str(error)
        return
    yield from _check_members(folder, shard, sidecar)


def _check_file(folder: Folder, name: str, size: int, sha256: str) -> Iterator[str]:
    found = folder.size(name)
    if found is None:
        yield f"{name}: missing"
        return
    if found != size:
        yield f"{name}: {found} bytes, the manifest says {size}"
    digest = hashlib.sha256()
    with folder.open(name) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != sha256:
        yield f"{name}: sha256 {digest.hexdigest()[:12]}… is not the manifest's {sha256[:12]}…"


def _check_members(folder: Folder, shard: ShardInfo, sidecar: pa.RecordBatch) -> Iterator[str]:
    columns = {name: sidecar.column(name).to_pylist() for name in ("key", "extension", "offset", "size", "crc32")}
    with folder.open(shard.tar) as file:
        for key, extension, offset, size, crc32 in zip(*columns.values(), strict=True):
            where = f"{shard.tar}: {key}"
            try:
                header = tarfile.TarInfo.frombuf(
                    file.read_at(tarfile.BLOCKSIZE, offset - tarfile.BLOCKSIZE), "utf-8", "strict"
                )
                data = file.read_at(size, offset)
            except (tarfile.HeaderError, StorageError, OSError, ValueError) as error:
                yield f"{where}: no tar member at offset {offset} ({error})"
                continue
            if header.name != f"{key}.{extension}" or header.size != size:
                found = f"{header.name} of {header.size} bytes"
                yield f"{where}: the tar has {found} there; is the sidecar another shard's?"
            elif zlib.crc32(data) != crc32:
                yield f"{where}: the picture's bytes do not match their crc32"
