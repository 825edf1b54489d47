"""A folder of this machine that is kept in step with one in object storage."""

import getpass
import hashlib
import json
import os
import platform
import shutil
import tempfile
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.config import StorageConfig
from engine.data import open_storage
from pose.errors import UserError
from sharding.retry import StorageError

_PIECE = 8 << 20
_OWNER = "owner.json"  # in the store: who writes there
_COPIED = "copied.json"  # here: what has arrived there
_NOT_COPIED = (_OWNER, _COPIED, "lock")


class TakenOverError(UserError, RuntimeError):
    """Another process writes to the remote folder now."""


def scratch_of(uri: str) -> Path:
    """This machine's folder for what belongs at a URI; always the same one."""
    digest = hashlib.sha256(uri.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"posestream-{getpass.getuser()}" / digest


class RemoteCopy:
    """Copies what has changed. A store that is away for a while is reported, and tried again the next time.

    One process owns the remote folder, the last that `become_owner` was called for; an earlier one that is still alive
    somewhere, such as on a machine that the others lost sight of, is stopped before it writes.
    """

    def __init__(self, uri: str, storage: StorageConfig, local: Path, say: Callable[[str], None]) -> None:
        self._target, self._local, self._say = open_storage(uri, storage), local, say
        self._me, self._before = uuid.uuid4().hex, ""
        self._copied: dict[str, tuple[int, int]] = {}
        self._behind: StorageError | None = None

    def take_up(self, names: Sequence[str]) -> None:
        """Make the local folder what a process that goes on needs.

        If this machine was the last to write there, its own files are at least as new. Otherwise they are deleted, and
        `names` fetched: another machine went on with them, or somebody deleted the remote ones to start afresh.
        """
        owner, known = self._owner(), self._read_copied()
        if owner is not None and owner["process"] in known:
            self._before = owner["process"]
        else:
            self._copied = {}
            _empty(self._local)
            for name in names:
                self._fetch(name)
        for name in names:
            if name in self._copied and not self._target.exists(name):
                (self._local / name).unlink(missing_ok=True)

    def update(self) -> None:
        """Copy what is new or was changed since it was copied. Raises TakenOverError."""
        try:
            changed = self._changed()
            if changed:
                self._require_owner()
            for name in changed:
                self._upload(name)
            self._behind = None
        except StorageError as error:
            self._behind = error
            self._say(f"{self._target.uri} could not be brought up to date; its files stay in {self._local}: {error}")

    def require_complete(self) -> None:
        """Raise StorageError if the last update failed."""
        if self._behind is not None:
            raise StorageError(
                f"{self._target.uri} lacks what was written last; it is in {self._local} on {platform.node()}, and the "
                f"same command, there, brings it up to date: {self._behind}"
            )

    def _changed(self) -> list[str]:
        files = (path for path in sorted(self._local.rglob("*")) if path.is_file() and path.suffix != ".partial")
        names = [path.relative_to(self._local).as_posix() for path in files]
        return [n for n in names if n not in _NOT_COPIED and self._copied.get(n) != _version(self._local / n)]

    def _fetch(self, name: str) -> None:
        if self._target.exists(name):
            path, part = self._local / name, self._local / f"{name}.partial"
            with self._target.stream(name) as source, part.open("wb") as file:
                shutil.copyfileobj(source, file, _PIECE)
            part.replace(path)
            self._copied[name] = _version(path)

    def _upload(self, name: str) -> None:
        path, folder, version = self._local / name, self._target, _version(self._local / name)
        for part in name.split("/")[:-1]:
            folder = folder.subfolder(part)
        with folder.write(path.name, self._local) as out, path.open("rb") as source:
            shutil.copyfileobj(source, out, _PIECE)
        self._copied[name] = version
        self._write_copied()

    def _owner(self) -> dict[str, str] | None:
        if not self._target.exists(_OWNER):
            return None
        owner: dict[str, str] = json.loads(self._target.read(_OWNER))
        return owner

    def become_owner(self) -> None:
        """From now on this process writes there, and no other."""
        self._target.create()
        self._write_copied()  # first: a kill in between must not make the files here look like somebody else's
        with self._target.write(_OWNER, self._local) as file:
            file.write(json.dumps({"process": self._me, "machine": platform.node(), "pid": os.getpid()}).encode())

    def _require_owner(self) -> None:
        owner = self._owner()
        if owner is None:  # somebody deleted the remote folder
            self._copied = {}
            self.become_owner()
        elif owner["process"] != self._me:
            raise TakenOverError(
                f"process {owner['pid']} on {owner['machine']} has taken over {self._target.uri}; this one stops"
            )

    def _read_copied(self) -> list[str]:
        """Whose name the remote folder bears if this machine was the last to write; takes up what had been copied."""
        path = self._local / _COPIED
        if not path.exists():
            return []
        content = json.loads(path.read_text())
        self._copied = {name: (size, changed) for name, (size, changed) in content["files"].items()}
        return list(content["processes"])

    def _write_copied(self) -> None:
        path = self._local / _COPIED
        part = path.with_name(f"{_COPIED}.partial")
        part.write_text(json.dumps({"processes": [self._me, self._before], "files": self._copied}))
        part.replace(path)


def _empty(folder: Path) -> None:
    """Leaves the lock, which is held."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
