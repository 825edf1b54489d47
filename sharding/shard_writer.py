"""One shard: pieces of a tar into its file, the annotations of their pictures into the Arrow sidecar."""

import hashlib
import itertools
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from sharding.manifest import ShardInfo
from sharding.records import ImageRecord
from sharding.schema import StoredImage, sidecar_table
from sharding.storage import Folder
from sharding.tar_format import tar_end
from sharding.tar_piece import TarPiece

Rows = list[tuple[ImageRecord, StoredImage]]

_MOST_UNHASHED = 4  # pieces, which bounds the memory


class _HashingFile:
    """Counts what is written, and hashes it in another thread, so that no file is read again for its checksum."""

    def __init__(self, file: BinaryIO, hasher: ThreadPoolExecutor) -> None:
        self._file = file
        self._hasher = hasher
        self._sha256 = hashlib.sha256()
        self._unhashed: deque[Future[None]] = deque()
        self.bytes = 0

    def write(self, data: bytes) -> None:
        self._unhashed.append(self._hasher.submit(self._sha256.update, data))
        self._file.write(data)
        self.bytes += len(data)
        self._wait_until_unhashed(_MOST_UNHASHED)

    def sha256(self) -> str:
        self._wait_until_unhashed(0)
        return self._sha256.hexdigest()

    def _wait_until_unhashed(self, pieces: int) -> None:
        while len(self._unhashed) > pieces:
            self._unhashed.popleft().result()


def write_shard(
    folder: Folder, name: str, pieces: Iterable[TarPiece], schema: pa.Schema, scratch: Path, hasher: ThreadPoolExecutor
) -> Callable[[], ShardInfo | None]:
    """Write the tar's bytes; the returned function makes `name`.tar visible and writes `name`.arrow.

    That function waits for the disk or the object store, so another thread may call it while the next shard is read.
    The same pictures give the same bytes. Neither file is visible before it is complete. Without any picture there is
    no file, and no ShardInfo.
    """
    filled = (piece for piece in pieces if piece.images)
    first = next(filled, None)
    if first is None:
        return lambda: None
    with ExitStack() as stack:
        tar = _HashingFile(stack.enter_context(folder.write(f"{name}.tar", scratch)), hasher)
        rows = _write_tar(tar, itertools.chain([first], filled))
        unfinished = stack.pop_all()

    def finish() -> ShardInfo:
        unfinished.close()
        sidecar = _sidecar_bytes(rows, schema)
        with folder.write(f"{name}.arrow", scratch) as file:
            file.write(sidecar)
        return ShardInfo(
            tar=f"{name}.tar",
            sidecar=f"{name}.arrow",
            images=len(rows),
            instances=sum(len(image.instances) for image, _ in rows),
            tar_bytes=tar.bytes,
            tar_sha256=tar.sha256(),
            sidecar_bytes=len(sidecar),
            sidecar_sha256=hashlib.sha256(sidecar).hexdigest(),
        )

    return finish


def _write_tar(tar: _HashingFile, pieces: Iterable[TarPiece]) -> Rows:
    rows: Rows = []
    for piece in pieces:
        rows += [(image, replace(stored, offset=tar.bytes + stored.offset)) for image, stored in piece.images]
        tar.write(piece.data)
    tar.write(tar_end(tar.bytes))
    return rows


def _sidecar_bytes(rows: Rows, schema: pa.Schema) -> pa.Buffer:
    table = sidecar_table(rows, schema).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as stream:
        stream.write_table(table)
    return sink.getvalue()
