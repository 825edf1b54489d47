"""The hidden folder of an unfinished conversion: its lock, half-written files, one state file per finished shard."""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from sharding.conversion_settings import ConversionError
from sharding.manifest import ShardInfo
from sharding.records import Rejection
from sharding.storage import Folder

_NAME = ".conversion"


class ShardState(BaseModel):
    """What is remembered of a finished shard, so that a killed conversion goes on behind it."""

    plan: str
    shard: ShardInfo | None
    rejections: list[Rejection]


@dataclass(frozen=True)
class WorkingFolder:
    """`scratch` is local, for unfinished files; state files lie beside the shards of `target`."""

    target: Folder
    states: Folder
    scratch: Path

    def write_state(self, number: int, state: ShardState) -> None:
        with self.states.write(_state_name(number), self.scratch) as file:
            file.write(state.model_dump_json().encode())

    def read_state(self, number: int, plan: str) -> ShardState | None:
        """The state of a shard that an earlier run of the same plan finished and whose files are still there."""
        name = _state_name(number)
        if not self.states.exists(name):
            return None
        try:
            state = ShardState.model_validate_json(self.states.read(name))
        except ValidationError:
            return None
        shard = state.shard
        files = [] if shard is None else [(shard.tar, shard.tar_bytes), (shard.sidecar, shard.sidecar_bytes)]
        usable = state.plan == plan and all(self.target.size(file) == size for file, size in files)
        return state if usable else None

    def delete(self) -> None:
        self.target.delete_folder(_NAME)


@contextmanager
def working_folder(target: Folder) -> Iterator[WorkingFolder]:
    """The working folder of a conversion to `target`; locked where the target is local.

    Raises:
        ConversionError: another conversion holds the lock.
    """
    states = target.subfolder(_NAME)
    states.create()
    if states.local is None:
        with tempfile.TemporaryDirectory() as scratch:
            yield WorkingFolder(target, states, Path(scratch))
        return
    with (states.local / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConversionError(f"another conversion is writing to {target.uri}; wait for it or stop it") from error
        for leftover in states.local.glob("*.partial"):
            leftover.unlink()
        yield WorkingFolder(target, states, states.local)


def _state_name(number: int) -> str:
    return f"shard-{number:06d}.json"
