"""Files that may lie in object storage, for code that reads from a disk."""

import shutil
from pathlib import Path

from engine.config import StorageConfig
from engine.data import open_storage
from engine.remote_copy import scratch_of

_PIECE = 8 << 20


def local_file(place: str, storage: StorageConfig | None = None) -> Path:
    """The path of a file; one at a URI is fetched first. Raises StorageError."""
    if "://" not in place:
        return Path(place)
    parent, _, name = place.rpartition("/")
    folder, scratch = open_storage(parent, storage or StorageConfig()), scratch_of(place)
    scratch.mkdir(parents=True, exist_ok=True)
    part = scratch / f"{name}.partial"
    with folder.stream(name) as source, part.open("wb") as file:
        shutil.copyfileobj(source, file, _PIECE)
    part.replace(scratch / name)
    return scratch / name
