"""One shard: pictures into a tar through the webdataset library, their annotations into the Arrow sidecar."""

import hashlib
import itertools
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import webdataset

from sharding.image_check import CheckedImage
from sharding.manifest import ShardInfo
from sharding.records import ImageRecord
from sharding.schema import StoredImage, sidecar_table
from sharding.storage import Folder


class _HashingFile:
    """Counts and hashes what is written, so that no file is read again for its checksum."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes) -> int:
        self._sha256.update(data)
        self.bytes += len(data)
        return self._file.write(data)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()


def tar_member_bytes(size: int) -> int:
    """Bytes that a file of `size` takes in a tar: one header block and whole data blocks."""
    return tarfile.BLOCKSIZE + -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def tar_bytes(members: int) -> int:
    """Bytes of a tar whose members take `members`: two empty blocks close it, and it is padded to whole records."""
    return -(-(members + 2 * tarfile.BLOCKSIZE) // tarfile.RECORDSIZE) * tarfile.RECORDSIZE


def write_shard(
    folder: Folder,
    name: str,
    images: Iterable[tuple[ImageRecord, CheckedImage]],
    schema: pa.Schema,
    scratch: Path,
) -> ShardInfo | None:
    """Write `name`.tar and `name`.arrow; nothing, and None, if there is no image.

    The same images give the same bytes. Neither file is visible before it is complete.
    """
    rows: list[tuple[ImageRecord, StoredImage]] = []
    tar_name, sidecar_name = f"{name}.tar", f"{name}.arrow"
    iterator = iter(images)
    first = next(iterator, None)
    if first is None:
        return None
    with folder.write(tar_name, scratch) as file:
        tar = _HashingFile(file)
        with webdataset.TarWriter(tar, encoder=False, mtime=0, user="", group="") as writer:
            position = 0
            for image, picture in itertools.chain([first], iterator):
                writer.write({"__key__": image.key, picture.extension: picture.data})
                rows.append((image, _stored(image, picture, position + tarfile.BLOCKSIZE)))
                position += tar_member_bytes(len(picture.data))
    with folder.write(sidecar_name, scratch) as file:
        sidecar = _HashingFile(file)
        table = sidecar_table(rows, schema).combine_chunks()
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, schema) as stream:
            stream.write_table(table)
        sidecar.write(sink.getvalue())
    return ShardInfo(
        tar=tar_name,
        sidecar=sidecar_name,
        images=len(rows),
        instances=sum(len(image.instances) for image, _ in rows),
        tar_bytes=tar.bytes,
        tar_sha256=tar.sha256,
        sidecar_bytes=sidecar.bytes,
        sidecar_sha256=sidecar.sha256,
    )


def _stored(image: ImageRecord, picture: CheckedImage, offset: int) -> StoredImage:
    return StoredImage(
        image.key, picture.extension, picture.width, picture.height, offset, len(picture.data), picture.crc32
    )
