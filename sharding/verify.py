"""Is a sharded split intact? Sizes, checksums, and every sidecar row against its tar."""

import hashlib
import tarfile
import zlib
from collections.abc import Callable, Iterator

import pyarrow as pa

from sharding.dataset import BrokenShardError, open_sidecar
from sharding.manifest import MANIFEST, Manifest, ShardInfo, read_manifest
from sharding.schema import sidecar_metadata, sidecar_schema
from sharding.storage import Folder

_CHUNK = 8 << 20


def verify(folder: Folder, on_shard: Callable[[ShardInfo], None] = lambda shard: None) -> list[str]:
    """Problems found, each naming shard and key; an empty list means that every byte is as it was written.

    Raises NotADatasetError if there is no manifest to check against.
    """
    manifest = read_manifest(folder)
    problems = list(_check_totals(manifest))
    for shard in manifest.shards:
        problems.extend(_verify_shard(folder, shard, manifest))
        on_shard(shard)
    return problems


def _check_totals(manifest: Manifest) -> Iterator[str]:
    for name in ("images", "instances"):
        total, summed = getattr(manifest, name), sum(getattr(shard, name) for shard in manifest.shards)
        if total != summed:
            yield f"{MANIFEST}: it says {total} {name}, its shards have {summed}"


def _verify_shard(folder: Folder, shard: ShardInfo, manifest: Manifest) -> Iterator[str]:
    yield from _check_file(folder, shard.tar, shard.tar_bytes, shard.tar_sha256)
    yield from _check_file(folder, shard.sidecar, shard.sidecar_bytes, shard.sidecar_sha256)
    if folder.size(shard.tar) is None:
        return
    try:
        sidecar = open_sidecar(folder, shard, check_sha256=False)  # its checksum was compared above
        sidecar.validate(full=True)  # wrong offsets inside would be followed out of the file
    except BrokenShardError as error:
        yield str(error)
        return
    except pa.ArrowException as error:
        yield f"{shard.sidecar}: {error}"
        return
    metadata = sidecar_metadata(manifest.dataset, manifest.split, manifest.skeleton)
    if not sidecar.schema.equals(sidecar_schema(manifest.skeleton.num_keypoints, metadata), True):
        described = f"{manifest.dataset} {manifest.split} ({manifest.skeleton.name})"
        yield f"{shard.sidecar}: its columns are not those of {described}"
        return
    instances = len(sidecar.column("instances").flatten())
    if instances != shard.instances:
        yield f"{shard.sidecar}: {instances} instances, the manifest says {shard.instances}"
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
            except (tarfile.HeaderError, OSError, ValueError) as error:
                yield f"{where}: no tar member at offset {offset} ({error})"
                continue
            if header.name != f"{key}.{extension}" or header.size != size:
                found = f"{header.name} of {header.size} bytes"
                yield f"{where}: the tar has {found} there; is the sidecar another shard's?"
            elif zlib.crc32(file.read_at(size, offset)) != crc32:
                yield f"{where}: the picture's bytes do not match their crc32"
