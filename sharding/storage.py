"""All storage goes through here: local folders and object stores (s3://, gs://, …) behind pyarrow.fs."""

import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, TypeVar

import pyarrow as pa
from pyarrow import fs as arrow_fs

from sharding.ranges import PIECE_BYTES, RangeReader, as_stream
from sharding.retry import STORE_ERRORS, RetryPolicy, StorageError, call, failure
from sharding.store_uri import child, open_filesystem, open_for_uploads, redacted

__all__ = ["Folder", "RangeReader", "RetryPolicy", "StorageError", "open_folder"]

_PATIENCE = RetryPolicy()
_T = TypeVar("_T")
_UPLOAD_CHUNK = 8 << 20


@dataclass(frozen=True)
class Folder:
    """A folder at a URI. Paths below it are plain names with forward slashes.

    Every call to a remote store is bounded in time and tried again as `retry` says. `uri` is for people: it holds no
    secret. `uploads` writes, if another file system than `filesystem` does.
    """

    uri: str
    filesystem: arrow_fs.FileSystem
    path: str
    retry: RetryPolicy = _PATIENCE
    uploads: arrow_fs.FileSystem | None = None

    @property
    def local(self) -> Path | None:
        """The folder's path if it is on this machine."""
        return Path(self.path) if isinstance(self.filesystem, arrow_fs.LocalFileSystem) else None

    @property
    def name(self) -> str:
        return self.path.rstrip("/").rsplit("/", 1)[-1]

    def location(self, name: str) -> str:
        """What to call a file of this folder in messages."""
        return child(self.uri, name)

    def subfolder(self, name: str) -> "Folder":
        return replace(self, uri=self.location(name), path=f"{self.path}/{name}")

    def reconnected(self) -> "Folder":
        """The same with connections of its own, for a forked process: two must not share one."""
        return pickle.loads(pickle.dumps(self))

    def exists(self, name: str) -> bool:
        return self.size(name) is not None

    def size(self, name: str) -> int | None:
        """Bytes, None if there is no such file."""
        path = f"{self.path}/{name}"
        info = self._call(lambda: self.filesystem.get_file_info(path), f"look into {self.uri}")
        return info.size if info.type == arrow_fs.FileType.File else None

    def names(self) -> list[str]:
        """Files directly in this folder, sorted; empty if the folder does not exist."""
        selector = arrow_fs.FileSelector(self.path, allow_not_found=True)
        infos = self._call(lambda: self.filesystem.get_file_info(selector), f"look into {self.uri}")
        return sorted(info.base_name for info in infos if info.is_file)

    def open(self, name: str) -> pa.NativeFile:
        """A seekable file for one thread. Raises StorageError that names the URI, as its reads do."""
        if self.local is not None:
            return self._call(lambda: self._open_input(name), f"open {self.location(name)}")
        return pa.PythonFile(self.stream(name), "r")

    def stream(self, name: str) -> BinaryIO:
        """The same as a Python file; a remote one is read ahead."""
        path = f"{self.path}/{name}"
        if self.local is not None:
            return self._call(lambda: open(path, "rb"), f"open {self.location(name)}")
        return as_stream(self._whole(name))

    def ranges(self, name: str, size: int, piece_bytes: int = PIECE_BYTES) -> RangeReader:
        """A reader of byte ranges for many threads at once, of a file of `size` bytes.

        Requests have at most `piece_bytes`; each is tried again as `retry` says, in quarters after each failure. The
        file is not opened before the first read.

        Raises:
            StorageError: from `read`: the file is missing or of another size, the range goes beyond its
                end, or all attempts failed.
        """
        return RangeReader(lambda: self._open_input(name), self.location(name), self.retry, size, piece_bytes)

    def read(self, name: str) -> bytes:
        if self.local is not None:
            return self._call((self.local / name).read_bytes, f"open {self.location(name)}")
        return self.memory_map(name).to_pybytes()

    def memory_map(self, name: str) -> pa.Buffer:
        """The whole file as one buffer: mapped if local (nothing is read yet), fetched if remote."""
        if self.local is None:
            ranges = self._whole(name)
            return ranges.read(0, ranges.size)
        return self._call(lambda: _map(f"{self.path}/{name}"), f"open {self.location(name)}")

    def delete_folder(self, name: str) -> None:
        """Delete it, if it exists, with all that is in it."""
        self._delete(self.filesystem.delete_dir, name)

    def delete_file(self, name: str) -> None:
        """Delete it, if it exists."""
        self._delete(self.filesystem.delete_file, name)

    def create(self) -> None:
        self._call(lambda: self.filesystem.create_dir(self.path, recursive=True), f"create {self.uri}")

    @contextmanager
    def write(self, name: str, scratch: Path) -> Iterator[BinaryIO]:
        """Write a file that appears under its name only when it is complete and on disk.

        Args:
            name: the file's name.
            scratch: a local folder for the unfinished file; for a local target it must be on the same file system.
        Raises:
            StorageError: the disk is full, or the target refuses the file; nothing is left of it.
        """
        part = scratch / f"{name}.partial"
        try:
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if self.local is not None:
                os.replace(part, self.local / name)
                _sync_folder(self.local)
            else:
                self._upload(part, name)
        except StorageError:
            raise
        except STORE_ERRORS as error:
            raise failure(f"write {self.location(name)}", error) from error
        finally:
            part.unlink(missing_ok=True)

    def _upload(self, part: Path, name: str) -> None:
        """An object store shows an object only once its upload is complete.

        Closing pyarrow's stream completes the upload, even when an exception closes it. So the content is mapped first:
        nothing of ours can then fail in the middle, and after a failure of the store pyarrow completes nothing.
        """
        content, path = _map(str(part)), f"{self.path}/{name}"
        filesystem = self.uploads or self.filesystem

        def send() -> None:
            with filesystem.open_output_stream(path) as out:
                for start in range(0, content.size, _UPLOAD_CHUNK):
                    out.write(content.slice(start, min(_UPLOAD_CHUNK, content.size - start)))

        slowest_s = self.retry.timeout_s * (1 + content.size // PIECE_BYTES)
        try:
            call(send, f"write {self.location(name)}", self.retry, slowest_s)
        except StorageError:
            with suppress(StorageError):
                if self.size(name) not in (None, content.size):
                    self.delete_file(name)
            raise

    def _delete(self, function: Callable[[str], None], name: str) -> None:
        def delete() -> None:
            with suppress(FileNotFoundError):  # an attempt whose answer was lost deleted it, or another process
                function(f"{self.path}/{name}")

        self._call(delete, f"delete {self.location(name)}")

    def _open_input(self, name: str) -> pa.NativeFile:
        return self.filesystem.open_input_file(f"{self.path}/{name}")

    def _whole(self, name: str) -> RangeReader:
        where = self.location(name)
        ranges = RangeReader(lambda: self._open_input(name), where, self.retry)
        assert ranges.size >= 0  # opens it
        return ranges

    def _call(self, function: Callable[[], _T], action: str) -> _T:
        """Remote stores are called with patience, this machine's disks once."""
        if self.local is None:
            return call(function, action, self.retry)
        try:
            return function()
        except STORE_ERRORS as error:
            raise failure(action, error) from error


def open_folder(uri: str | Path, retry: RetryPolicy = _PATIENCE) -> Folder:
    """The folder at a URI or local path; it need not exist. Raises StorageError for a URI of an unknown kind.

    URIs are those of `pyarrow.fs.FileSystem.from_uri`, with its options. Credentials come from the standard places of
    each store, such as AWS_PROFILE or AWS_ACCESS_KEY_ID, or from the URI.
    """
    text = str(uri)
    if "://" not in text:
        return Folder(text, arrow_fs.LocalFileSystem(), os.path.abspath(os.path.expanduser(text)))
    shown = redacted(text)

    def connect() -> tuple[arrow_fs.FileSystem, str, arrow_fs.FileSystem | None]:
        return *open_filesystem(text, retry.timeout_s), open_for_uploads(text, retry.timeout_s)

    filesystem, path, uploads = call(connect, f"open {shown}", retry)
    return Folder(shown, filesystem, path.rstrip("/"), retry, uploads)


def _map(path: str) -> pa.Buffer:
    with pa.memory_map(path) as file:
        return file.read_buffer()


def _sync_folder(path: Path) -> None:
    """Make a rename survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
