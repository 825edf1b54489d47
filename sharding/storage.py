"""All storage goes through here: local folders and object stores (s3://, gs://, …) behind pyarrow.fs."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
from pyarrow import fs as arrow_fs

from pose.errors import UserError


class StorageError(UserError, OSError):
    """A URI that cannot be opened; the message names it and the cause."""


@dataclass(frozen=True)
class Folder:
    """A folder at a URI. Paths below it are plain names with forward slashes."""

    uri: str
    filesystem: arrow_fs.FileSystem
    path: str

    @property
    def local(self) -> Path | None:
        """The folder's path if it is on this machine."""
        return Path(self.path) if isinstance(self.filesystem, arrow_fs.LocalFileSystem) else None

    @property
    def name(self) -> str:
        return self.path.rstrip("/").rsplit("/", 1)[-1]

    def location(self, name: str) -> str:
        """What to call a file of this folder in messages."""
        return f"{self.uri.rstrip('/')}/{name}"

    def exists(self, name: str) -> bool:
        return self.size(name) is not None

    def size(self, name: str) -> int | None:
        """Bytes, None if there is no such file."""
        info = self._look(f"{self.path}/{name}")
        return info.size if info.type == arrow_fs.FileType.File else None

    def names(self) -> list[str]:
        """Files directly in this folder, sorted; empty if the folder does not exist."""
        selector = arrow_fs.FileSelector(self.path, allow_not_found=True)
        return sorted(info.base_name for info in self._look(selector) if info.is_file)

    def _look(self, at: str | arrow_fs.FileSelector) -> Any:
        try:
            return self.filesystem.get_file_info(at)
        except (OSError, pa.ArrowException) as error:
            raise StorageError(f"cannot look into {self.uri}: {error}") from error

    def open(self, name: str) -> pa.NativeFile:
        """A seekable file. Raises StorageError that names the URI."""
        try:
            return self.filesystem.open_input_file(f"{self.path}/{name}")
        except (OSError, pa.ArrowException) as error:
            raise StorageError(f"cannot open {self.location(name)}: {error}") from error

    def read(self, name: str) -> bytes:
        with self.open(name) as file:
            return file.read()

    def memory_map(self, name: str) -> pa.Buffer:
        """The whole file as one buffer: mapped if local (nothing is read yet), fetched if remote."""
        if self.local is None:
            with self.open(name) as file:
                return file.read_buffer()
        try:
            with pa.memory_map(f"{self.path}/{name}") as file:
                return file.read_buffer()
        except (OSError, pa.ArrowException) as error:
            raise StorageError(f"cannot open {self.location(name)}: {error}") from error

    def delete_folder(self, name: str) -> None:
        with suppress(FileNotFoundError):  # another process that finished at the same time deleted it
            self.filesystem.delete_dir(f"{self.path}/{name}")

    def delete_file(self, name: str) -> None:
        self.filesystem.delete_file(f"{self.path}/{name}")

    def subfolder(self, name: str) -> "Folder":
        return Folder(self.location(name), self.filesystem, f"{self.path}/{name}")

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
                self._upload(part, f"{self.path}/{name}")
        except StorageError:
            raise
        except (OSError, pa.ArrowException) as error:
            raise StorageError(f"cannot write {self.location(name)}: {error}") from error
        finally:
            part.unlink(missing_ok=True)

    def _upload(self, part: Path, target: str) -> None:
        """An object store shows an object only once its upload is complete."""
        try:
            with part.open("rb") as file, self.filesystem.open_output_stream(target) as out:
                shutil.copyfileobj(file, out, 16 << 20)
        except BaseException:
            # Leaving the block closed the stream, and that completes the upload, though of half a file.
            with suppress(OSError):
                self.filesystem.delete_file(target)
            raise

    def create(self) -> None:
        try:
            self.filesystem.create_dir(self.path, recursive=True)
        except (OSError, pa.ArrowException) as error:
            raise StorageError(f"cannot create {self.uri}: {error}") from error


def open_folder(uri: str | Path) -> Folder:
    """The folder at a URI or local path; it need not exist. Raises StorageError for a URI of an unknown kind."""
    text = str(uri)
    if "://" not in text:
        return Folder(text, arrow_fs.LocalFileSystem(), os.path.abspath(os.path.expanduser(text)))
    try:
        filesystem, path = arrow_fs.FileSystem.from_uri(text)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise StorageError(f"cannot open {text}: {error}") from error
    return Folder(text, filesystem, path.rstrip("/"))


def _sync_folder(path: Path) -> None:
    """Make a rename survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
