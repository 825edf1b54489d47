"""Why a trial failed, kept in its folder: a failure that would repeat itself is not tried again."""

import json
import tempfile
from pathlib import Path
from typing import Any

import torch

from engine.remote_copy import TakenOverError
from engine.run_folder import HeldError
from pose.errors import UserError
from sharding.storage import Folder, StorageError

FAILURE = "failure.json"
_REPEATING = (UserError, MemoryError, torch.OutOfMemoryError)
_MENDED_BY_TIME = (StorageError, HeldError, TakenOverError)  # or by another machine


def would_repeat(error: Exception) -> bool:
    """Whether another attempt would fail in the same way."""
    return isinstance(error, _REPEATING) and not isinstance(error, _MENDED_BY_TIME)


def record(trial_folder: Folder, error: Exception) -> None:
    """Note what a trial has raised."""
    write_failure(trial_folder, type(error).__name__, str(error) or type(error).__name__)


def write_failure(trial_folder: Folder, kind: str, reason: str) -> None:
    write_json(trial_folder, FAILURE, {"reason": reason, "kind": kind})


def read_failure(trial_folder: Folder) -> dict[str, str] | None:
    """`reason` and `kind`; None if the trial did not fail."""
    return json.loads(trial_folder.read(FAILURE)) if trial_folder.exists(FAILURE) else None


def write_json(folder: Folder, name: str, content: dict[str, Any]) -> None:
    """Write a small file, whole or not at all. Raises StorageError."""
    folder.create()
    with (
        tempfile.TemporaryDirectory(dir=folder.local, prefix=".writing-") as scratch,
        folder.write(name, Path(scratch)) as file,
    ):
        file.write((json.dumps(content, indent=1) + "\n").encode())
