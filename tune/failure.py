"""Why a trial failed, kept in its folder: a failure that would repeat itself is not tried again."""

import json
import tempfile
from pathlib import Path
from typing import Any

from sharding.storage import Folder

FAILURE = "failure.json"


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
