"""A folder of this machine that is kept in step with one in object storage."""

import getpass
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.config import StorageConfig
from engine.data import open_storage
from sharding.retry import StorageError

_PIECE = 8 << 20
_OWN = ("lock",)  # means nothing elsewhere


def scratch_of(uri: str) -> Path:
    """This machine's folder for what belongs at a URI; always the same one."""
    digest = hashlib.sha256(uri.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"posestream-{getpass.getuser()}" / digest


class RemoteCopy:
    """Copies what has changed. A store that is away for a while is reported, and tried again the next time."""

    def __init__(self, uri: str, storage: StorageConfig, local: Path, say: Callable[[str], None]) -> None:
        self._target, self._local, self._say = open_storage(uri, storage), local, say
        self._copied: dict[str, tuple[int, int]] = {}
        self._behind: StorageError | None = None

    def fetch(self, names: Sequence[str]) -> None:
        """Make these files what they are remotely, also where they are missing there: another machine may have gone on
        with them, and who deletes them wants to start afresh."""
        for name in names:
            path = self._local / name
            path.unlink(missing_ok=True)
            if self._target.exists(name):
                part = path.with_name(f"{name}.partial")
                with self._target.stream(name) as source, part.open("wb") as file:
                    shutil.copyfileobj(source, file, _PIECE)
                part.replace(path)
                self._copied[name] = _version(path)

    def update(self) -> None:
        """Copy what is new or was changed since it was copied."""
        try:
            for name in self._changed():
                self._upload(name)
            self._behind = None
        except StorageError as error:
            self._behind = error
            self._say(f"{self._target.uri} could not be brought up to date; its files stay in {self._local}: {error}")

    def require_complete(self) -> None:
        """Raise StorageError if the last update failed."""
        if self._behind is not None:
            raise self._behind

    def _changed(self) -> list[str]:
        files = (path for path in sorted(self._local.rglob("*")) if path.is_file() and path.suffix != ".partial")
        names = [path.relative_to(self._local).as_posix() for path in files]
        return [n for n in names if n not in _OWN and self._copied.get(n) != _version(self._local / n)]

    def _upload(self, name: str) -> None:
        path, folder, version = self._local / name, self._target, _version(self._local / name)
        for part in name.split("/")[:-1]:
            folder = folder.subfolder(part)
        with folder.write(path.name, self._local) as out, path.open("rb") as source:
            shutil.copyfileobj(source, out, _PIECE)
        self._copied[name] = version


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
