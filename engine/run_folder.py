"""The folder of a run: held by one process at a time; checkpoints, curves, and what was left out of training."""

import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from torch.utils.tensorboard import SummaryWriter

from engine.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from engine.config import ConfigError, Recipe
from engine.remote_copy import RemoteCopy, scratch_of

LAST, BEST = "last.ckpt", "best.ckpt"
BAD_SAMPLES = "bad_samples.jsonl"
_PATIENCE_S = 20.0  # with a predecessor that is about to end, where launchers start processes again


class HeldError(ConfigError):
    """Another process trains in the run folder."""


class RunFolder:
    """Holds the folder until it is closed. At a URI it is a scratch folder of this machine that is copied there.

    Attributes:
        path: where its files are on this machine.

    Args:
        writes: whether this process is the one that writes; the others' folders ignore what they are given.
        say: told about copies that fail.
    """

    def __init__(self, recipe: Recipe, writes: bool, say: Callable[[str], None]) -> None:
        remote = "://" in recipe.run_dir
        self.path = scratch_of(recipe.run_dir) if remote else Path(recipe.run_dir)
        self.writes = writes
        self._copy: RemoteCopy | None = None
        self._board: SummaryWriter | None = None
        self._lock: TextIO | None = None
        if not writes:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self.path, recipe.run_dir)
        if remote:
            self._copy = RemoteCopy(recipe.run_dir, recipe.storage, self.path, say)
            self._copy.take_up((LAST, BEST, BAD_SAMPLES))

    def last(self) -> Checkpoint | None:
        """The last checkpoint, if there is one. Raises CheckpointError."""
        path = self.path / LAST
        return load_checkpoint(path) if path.exists() else None

    def start(self, recipe: Recipe, step: int) -> None:
        """Training begins, or goes on after `step` batches."""
        if self._copy is not None:
            self._copy.become_owner()
        if self.writes:
            self._board = SummaryWriter(self.path / "tensorboard", purge_step=step + 1)
            (self.path / "recipe.json").write_text(recipe.to_json() + "\n")

    def save(self, checkpoint: Checkpoint, name: str) -> None:
        """A checkpoint is there whole or not at all."""
        save_checkpoint(checkpoint, self.path / name)
        self._bring_up_to_date()

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """For TensorBoard."""
        if self._board is not None:
            self._board.add_scalar(name, value, step)

    def list_bad_samples(self, reasons: Mapping[str, str]) -> Path:
        """Add a line for each picture that could not be used, if it has none yet; without any there is no file."""
        path = self.path / BAD_SAMPLES
        if self.writes:
            _add_lines(path, reasons)
        return path

    def close(self) -> None:
        """Raises StorageError if the copy lacks what was last written."""
        if self._board is not None:
            self._board.close()
        try:
            self._bring_up_to_date()
            if self._copy is not None:
                self._copy.require_complete()
        finally:
            if self._lock is not None:
                self._lock.close()

    def _bring_up_to_date(self) -> None:
        if self._copy is not None:
            if self._board is not None:
                self._board.flush()
            self._copy.update()


def _lock(path: Path, run_dir: str) -> TextIO:
    """Hold the run folder for this process; the lock ends with it, however it ends."""
    lock = (path / "lock").open("w")
    patient_until = time.monotonic() + (_PATIENCE_S if "WORLD_SIZE" in os.environ else 0)
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError as error:
            if time.monotonic() >= patient_until:
                lock.close()
                raise HeldError(
                    f"another training runs in {run_dir}; wait for it, or choose another run_dir"
                ) from error
            time.sleep(0.2)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            return lock  # a shared disk without locks


def _add_lines(path: Path, reasons: Mapping[str, str]) -> None:
    listed = set()
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, KeyError, TypeError):  # a kill may have torn the last line
                listed.add(json.loads(line)["picture"])
    new = [(picture, reason) for picture, reason in dict(reasons).items() if picture not in listed]
    if new:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            for picture, reason in new:
                file.write(json.dumps({"picture": picture, "reason": reason}, ensure_ascii=False) + "\n")
